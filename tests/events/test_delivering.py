"""Webhooks are sent to real HTTP servers, by the schedule, and one endpoint delays no other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sqlalchemy.exc import OperationalError

from letstalk.db.database import Database
from letstalk.events import delivery_repository, endpoint_repository
from letstalk.events.endpoint_models import FAILING_REASON, GONE_REASON, PAUSES
from letstalk.events.models import AppEventType
from tests.support.receivers import Received, Receiver, Reply
from tests.support.webhook_senders import Sender


def status(code: int, **headers: str) -> Callable[[Received], Reply]:
    return lambda _received: Reply(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


def in_background(deliver: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    return thread


def test_only_the_chosen_types_of_the_own_owner_arrive_once(sender: Sender, receiver: Receiver) -> None:
    issued = sender.create(receiver.url, AppEventType.TOKEN_CREATED)
    event_id = sender.record(note="Grüße 🎉")
    sender.record(AppEventType.TOKEN_REVOKED)
    sender.record(owner="globex")
    sender.deliver()
    sender.deliver()
    (received,) = receiver.received
    assert received.headers["content-type"] == "application/json"
    content = json.loads(received.body)
    assert (content["event_id"], content["type"], content["user_id"]) == (event_id, "token.created", "acme")
    assert content["data"] == {"note": "Grüße 🎉"}
    assert [delivery.status for delivery in sender.deliveries(issued)] == ["delivered"]


def test_a_failed_delivery_is_tried_nine_times_more_by_the_schedule(sender: Sender, receiver: Receiver) -> None:
    receiver.reply = status(500)
    issued = sender.create(receiver.url)
    sender.record()
    for pause in PAUSES:
        sender.deliver()
        next_at = sender.deliveries(issued)[0].next_attempt_at
        assert next_at is not None
        assert pause <= next_at - sender.clock() <= pause * 1.1 + timedelta(milliseconds=1)
        sender.clock.now = next_at - timedelta(seconds=1)
        sender.deliver()  # too early
        sender.clock.now = next_at
    sender.deliver()
    assert len(receiver.received) == len(PAUSES) + 1 == 10
    assert len({(received.event_id, received.body) for received in receiver.received}) == 1
    assert [delivery.status for delivery in sender.deliveries(issued)] == ["failed"]
    assert sender.endpoint(issued).status == "failing"
    assert sender.told == []
    assert [attempt.response_status for attempt in sender.tries(issued)] == [500] * 10


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("120", 120, 120),
        ("0", 5, 6),
        ("99999999", 86_400, 86_400),
        ("soon", 5, 6),
        # The id is the same in each test process, whenever that collects its tests.
        pytest.param(
            format_datetime(datetime.now(UTC) + timedelta(hours=5), usegmt=True), 3 * 3600, 5 * 3600, id="a date"
        ),
    ],
)
def test_retry_after_is_respected_up_to_a_day(
    sender: Sender, receiver: Receiver, asked: str, least: float, most: float
) -> None:
    receiver.reply = status(503, retry_after=asked)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    next_at = sender.deliveries(issued)[0].next_attempt_at
    assert next_at is not None
    assert least <= (next_at - sender.clock()).total_seconds() <= most


def test_410_disables_the_endpoint_and_tells_the_owner(sender: Sender, receiver: Receiver) -> None:
    receiver.reply = status(410)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    endpoint = sender.endpoint(issued)
    assert (endpoint.status, endpoint.disabled_reason) == ("disabled", GONE_REASON)
    assert sender.told == [("acme", GONE_REASON)]
    sender.record()
    sender.clock.move(86_400)
    sender.deliver()
    assert len(receiver.received) == 1
    assert sender.deliveries(issued, "pending") == []


def test_failing_for_five_days_disables_and_one_success_begins_anew(sender: Sender, receiver: Receiver) -> None:
    receiver.reply = status(500)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    sender.clock.move(4.9 * 86_400)
    receiver.reply = status(204)
    sender.deliver()
    assert sender.endpoint(issued).status == "enabled"
    receiver.reply = status(500)
    sender.record()
    sender.deliver()
    sender.clock.move(5 * 86_400 - 60)
    sender.deliver()
    assert (sender.endpoint(issued).status, sender.told) == ("failing", [])
    sender.clock.move(60)
    sender.record()
    for _ in range(2):
        sender.deliver()
        sender.clock.move(3 * 3600)
    assert (sender.endpoint(issued).status, sender.told) == ("disabled", [("acme", FAILING_REASON)])
    assert sender.deliveries(issued, "pending") == []


def test_a_redirect_is_not_followed(sender: Sender, receiver: Receiver, other_receiver: Receiver) -> None:
    receiver.reply = status(307, location=other_receiver.url)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    assert [attempt.response_status for attempt in sender.tries(issued)] == [307]
    assert sender.deliveries(issued)[0].status == "pending"
    assert other_receiver.received == []


def test_four_kilobytes_of_a_response_are_kept(sender: Sender, receiver: Receiver) -> None:
    receiver.reply = lambda _received: Reply(200, b"\x00" + b"a" * 100_000)
    issued = sender.create(receiver.url)
    sender.record()
    sender.deliver()
    body = sender.tries(issued)[0].response_body
    assert body == "\ufffd" + "a" * 4095
    assert sender.deliveries(issued)[0].status == "delivered"


def test_nobody_at_the_address_is_a_failure_in_words(sender: Sender) -> None:
    issued = sender.create("http://127.0.0.1:1/hook")
    sender.record()
    sender.deliver()
    (attempt,) = sender.tries(issued)
    assert attempt.response_status is None
    assert attempt.error is not None
    assert "ConnectError" in attempt.error


def test_an_endpoint_that_hangs_delays_no_other(sender: Sender, receiver: Receiver, other_receiver: Receiver) -> None:
    go_on = threading.Event()

    def hang(_received: Received) -> Reply:
        go_on.wait(30)
        return Reply()

    receiver.reply = hang
    sender.create(receiver.url, AppEventType.TOKEN_CREATED)
    sender.create(other_receiver.url, AppEventType.TOKEN_REVOKED)
    sender.record()
    sending = in_background(sender.deliver)
    receiver.wait_for(1)
    for place in range(3):
        sender.record(AppEventType.TOKEN_REVOKED)
        other_receiver.wait_for(place + 1)
    assert receiver.open_requests == 1  # all the while
    go_on.set()
    sending.join(30)
    assert not sending.is_alive()


def test_an_endpoint_gets_five_at_once_also_of_two_workers(db: Database, receiver: Receiver) -> None:
    sender = Sender(db)
    go_on = threading.Event()

    def hang(_received: Received) -> Reply:
        go_on.wait(30)
        return Reply()

    receiver.reply = hang
    sender.create(receiver.url)
    sent = {sender.record() for _ in range(12)}
    first = in_background(sender.deliver)
    receiver.wait_for(5)
    sender.make_deliverer().deliver_due()  # finds no place for it
    assert (receiver.open_requests, len(receiver.received)) == (5, 5)
    go_on.set()
    second = in_background(sender.make_deliverer().deliver_due)
    for thread in (first, second):
        thread.join(30)
    assert receiver.most_at_once <= 5
    assert sorted(received.event_id for received in receiver.received) == sorted(sent)


def lease(sender: Sender, limit: int, most_of_one: int = 5) -> list[str]:
    """The endpoints of the deliveries that are leased."""
    with sender.db.write() as connection:
        leased = delivery_repository.lease_due(connection, sender.clock(), limit, most_of_one)
    return [delivery.endpoint_id for delivery in leased]


def test_what_waits_for_an_endpoint_that_fails_stands_before_nobody_else(db: Database) -> None:
    sender = Sender(db)
    failing, healthy = (sender.create("http://127.0.0.1:9/").endpoint.endpoint_id for _ in range(2))
    with db.write() as connection:
        endpoint_repository.note_failure(connection, failing, sender.clock())
        endpoint_repository.note_success(connection, healthy)
    for _ in range(4):
        sender.record()
        sender.publisher.publish()
        sender.clock.move(1)
    assert sorted(lease(sender, limit=3)) == sorted([failing, healthy, healthy])
    assert lease(sender, limit=3) == [healthy, healthy]
    assert lease(sender, limit=3) == []


def test_where_most_places_are_taken_each_endpoint_gets_one(db: Database) -> None:
    sender = Sender(db)
    endpoints = {sender.create("http://127.0.0.1:9/").endpoint.endpoint_id for _ in range(3)}
    for _ in range(4):
        sender.record()
    sender.publisher.publish()
    leased = lease(sender, limit=100, most_of_one=1)
    assert (len(leased), set(leased)) == (3, endpoints)
    assert lease(sender, limit=100, most_of_one=1) == []
    assert len(lease(sender, limit=100)) == 9


def test_what_a_worker_did_not_note_is_sent_again_when_its_lease_has_run_out(
    db: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(db)
    issued = sender.create(receiver.url)
    sender.record()
    with monkeypatch.context() as patched:

        def lose(*_: object) -> None:
            raise OperationalError("UPDATE", {}, Exception("the connection is lost"))

        patched.setattr(delivery_repository, "note_attempt", lose)
        sender.deliver()
    sender.clock.move(29)
    sender.deliver()
    assert len(receiver.received) == 1
    sender.clock.move(2)
    sender.deliver()
    first, again = receiver.received
    assert (again.event_id, again.body) == (first.event_id, first.body)
    assert sender.deliveries(issued)[0].status == "delivered"
