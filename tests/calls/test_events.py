"""What providers report: kept once, applied once, in whatever order it comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from letstalk.calls import event_repository, repository
from letstalk.calls.events import EventService
from letstalk.calls.models import CallStatus, Command, Topic
from letstalk.core.errors import InvalidSignature
from letstalk.db.database import Database
from letstalk.telephony.events import CallEvent, EventType, HangupCause, WebhookReader, WebhookRequest
from letstalk.telephony.provider import ProviderBusy
from letstalk.verifications.models import VerificationStatus
from tests.support.world import BUSY, MACHINE, NO_ANSWER, NOON, PHONE, World, at_once, fails, loses_the_answer


def ringing(world: World) -> str:
    """The id of a call whose phone rings and rings, so that the test alone says what happens."""
    accepted = world.send(NO_ANSWER)
    world.pass_time(1)
    return accepted.call_id


def event_of(world: World, call_id: str, type_: EventType, event_id: str = "event") -> CallEvent:
    return CallEvent(event_id, type_, world.clock(), call_id, world.call(call_id).provider_call_id)


def waiting_events(world: World) -> int:
    with world.db.read() as connection:
        statement = text("SELECT count(*) FROM webhook_events WHERE applied_at IS NULL")
        return int(connection.execute(statement).scalar_one())


def keep(world: World, event: CallEvent) -> None:
    """Store an event that nobody has applied, as one is left that could not be."""
    with world.db.write() as connection:
        assert event_repository.store_event(connection, event, world.clock(), is_applied=False)


class Telling(WebhookReader):
    """Reads the same event from whatever it is given."""

    def __init__(self, event: CallEvent) -> None:
        self._event = event

    def read(self, *_: Any, **__: Any) -> CallEvent:
        return self._event


def tell(world: World, event: CallEvent) -> None:
    """Send `event` as a webhook."""
    service = EventService(
        world.db, world.commands, world.wakeups, world.clock, world.policy, world.verifications, Telling(event)
    )
    service.receive_webhook(WebhookRequest("POST", "https://calls.example.com/", {}, b""))


def test_an_event_is_applied_as_it_is_stored(world: World) -> None:
    call_id = ringing(world)
    world.wakeups.is_deaf = True
    world.events.receive_event(event_of(world, call_id, EventType.ANSWERED))
    assert world.call(call_id).status is CallStatus.ANSWERED
    assert waiting_events(world) == 0


def test_the_end_of_a_speech_before_the_code_was_spoken_is_not_kept(world: World) -> None:
    call_id = ringing(world)
    before = world.call(call_id)
    for _ in range(2):
        tell(world, event_of(world, call_id, EventType.SPEECH_ENDED, "of no effect"))
    with world.db.read() as connection:
        kept = connection.execute(text("SELECT event_id FROM webhook_events WHERE event_id = 'of no effect'")).all()
    assert kept == []
    assert world.call(call_id) == before


def test_a_call_rang_before_it_was_answered_and_was_heard_before_it_ended(world: World) -> None:
    call_id = world.send().call_id
    world.pass_time(60)
    call = world.call(call_id)
    times = (call.created_at, call.rang_at, call.answered_at, call.heard_at, call.ended_at)
    assert None not in times
    assert list(times) == sorted(time for time in times if time is not None)


def test_the_end_of_a_speech_is_noted_once(world: World) -> None:
    call_id = world.send().call_id
    world.pass_time(4)
    assert world.call(call_id).status is CallStatus.SPEAKING
    assert world.call(call_id).heard_at is None
    for _ in range(2):
        tell(world, event_of(world, call_id, EventType.SPEECH_ENDED, "the end"))
        assert world.call(call_id).heard_at is not None
    first = world.call(call_id).heard_at
    world.clock.move(1)
    tell(world, event_of(world, call_id, EventType.SPEECH_ENDED, "the end, again"))
    assert world.call(call_id).heard_at == first


@pytest.mark.parametrize("phone", [BUSY, NO_ANSWER, MACHINE])
def test_a_call_that_nobody_heard_is_not_noted_as_heard(world: World, phone: str) -> None:
    call_id = world.send(phone).call_id
    world.pass_time(90)
    assert (world.call(call_id).is_over, world.call(call_id).heard_at) == (True, None)


def test_a_call_that_is_hung_up_while_it_speaks_was_not_heard(world: World) -> None:
    call_id = world.send().call_id
    world.pass_time(4)
    assert world.call(call_id).status is CallStatus.SPEAKING
    world.hang_up(call_id, HangupCause.NORMAL)
    tell(world, event_of(world, call_id, EventType.SPEECH_ENDED, "after the end"))
    assert (world.call(call_id).is_over, world.call(call_id).heard_at) == (True, None)


@pytest.mark.parametrize("type_", [EventType.INITIATED, EventType.SPEECH_STARTED])
def test_an_event_that_comes_too_late_to_be_news_is_kept_once_and_changes_nothing(
    world: World, type_: EventType
) -> None:
    accepted = world.send()
    world.pass_time(4)
    before = world.call(accepted.call_id)
    assert before.status is CallStatus.SPEAKING
    for _ in range(2):
        world.events.receive_event(event_of(world, accepted.call_id, type_, "late"))
    with world.db.read() as connection:
        kept = connection.execute(text("SELECT count(*) FROM webhook_events WHERE event_id = 'late'")).scalar_one()
        events = repository.list_call_events(connection, [accepted.call_id])[accepted.call_id]
    assert kept == 1
    assert waiting_events(world) == 0
    assert world.call(accepted.call_id) == before
    assert type_.value not in [name for _, name in events]


@pytest.mark.parametrize("type_", [EventType.INITIATED, EventType.SPEECH_STARTED])
def test_such_an_event_of_no_call_of_ours_is_kept_and_changes_nothing(world: World, type_: EventType) -> None:
    world.events.receive_event(CallEvent("alien", type_, world.clock(), "no call of ours", "p"))
    world.events.receive_event(CallEvent("nameless", type_, world.clock(), None, "p"))
    assert waiting_events(world) == 0


def test_that_a_speech_has_begun_is_news_where_the_answer_to_the_command_was_lost(world: World) -> None:
    world.provider.trouble("speak", loses_the_answer(ProviderBusy("Slow down.")))
    accepted = world.send()
    world.pass_time(2.3)
    assert world.call(accepted.call_id).status is CallStatus.SPEAKING
    assert world.call(accepted.call_id).command is Command.SPEAK_CODE


def test_a_webhook_is_answered_before_the_provider_is_asked_for_anything(world: World) -> None:
    call_id = ringing(world)
    tell(world, event_of(world, call_id, EventType.HUMAN))
    assert world.call(call_id).command is Command.SPEAK_CODE
    assert world.provider.speeches == []
    world.work()
    assert len(world.provider.speeches) == 1
    assert world.call(call_id).command is None


def test_what_a_webhook_asks_for_is_carried_out_also_when_its_wake_up_was_lost(world: World) -> None:
    call_id = ringing(world)
    world.wakeups.is_deaf = True
    tell(world, event_of(world, call_id, EventType.HUMAN))
    world.crash()
    world.wakeups.is_deaf = False
    world.sweeps.sweep()
    world.work()
    assert len(world.provider.speeches) == 1


def test_a_crash_between_an_event_and_what_follows_from_it_is_made_good_once_the_lease_has_run_out(
    world: World,
) -> None:
    call_id = ringing(world)
    world.provider.trouble("speak", fails(KeyError("the process is gone")))
    with pytest.raises(KeyError):
        world.events.receive_event(event_of(world, call_id, EventType.HUMAN))
    world.crash()
    world.clock.move(7.9)
    world.sweeps.sweep()
    world.work()
    assert len(world.provider.speeches) == 1
    world.clock.move(0.2)
    world.sweeps.sweep()
    world.work()
    assert len(world.provider.speeches) == 2
    assert len({speech.command_id for speech in world.provider.speeches}) == 1


def test_an_event_that_could_not_be_applied_is_kept_counted_and_applied_by_a_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_id = ringing(world)
    with monkeypatch.context() as broken:
        broken.setattr(repository, "insert_call_event", nothing_works)
        for _ in range(2):
            world.events.receive_event(event_of(world, call_id, EventType.ANSWERED))
    assert world.call(call_id).status is CallStatus.RINGING
    assert tries_of_waiting(world) == [1]
    world.clock.move(1)
    world.sweeps.sweep()
    world.work()
    assert world.call(call_id).status is CallStatus.ANSWERED
    assert waiting_events(world) == 0


def nothing_works(*_: object) -> None:
    raise KeyError("nothing works")


def tries_of_waiting(world: World) -> list[int]:
    with world.db.read() as connection:
        statement = text("SELECT tries FROM webhook_events WHERE applied_at IS NULL")
        return list(connection.execute(statement).scalars())


def test_an_event_that_comes_three_times_speaks_once(world: World) -> None:
    accepted = world.send()
    world.pass_time(1.9)
    human = event_of(world, accepted.call_id, EventType.HUMAN)
    for _ in range(3):
        world.events.receive_event(human)
        world.work()
    assert len(world.provider.speeches) == 1
    assert world.events_of(accepted.call_id).count("human") == 1


def test_copies_that_come_at_once_are_kept_and_applied_once(world: World) -> None:
    accepted = world.send()
    world.pass_time(1.9)
    human = event_of(world, accepted.call_id, EventType.HUMAN)
    assert at_once([lambda: world.events.receive_event(human)] * 6) == ["ok"] * 6
    assert waiting_events(world) == 0
    assert len(world.provider.speeches) == 1
    assert world.events_of(accepted.call_id).count("human") == 1


def test_of_workers_that_apply_one_event_at_once_one_does(world: World) -> None:
    accepted = world.send()
    world.pass_time(1.9)
    keep(world, event_of(world, accepted.call_id, EventType.HUMAN))
    assert at_once([lambda: world.events.apply_event("event")] * 6) == ["ok"] * 6
    assert waiting_events(world) == 0
    assert len(world.provider.speeches) == 1
    assert world.events_of(accepted.call_id).count("human") == 1


def test_different_events_of_one_call_at_once_speak_once(world: World) -> None:
    accepted = world.send()
    world.pass_time(1.9)
    events = [event_of(world, accepted.call_id, EventType.HUMAN, f"event-{number}") for number in range(6)]
    assert at_once([lambda e=event: world.events.receive_event(e) for event in events]) == ["ok"] * 6  # type: ignore[misc]
    assert len(world.provider.speeches) == 1


def test_a_person_may_be_detected_before_the_answer_is_told(world: World) -> None:
    accepted = world.send()
    world.is_lost = lambda event: event.type is EventType.ANSWERED
    world.pass_time(30)
    world.receive(accepted.call_id, EventType.ANSWERED)
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_an_event_after_the_hang_up_changes_nothing(world: World) -> None:
    call_id = ringing(world)
    world.hang_up(call_id, HangupCause.BUSY)
    ended = world.call(call_id)
    happened = world.events_of(call_id)
    for type_ in EventType:
        world.clock.move(1)
        world.receive(call_id, type_, digits="1", cause=HangupCause.NORMAL)
    assert world.call(call_id) == ended
    assert world.events_of(call_id) == happened
    assert world.provider.speeches == []


def test_an_event_of_a_call_that_is_none_of_ours_is_put_away(world: World) -> None:
    world.receive("no such call", EventType.ANSWERED)
    assert waiting_events(world) == 0


def test_an_event_without_our_call_id_is_known_by_the_providers(world: World) -> None:
    call_id = ringing(world)
    event = replace(event_of(world, call_id, EventType.ANSWERED), call_id=None)
    world.events.receive_event(event)
    world.work()
    assert world.call(call_id).status is CallStatus.ANSWERED


def test_an_event_that_names_no_call_is_put_away(world: World) -> None:
    world.events.receive_event(CallEvent("event", EventType.ANSWERED, world.clock(), None, None))
    world.work()
    assert waiting_events(world) == 0


def test_an_event_that_waits_is_applied_by_a_sweep(world: World) -> None:
    call_id = ringing(world)
    keep(world, event_of(world, call_id, EventType.ANSWERED))
    world.sweeps.sweep()
    world.work()
    assert world.call(call_id).status is CallStatus.RINGING, "it may be being applied right now"
    world.clock.move(1)
    world.sweeps.sweep()
    world.work()
    assert world.call(call_id).status is CallStatus.ANSWERED


def test_an_event_that_cannot_be_applied_is_tried_ten_times_and_then_put_aside(world: World) -> None:
    call_id = ringing(world)
    keep(world, event_of(world, call_id, EventType.ANSWERED))
    with world.db.write() as connection:
        connection.execute(text("UPDATE webhook_events SET type = 'nonsense', tries = 8 WHERE event_id = 'event'"))
    world.events.apply_event("event")
    assert waiting_events(world) == 1
    world.events.apply_event("event")
    assert waiting_events(world) == 0
    assert world.call(call_id).status is CallStatus.RINGING


def test_what_an_event_changes_and_that_it_was_applied_stand_or_fall_together(world: World) -> None:
    call_id = ringing(world)
    keep(world, event_of(world, call_id, EventType.ANSWERED))
    with world.db.write() as connection:
        connection.execute(text("UPDATE webhook_events SET detail = '{}' WHERE event_id = 'event'"))
    with pytest.raises(KeyError):
        world.events.apply_event("event")
    assert waiting_events(world) == 1
    assert world.call(call_id).status is CallStatus.RINGING


@pytest.mark.parametrize("count", [1, 3])
def test_a_number_out_of_service_fails_the_verification_once_no_call_could_be_placed(world: World, count: int) -> None:
    accepted = world.send(NO_ANSWER, ttl_seconds=600)
    world.pass_time(1)
    for _ in range(count):
        world.hang_up(accepted.call_id, HangupCause.NOT_FOUND)
    assert world.call(accepted.call_id).status is CallStatus.FAILED
    assert world.verification(accepted.verification_id).status is VerificationStatus.FAILED


def test_no_webhook_is_believed_where_no_provider_sends_any(sqlite_db: Database) -> None:
    with pytest.raises(InvalidSignature):
        World(sqlite_db).events.receive_webhook(WebhookRequest("POST", "https://calls.example.com/", {}, b"{}"))


def test_the_phone_hears_only_the_offer_when_detection_is_unsure_and_the_code_after_key_1(world: World) -> None:
    accepted = world.send()
    world.is_lost = lambda event: event.type in (EventType.HUMAN, EventType.GATHER_ENDED)
    world.pass_time(2)
    world.receive(accepted.call_id, EventType.UNSURE)
    world.pass_time(1)
    [(_, offer)] = world.provider.heard
    assert not any(character.isdigit() for character in offer)
    world.receive(accepted.call_id, EventType.GATHER_ENDED, digits="1", command_seq=1)
    world.pass_time(1)
    assert world.heard() == [world.code_of(accepted.verification_id)]


def test_a_machines_greeting_that_ends_before_a_result_is_hung_up_on(world: World) -> None:
    accepted = world.send()
    world.is_lost = lambda event: event.type is EventType.HUMAN
    world.pass_time(2)
    world.receive(accepted.call_id, EventType.GREETING_ENDED)
    world.pass_time(2)
    assert world.call(accepted.call_id).status is CallStatus.MACHINE
    assert world.provider.heard == []


def test_key_1_repeats_the_code_three_times_at_most(world: World) -> None:
    accepted = world.send(ttl_seconds=600)
    world.is_lost = lambda event: event.type is EventType.GATHER_ENDED
    world.pass_time(4)
    for seq in range(1, 5):
        world.receive(accepted.call_id, EventType.GATHER_ENDED, digits="1", command_seq=seq)
        world.receive(accepted.call_id, EventType.GATHER_ENDED, digits="1", command_seq=seq, event_id=f"copy-{seq}")
        world.pass_time(1)
    assert len(world.heard()) == 4
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_events_are_forgotten_after_a_week(world: World) -> None:
    call_id = ringing(world)
    world.receive(call_id, EventType.ANSWERED)
    world.clock.now = NOON + timedelta(days=6, hours=23)
    world.sweep_slowly()
    assert kept_events(world) > 0
    world.clock.move(2 * 3600)
    world.sweep_slowly()
    assert kept_events(world) == 0


def test_another_phones_call_is_not_touched(world: World) -> None:
    first, other = ringing(world), world.send(PHONE).call_id
    before = world.call(other)
    world.hang_up(first, HangupCause.BUSY)
    assert world.call(other) == before


def kept_events(world: World) -> int:
    with world.db.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM webhook_events")).scalar_one())


def test_a_phone_that_rings_for_a_call_given_up_is_hung_up_on(world: World) -> None:
    world.provider.trouble("dial", loses_the_answer(ProviderBusy("Telnyx failed (500).", not_placed=False)))
    accepted = world.send(NO_ANSWER)
    world.work()
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    world.cancel(accepted.verification_id)
    world.events.receive_event(CallEvent("stray", EventType.ANSWERED, world.clock(), accepted.call_id, "sim-stray"))
    world.work()
    assert [command.provider_call_id for command in world.provider.hang_ups] == ["sim-stray"]
    assert world.provider.speeches == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    world.events.receive_event(CallEvent("again", EventType.HUMAN, world.clock(), accepted.call_id, "sim-stray"))
    world.work()
    assert len(world.provider.hang_ups) == 1


def test_no_call_is_hung_up_on_because_a_wake_up_says_so(world: World) -> None:
    live, waiting = world.send(), world.send(NO_ANSWER)
    world.dispatch.dispatch()
    for call_id in (live.call_id, waiting.call_id, "no call of ours"):
        world.wakeups.wake(Topic.HANG_UP_STRAY, call_id)
        world.commands.hang_up_stray(call_id)
    assert world.provider.hang_ups == []
    world.pass_time(30)
    assert world.heard(), "the call went on"
