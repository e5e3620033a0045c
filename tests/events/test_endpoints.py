"""Endpoints of one owner: what a person can ask to be sent, and that nobody else sees or moves it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from letstalk.core.errors import NotFound
from letstalk.events.endpoints import EndpointChanges
from letstalk.events.models import AppEventType
from letstalk.events.targets import TargetPolicy
from letstalk.verifications.event_objects import make_example
from tests.support.receivers import Receiver, Reply
from tests.support.webhook_senders import ACME, GLOBEX, LOOPBACK_OPENED, Sender
from tests.support.world import refusal_of

PUBLIC_ONLY = TargetPolicy()


def resolve_to(monkeypatch: pytest.MonkeyPatch, address: str, port: int) -> None:
    """Every name leads to `address` from now on."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_delivery_is_sent_again_when_asked(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url)
    endpoint_id = issued.endpoint.endpoint_id
    sender.record()
    sender.deliver()
    delivery_id = sender.deliveries(issued)[0].delivery_id
    receiver.reply = lambda _received: Reply(500)
    sender.clock.move(1)
    sender.endpoints.redeliver(ACME, endpoint_id, delivery_id)
    sender.deliver()
    assert [(attempt.response_status, attempt.is_manual) for attempt in sender.tries(issued)] == [
        (204, False),
        (500, True),
    ]
    first, again = receiver.received
    assert (first.event_id, first.body) == (again.event_id, again.body)
    assert len(sender.deliveries(issued)) == 1


def test_everything_since_a_time_is_sent_again(sender: Sender, receiver: Receiver) -> None:
    early = sender.record()  # nobody listens yet
    sender.clock.move(60)
    since = sender.clock()
    missed = sender.record()
    issued = sender.create(receiver.url, AppEventType.TOKEN_CREATED)
    known = sender.record()
    sender.record(AppEventType.TOKEN_REVOKED)
    sender.record(owner="globex")
    sender.deliver()
    assert [received.event_id for received in receiver.received] == [known]
    assert sender.endpoints.replay_since(ACME, issued.endpoint.endpoint_id, since) == 2
    sender.deliver()
    assert sorted(received.event_id for received in receiver.received) == sorted([known, missed, known])
    assert early not in {received.event_id for received in receiver.received}


@pytest.mark.parametrize("type_", AppEventType)
def test_an_example_of_each_type_arrives(sender: Sender, receiver: Receiver, type_: AppEventType) -> None:
    issued = sender.create(receiver.url, AppEventType.TOKEN_CREATED)
    example = make_example(sender.clock, type_, "acme")
    sender.endpoints.send_example(ACME, issued.endpoint.endpoint_id, example)
    sender.deliver()
    content = json.loads(receiver.received[0].body)
    assert (content["type"], content["user_id"]) == (type_.value, "acme")


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url)
    endpoint_id = issued.endpoint.endpoint_id
    sender.record()
    sender.endpoints.set_enabled(ACME, endpoint_id, is_enabled=False)
    sender.record()
    sender.deliver()
    refusal_of(lambda: sender.endpoints.replay_since(ACME, endpoint_id, sender.clock()), "endpoint_disabled")
    assert receiver.received == []
    sender.endpoints.set_enabled(ACME, endpoint_id, is_enabled=True)
    after = sender.record()
    sender.deliver()
    assert [received.event_id for received in receiver.received] == [after]


def test_another_owner_sees_and_moves_nothing(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url)
    endpoint_id = issued.endpoint.endpoint_id
    sender.record()
    sender.deliver()
    delivery_id = sender.deliveries(issued)[0].delivery_id
    endpoints, clock = sender.endpoints, sender.clock
    attempts: list[Callable[[], object]] = [
        lambda: endpoints.get_endpoint(GLOBEX, endpoint_id),
        lambda: endpoints.update_endpoint(GLOBEX, endpoint_id, EndpointChanges(description="mine")),
        lambda: endpoints.rotate_secret(GLOBEX, endpoint_id, 0),
        lambda: endpoints.set_enabled(GLOBEX, endpoint_id, is_enabled=False),
        lambda: endpoints.delete_endpoint(GLOBEX, endpoint_id),
        lambda: endpoints.send_example(GLOBEX, endpoint_id, make_example(clock, AppEventType.CALL_ENDED, "globex")),
        lambda: endpoints.list_deliveries(GLOBEX, endpoint_id, limit=10, cursor=None),
        lambda: endpoints.get_delivery(GLOBEX, endpoint_id, delivery_id),
        lambda: endpoints.measure_success(GLOBEX, endpoint_id),
        lambda: endpoints.redeliver(GLOBEX, endpoint_id, delivery_id),
        lambda: endpoints.replay_since(GLOBEX, endpoint_id, clock()),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert endpoints.list_endpoints(GLOBEX, limit=10, cursor=None) == ([], None)
    assert sender.endpoint(issued) == issued.endpoint
    sender.deliver()
    assert len(receiver.received) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_inside_later_is_not_connected_to(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    sender = Sender(sender.db, TargetPolicy(needs_https=False) if scheme == "http" else PUBLIC_ONLY)
    port = int(receiver.url.split(":")[2].split("/")[0])
    resolve_to(monkeypatch, "93.184.215.14", port)
    issued = sender.create(f"{scheme}://rebinding.example:{port}/hook")
    resolve_to(monkeypatch, "127.0.0.1", port)
    sender.record()
    sender.deliver()
    assert receiver.received == []
    (attempt,) = sender.tries(issued)
    assert attempt.response_status is None
    assert "not public" in (attempt.error or "")


def test_a_name_that_leads_where_the_operator_allows_is_connected_to(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sender.policy is LOOPBACK_OPENED
    port = int(receiver.url.split(":")[2].split("/")[0])
    resolve_to(monkeypatch, "127.0.0.1", port)
    sender.create(f"http://inside.example:{port}/hook")
    sender.record()
    sender.deliver()
    assert receiver.received[0].headers["host"] == f"inside.example:{port}"
