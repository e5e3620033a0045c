"""Events are recorded with their changes: each once, none for what was rolled back."""

from __future__ import annotations

import json

import pytest

from letstalk.events.models import MEANINGS, AppEventType, EventFilter, NewEvent
from letstalk.events.repository import list_events, record_event
from letstalk.verifications.event_objects import render_event
from tests.support.world import BUSY, MACHINE, PHONE, World, wrong_code


def told(world: World, owner: str = "acme") -> list[str]:
    """The types of an owner's events, oldest first."""
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


def test_every_type_is_explained() -> None:
    assert set(MEANINGS) == set(AppEventType)
