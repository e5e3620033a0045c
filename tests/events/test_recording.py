"""Events are recorded with their changes: each once, none for what was rolled back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from letstalk.events.models import MEANINGS, AppEventType, EventFilter, NewEvent
from letstalk.events.recording import record_all_due_events, record_due_events, record_event
from letstalk.events.repository import event_from, list_events, list_waiting
from letstalk.verifications.event_objects import render_event
from letstalk.verifications.repository import spend_attempt_and_approve
from tests.support.webhook_senders import Sender
from tests.support.world import BUSY, MACHINE, PHONE, World, wrong_code


def told(world: World, owner: str = "acme") -> list[str]:
    """The types of an owner's events, oldest first."""
    record_all_due_events(world.db)
    with world.db.read() as connection:
        found = list_events(connection, owner, EventFilter(), after=None, limit=100)
    return [event.type.value for event in sorted(found, key=lambda event: (event.created_at, event.sequence or 0))]


def shown(world: World) -> str:
    with world.db.read() as connection:
        events = list_events(connection, "acme", EventFilter(), after=None, limit=100)
        return json.dumps([render_event(connection, event, shows_phone=False) for event in events])


def test_a_code_that_is_heard_and_entered_tells_the_whole_ladder(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.pass_time(60)
    world.check(accepted.verification_id, code)
    assert told(world) == [
        "verification.created",
        "call.ringing",
        "call.answered",
        "call.heard",
        "call.ended",
        "verification.approved",
    ]
    assert told(world, owner="globex") == []
    assert code not in shown(world)
    assert PHONE not in shown(world)


@pytest.mark.parametrize(
    ("phone", "ladder"),
    [
        (BUSY, ["call.ringing", "call.ended"]),
        (MACHINE, ["call.ringing", "call.answered", "call.machine", "call.ended"]),
    ],
)
def test_a_call_that_is_not_heard_says_so(world: World, phone: str, ladder: list[str]) -> None:
    world.send(phone)
    world.pass_time(60)
    assert [type_ for type_ in told(world) if type_.startswith("call.")] == ladder


def test_each_end_of_a_verification_is_told_once(world: World) -> None:
    canceled = world.send().verification_id
    world.cancel(canceled)
    world.pass_time(31)
    guessed = world.send().verification_id
    for _ in range(5):
        with pytest.raises(Exception, match="not the code"):
            world.check(guessed, wrong_code("000000"))
    ends = [type_ for type_ in told(world) if type_.startswith("verification.") and not type_.endswith(".created")]
    assert ends == ["verification.canceled", "verification.attempts_exceeded"]


def test_a_request_that_is_refused_records_nothing(world: World) -> None:
    world.send()
    before = told(world)
    with pytest.raises(Exception, match="a moment ago"):
        world.send()
    assert told(world) == before


def test_an_event_is_rolled_back_with_its_change(world: World) -> None:
    def record_and_fail() -> None:
        with world.db.write() as connection:
            record_event(connection, NewEvent(AppEventType.TOKEN_CREATED, "acme"), world.clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        record_and_fail()
    assert told(world) == []


def test_a_send_and_a_right_code_are_told_in_order_whoever_records_them(world: World) -> None:
    verification_id = world.send().verification_id
    world.check(verification_id, world.code_of(verification_id))  # its call, which it ends, is told of after it
    with world.db.write() as connection:
        assert record_due_events(connection) == 0  # what was due was recorded before the end of the call
    with world.db.read() as connection:
        found = list_events(connection, "acme", EventFilter(subject_id=verification_id), after=None, limit=100)
    types = [event.type.value for event in sorted(found, key=lambda event: event.sequence or 0)]
    assert types == ["verification.created", "verification.approved", "call.ended"]
    assert sorted(event.sequence or 0 for event in found) == [1, 2, 3]
    created = next(event for event in found if event.type is AppEventType.VERIFICATION_CREATED)
    assert created.call_id is not None


def test_due_events_are_recorded_once_by_two_that_look_at_once(world: World) -> None:
    for number in range(20):
        world.send(f"+1202555{number:04}")
    record = partial(record_all_due_events, world.db)
    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(record), threads.submit(record)]:
            each.result()
    assert told(world) == ["verification.created"] * 20


def test_a_due_event_is_rolled_back_with_its_change(world: World) -> None:
    verification_id = world.send().verification_id

    def approve_and_fail() -> None:
        with world.db.write() as connection:
            spend_attempt_and_approve(connection, verification_id, world.clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        approve_and_fail()
    assert told(world) == ["verification.created"]


def test_an_endpoint_hears_of_what_happens_after_it_was_made(world: World) -> None:
    def waiting() -> list[str]:
        with world.db.read() as connection:
            return [event_from(row).type.value for row in list_waiting(connection, 100)]

    world.send()
    Sender(world.db).create("http://127.0.0.1:9/hook")
    assert waiting() == []
    world.send("+12025550143")
    record_all_due_events(world.db)
    assert waiting() == ["verification.created"]


def test_every_type_is_explained() -> None:
    assert set(MEANINGS) == set(AppEventType)
