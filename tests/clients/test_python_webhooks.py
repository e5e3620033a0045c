"""letstalk_client.webhooks: what is really sent is accepted and typed, and everything else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from letstalk.core.clock import utc_now
from letstalk.events.models import AppEventType
from letstalk.events.signatures import headers_of, new_secret
from letstalk.verifications.event_objects import make_example
from letstalk_client import LetsTalkError, WebhookNotVerified, webhooks
from letstalk_client.events import (
    EVENT_CLASSES,
    CallEvent,
    ConnectionEvent,
    LimitEvent,
    OtherEvent,
    OutcomeEvent,
    TokenEvent,
    VerificationEvent,
)
from letstalk_client.models import VerificationSummary
from tests.support.receivers import Receiver
from tests.support.webhook_senders import ACME, Sender

NOW = 1_796_119_241
SECRET = new_secret()
BODY = json.dumps(make_example(utc_now, AppEventType.VERIFICATION_APPROVED, "acme")).encode()


def headers(*secrets: str, body: bytes = BODY, at: int = NOW) -> dict[str, str]:
    return headers_of(list(secrets), "0199a1f4-3c55-7a1e-9f0c-5a2f4d6b8e77", at, body)


def refused(body: bytes | str, given: dict[str, str], secret: Any = SECRET, now: float = NOW) -> bool:
    try:
        webhooks.verify(body, given, secret, now=now)
    except WebhookNotVerified:
        return True
    return False


def test_what_the_service_sends_is_accepted_also_while_a_secret_rotates(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url)
    reached = make_example(utc_now, AppEventType.DESTINATION_LIMITED, "acme")["data"]
    sender.record(AppEventType.DESTINATION_LIMITED, **reached)
    sender.deliver()
    rotated = sender.endpoints.rotate_secret(ACME, issued.endpoint.endpoint_id, 3600)
    sender.record(AppEventType.DESTINATION_LIMITED, **reached)
    sender.deliver()
    first, second = receiver.received
    now = sender.clock().timestamp()
    event = webhooks.verify(first.body, first.headers, issued.secret, now=now)
    assert isinstance(event, LimitEvent)
    assert event.data is not None
    assert (event.event_id, event.data.limit) == (first.event_id, reached["limit"])
    for secret in (issued.secret, rotated.secret, [rotated.secret, issued.secret]):
        assert not refused(second.body, second.headers, secret, now)
    assert refused(first.body, first.headers, rotated.secret, now)


def test_several_secrets_may_be_known_here() -> None:
    given = headers(SECRET)
    assert not refused(BODY, given, [new_secret(), SECRET])
    assert not refused(BODY.decode(), {name.title(): value for name, value in given.items()})
    assert not refused(BODY, given, f"v1,{SECRET}")
    assert refused(BODY, given, [new_secret(), new_secret()])
    assert refused(BODY, given, [])


def test_a_changed_body_and_changed_headers_are_refused() -> None:
    given = headers(SECRET)
    assert refused(BODY.replace(b"acme", b"evil"), given)
    assert refused(BODY + b" ", given)
    assert refused(BODY, {**given, "webhook-id": "another"})
    assert refused(BODY, {**given, "webhook-timestamp": str(NOW + 1)})
    assert refused(BODY, {**given, "webhook-signature": "v1a," + given["webhook-signature"][3:]})
    for name in given:
        assert refused(BODY, {each: value for each, value in given.items() if each != name})
        for text in ("", "x", "v1,", "v1,é", "v1,\udcff", "-1", "1e9", "²"):
            assert refused(BODY, {**given, name: text})


@pytest.mark.parametrize(
    ("seconds", "is_accepted"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_only_a_timestamp_of_five_minutes_is_accepted(seconds: int, is_accepted: bool) -> None:
    assert refused(BODY, headers(SECRET, at=NOW + seconds)) is not is_accepted


def test_a_signed_body_that_is_no_event_is_no_crash() -> None:
    for body in (b"", b"{", b"[]", b"1", b"{}", b'{"type": 1}', b"\xff", b'{"type": "call.ended"}'):
        with pytest.raises(LetsTalkError):
            webhooks.verify(body, headers(SECRET, body=body), SECRET, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "not base64!", "whsec_é"])
def test_what_is_no_secret_is_said_to_be_none(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        webhooks.verify(BODY, headers(SECRET), secret, now=NOW)


def test_every_type_of_event_has_its_class_and_a_new_type_is_no_error() -> None:
    seen = set()
    for type_ in AppEventType:
        body = json.dumps(make_example(utc_now, type_, "acme")).encode()
        event = webhooks.verify(body, headers(SECRET, body=body), SECRET, now=NOW)
        assert event.type == type_.value
        assert not isinstance(event, OtherEvent)
        assert event.data is not None
        seen.add(type(event))
    assert seen == {VerificationEvent, CallEvent, OutcomeEvent, LimitEvent, TokenEvent, ConnectionEvent}
    assert set(EVENT_CLASSES) == set(AppEventType)
    later = json.dumps({**json.loads(BODY), "type": "call.sang", "data": {"song": "x"}}).encode()
    event = webhooks.verify(later, headers(SECRET, body=later), SECRET, now=NOW)
    assert isinstance(event, OtherEvent)
    assert event.data == {"song": "x"}


def test_an_event_can_be_matched_by_what_it_is() -> None:
    match webhooks.verify(BODY, headers(SECRET), SECRET, now=NOW):
        case VerificationEvent(type="verification.approved", data=VerificationSummary(reference=reference)):
            assert reference == "order-4711"
        case _:
            pytest.fail("it is an approval")
