"""What is sent is signed as Standard Webhooks asks: the libraries of others accept it, and refuse what was changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import standardwebhooks
import svix.webhooks

from letstalk.events.signatures import new_secret
from tests.support.fixtures.webhooks import WEBHOOK_PACKAGES
from tests.support.receivers import Received, Receiver
from tests.support.services import needed, node_binary
from tests.support.webhook_senders import ACME, Sender

Verify = Callable[[str, Received], None]


def by_standardwebhooks(secret: str, received: Received) -> None:
    assert standardwebhooks.Webhook(secret).verify(received.body, received.headers)["event_id"] == received.event_id


def by_svix(secret: str, received: Received) -> None:
    svix.webhooks.Webhook(secret).verify(received.body, received.headers)


LIBRARIES = pytest.mark.parametrize("verify", [by_standardwebhooks, by_svix])
REFUSALS = (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)


def changed(received: Received) -> Received:
    return Received(received.headers, received.body.replace(b"acme", b"evil"))


@LIBRARIES
def test_both_secrets_sign_while_one_replaces_the_other(sender: Sender, receiver: Receiver, verify: Verify) -> None:
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    rotated = sender.endpoints.rotate_secret(ACME, issued.endpoint.endpoint_id, grace_seconds=60)
    sender.record()
    sender.deliver()
    sender.clock.move(61)
    sender.record()
    sender.deliver()
    before, during, after = receiver.received
    accepted = [(issued.secret, before), (issued.secret, during), (rotated.secret, during), (rotated.secret, after)]
    for secret, received in accepted:
        verify(secret, received)
    refused = [
        (rotated.secret, before),
        (issued.secret, after),
        (new_secret(), during),
        (issued.secret, changed(before)),
    ]
    for secret, received in refused:
        with pytest.raises(REFUSALS):
            verify(secret, received)


@LIBRARIES
@pytest.mark.parametrize("seconds", [-400, 400])
def test_a_timestamp_that_is_far_from_now_is_refused(
    sender: Sender, receiver: Receiver, verify: Verify, seconds: int
) -> None:
    sender.clock.move(seconds)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    with pytest.raises(REFUSALS, match="timestamp"):
        verify(issued.secret, receiver.received[0])


def test_each_try_has_a_timestamp_of_its_own(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    sender.clock.move(86_400)
    sender.endpoints.redeliver(ACME, issued.endpoint.endpoint_id, sender.deliveries(issued)[0].delivery_id)
    sender.deliver()
    first, again = receiver.received
    assert int(again.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 86_400
    assert again.headers["webhook-signature"] != first.headers["webhook-signature"]


def test_the_libraries_of_npm_agree(sender: Sender, receiver: Receiver, webhook_modules: Path) -> None:
    issued = sender.create(receiver.url)
    rotated = sender.endpoints.rotate_secret(ACME, issued.endpoint.endpoint_id, grace_seconds=60)
    sender.record(note="Grüße 🎉", user_id="acme")
    sender.deliver()
    sender.clock.move(-400)
    sender.record()
    sender.deliver()
    sent, old = receiver.received
    cases = [
        *((issued.secret, sent), (rotated.secret, sent)),
        *((new_secret(), sent), (issued.secret, changed(sent)), (issued.secret, old)),
    ]
    webhooks = [
        {"secret": secret, "headers": received.headers, "body": received.body.decode()} for secret, received in cases
    ]
    command: list[str | Path] = [needed("Node", node_binary()), WEBHOOK_PACKAGES / "verify.mjs", webhook_modules]
    done = subprocess.run(command, input=json.dumps(webhooks), capture_output=True, text=True, check=True, timeout=60)
    wanted = ["accepted", "accepted", *["WebhookVerificationError"] * 3]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [wanted, wanted]
