"""What a verification's page tells: each thing that happened, with its offset, as sentences."""

from __future__ import annotations

import pytest

from letstalk.audit import repository as audit_events
from letstalk.audit.repository import EventQuery
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import NotFound
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.telephony.events import EventType
from letstalk.telephony.provider import ProviderBusy
from letstalk.verifications.browsing import BrowsingService, Told
from letstalk.verifications.outcomes import Reason
from tests.support.world import (
    BUSY,
    MACHINE,
    NO_ANSWER,
    PHONE,
    PRESSES_1,
    REJECTED,
    World,
    an_actor,
    fails,
    phone_number,
    wrong_code,
)


@pytest.fixture
def world(sqlite_db: Database) -> World:
    return World(sqlite_db)


def browsing(world: World) -> BrowsingService:
    return BrowsingService(world.db, AuditTrail(world.db, clock=world.clock), world.clock)


def tell(world: World, verification_id: str) -> Told:
    return browsing(world).tell(an_actor(), verification_id)


def sentences(told: Told) -> list[str]:
    return [f"+{event.offset_seconds:.1f} {event.sentence}" for event in told.story.events]


def test_a_call_that_was_heard_and_approved_is_told_from_its_request_to_its_end(world: World) -> None:
    sent = world.send()
    code = world.code_of(sent.verification_id)
    world.pass_time(30)
    world.check(sent.verification_id, code)
    told = tell(world, sent.verification_id)
    assert sentences(told) == [
        "+0.0 Requested.",
        "+0.0 Queued.",
        "+0.0 Dialed.",
        "+0.0 The phone rings.",
        "+1.5 Answered.",
        "+2.1 A person was detected.",
        "+2.1 The code is read.",
        "+11.1 The code was read to the end.",
        "+13.8 The call ended.",
        "+30.0 The right code was entered: approved.",
    ]
    assert (told.story.reason, told.is_settled) == (Reason.APPROVED, True)
    assert code not in repr(told.story)


@pytest.mark.parametrize(
    ("phone", "last", "detail", "reason"),
    [
        (BUSY, "+1.0 The line was busy.", "", Reason.BUSY),
        (NO_ANSWER, "+30.0 The call ended without the code.", "Nobody picked up.", Reason.NO_ANSWER),
        (REJECTED, "+3.0 The call was declined.", "", Reason.REJECTED),
        (MACHINE, "+2.3 The call was hung up.", "A machine had picked up. It was told nothing.", Reason.MACHINE),
    ],
)
def test_a_call_that_nobody_heard_says_why_and_what_to_do(
    world: World, phone: str, last: str, detail: str, reason: Reason
) -> None:
    sent = world.send(phone)
    world.pass_time(40)
    waiting = tell(world, sent.verification_id)
    assert sentences(waiting)[-1] == last
    assert waiting.story.events[-1].detail == detail
    # The code can still be entered, so the page does not call it over.
    assert waiting.story.reason is Reason.PENDING
    assert waiting.story.explanation.sentence.endswith("The code is still valid.")
    assert waiting.story.explanation.remedy
    assert not waiting.is_settled

    world.clock.move(300)
    expired = tell(world, sent.verification_id)  # no sweep has written so yet
    assert sentences(expired)[-1] == "+300.0 The code expired."
    assert (expired.story.reason, expired.is_settled) == (reason, True)
    assert "The code is read." not in [event.sentence for event in expired.story.events]


def test_a_key_and_a_replay_are_told_apart(world: World) -> None:
    pressed = world.send(PRESSES_1)
    world.pass_time(60)
    events = sentences(tell(world, pressed.verification_id))
    read_again = next(place for place, event in enumerate(events) if event.endswith("The code is read again."))
    assert events[read_again - 1].endswith("Key 1 was pressed.")
    assert not any("replay" in event for event in events)

    sent = world.send()
    world.pass_time(40)
    world.replay(sent.verification_id)
    world.pass_time(40)
    told = tell(world, sent.verification_id)
    assert "+40.0 A replay was asked for: another call was queued." in sentences(told)
    assert not any("Key 1" in event for event in sentences(told))
    assert len({event.call_id for event in told.story.events}) == 3  # none, and two calls


def test_a_replay_in_a_live_call_is_told_as_one(world: World) -> None:
    sent = world.send()
    world.pass_time(5)
    call_id = sent.call_id
    world.pass_time(6.5)
    world.clock.move(12)
    world.replay(sent.verification_id)
    world.work()
    told = tell(world, sent.verification_id)
    again = [event for event in told.story.events if event.sentence == "The code is read again."]
    assert [(event.detail, event.call_id) for event in again] == [("A replay was asked for.", call_id)]


def test_an_unsure_answer_is_offered_the_code(world: World) -> None:
    world.is_lost = lambda event: event.type is EventType.HUMAN
    sent = world.send()
    world.pass_time(1.6)
    world.receive(sent.call_id, EventType.UNSURE, provider_call_id=world.call(sent.call_id).provider_call_id)
    world.pass_time(40)
    told = [event.sentence for event in tell(world, sent.verification_id).story.events]
    assert told[4:] == [
        "Answered.",
        "It could not be told whether a person or a machine answered.",
        "The offer to press 1 was spoken.",
        "Nobody pressed 1.",
        "The call ended without the code.",
    ]


def test_a_wait_says_why(sqlite_db: Database) -> None:
    world = World(sqlite_db, channels=1)
    world.send(phone_number(1))
    world.let_a_moment_pass()
    sent = world.send(phone_number(2))
    world.pass_time(3)
    queued = tell(world, sent.verification_id).story
    assert queued.events[-1].detail == "It waits for a free channel."
    assert queued.explanation.sentence == "The call waits for a free channel."
    world.pass_time(60)
    waited = next(event for event in tell(world, sent.verification_id).story.events if event.sentence == "Queued.")
    assert waited.detail == "It waited 14 s: all channels were in use, or another call to this phone was live."


def test_a_busy_provider_is_told_and_so_is_the_next_try(world: World) -> None:
    world.provider.trouble("dial", fails(ProviderBusy("Too many calls at once.", not_placed=True)))
    sent = world.send()
    world.work()
    told = tell(world, sent.verification_id).story
    assert [event.sentence for event in told.events][-1] == "The provider could not take the call now."
    assert told.events[1].detail == "It waits to be tried again. Too many calls at once."
    world.pass_time(60)
    later = [event.sentence for event in tell(world, sent.verification_id).story.events]
    assert later.count("Dialed.") == 2


def test_wrong_codes_are_told_without_the_codes(world: World) -> None:
    sent = world.send()
    world.pass_time(20)
    code = world.code_of(sent.verification_id)
    world.guess_wrong(sent.verification_id, 5)
    told = tell(world, sent.verification_id)
    wrong = [event.detail for event in told.story.events if event.sentence == "A wrong code was entered."]
    assert wrong == [
        "4 attempts were left.",
        "3 attempts were left.",
        "2 attempts were left.",
        "1 attempt was left.",
        "0 attempts were left.",
    ]
    assert sentences(told)[-1] == "+20.0 Too many wrong codes: the verification ended."
    assert told.story.reason is Reason.ATTEMPTS_EXCEEDED
    assert all(each not in repr(told.story) for each in (code, wrong_code(code)))


def test_what_took_its_place_is_named(world: World) -> None:
    first = world.send()
    world.pass_time(40)
    second = world.send()
    world.send(phone_number(3))
    told = tell(world, first.verification_id).story
    assert (told.events[-1].sentence, told.events[-1].other_id) == (
        "A newer code took the place of this one.",
        second.verification_id,
    )
    assert told.reason is Reason.SUPERSEDED


def test_a_call_finds_its_verification_and_a_stranger_finds_neither(world: World) -> None:
    sent = world.send()
    assert tell(world, sent.call_id).verification.verification_id == sent.verification_id
    stranger = Actor(ActorKind.PERSON, "", frozenset({Scope.CALLS_READ}), owner_ids=frozenset({"globex"}))
    for any_id in (sent.verification_id, sent.call_id, "no id", "\0"):
        with pytest.raises(NotFound):
            browsing(world).tell(stranger, any_id)
    with pytest.raises(NotFound):
        browsing(world).show_phone(stranger, sent.verification_id)
    assert phones_shown(world) == []


def test_who_asks_for_a_phone_is_in_the_audit_trail(world: World) -> None:
    sent = world.send()
    assert browsing(world).show_phone(an_actor(), sent.verification_id) == PHONE
    assert phones_shown(world) == [("acme", {"verification_id": sent.verification_id})]


def phones_shown(world: World) -> list[object]:
    with world.db.read() as connection:
        found = audit_events.list_events(connection, EventQuery(action="phone.shown"))
    return [(event.owner_id, event.detail) for event in found]
