"""Finding what waits although no wake-up told of it, and ending what nobody ended."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from letstalk.calls.models import CallStatus
from letstalk.calls.sweeper import NO_EVENT_REASON
from letstalk.db.database import Database
from letstalk.telephony.events import EventType
from letstalk.telephony.provider import ProviderBusy
from letstalk.verifications.models import VerificationStatus
from tests.support.world import NO_ANSWER, NOON, PHONE, PRESSES_1, World, fails, phone_number, refusal_of

UNREACHABLE = ProviderBusy("It has a problem of its own.", not_placed=False)


@pytest.fixture
def world(db: Database) -> World:
    return World(db, sweep_seconds=2)


def test_a_call_that_nobody_was_told_of_is_placed_by_a_sweep(world: World) -> None:
    world.wakeups.is_deaf = True
    world.send()
    world.wakeups.is_deaf = False
    world.pass_time(0)
    assert len(world.provider.dials) == 1


def test_a_call_whose_end_was_never_told_is_asked_about_and_frees_its_channel(world: World) -> None:
    world.is_lost = lambda event: event.type is EventType.HUNG_UP
    accepted = world.send(NO_ANSWER)
    world.pass_time(39)
    assert world.live_calls() == 1
    world.pass_time(3)
    ended = world.call(accepted.call_id)
    assert (ended.status, ended.reason) == (CallStatus.UNKNOWN, NO_EVENT_REASON)
    assert world.live_calls() == 0
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_a_call_that_was_read_is_completed_though_its_end_was_never_told(world: World) -> None:
    world.is_lost = lambda event: event.type in (EventType.HUNG_UP, EventType.GATHER_ENDED)
    accepted = world.send()
    world.pass_time(1.5 + 130 + 4)
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED
    assert world.live_calls() == 0


def test_a_silent_call_that_still_lives_is_left_alone_and_asked_about_again(world: World) -> None:
    asked: list[float] = []

    def alive(_carry: object) -> bool:
        asked.append((world.clock() - NOON).total_seconds())
        return True

    world.provider.trouble("is_alive", *[alive] * 4)
    world.is_lost = lambda _event: True
    accepted = world.send(NO_ANSWER, ttl_seconds=600)
    world.pass_time(65)
    assert len(asked) == 3
    assert all(later - earlier >= 10 for earlier, later in pairwise(asked))
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    assert world.provider.hang_ups == []


def test_a_call_that_lives_beyond_every_limit_is_hung_up(world: World) -> None:
    world.provider.trouble("is_alive", *[lambda _carry: True] * 100)
    world.is_lost = lambda _event: True
    accepted = world.send(NO_ANSWER, ttl_seconds=600)
    world.pass_time(169)
    assert world.provider.hang_ups == []
    world.pass_time(15)
    assert len(world.provider.hang_ups) >= 1
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN
    assert world.live_calls() == 0


def test_while_the_provider_cannot_be_asked_nothing_is_ended(world: World) -> None:
    world.provider.trouble("is_alive", *[fails(UNREACHABLE)] * 5)
    world.is_lost = lambda _event: True
    accepted = world.send(NO_ANSWER)
    world.pass_time(75)
    assert world.live_calls() == 1
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    world.provider.recover()
    world.pass_time(15)
    assert world.live_calls() == 0


def test_a_ringing_call_without_the_providers_id_does_not_keep_its_channel_for_ever(world: World) -> None:
    accepted = world.send()
    world.wakeups.is_deaf = True
    world.receive(accepted.call_id, EventType.INITIATED, provider_call_id=None)
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    world.clock.move(41)
    world.sweeps.sweep()
    assert world.live_calls() == 0
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN


def test_six_seconds_without_a_word_from_detection_the_offer_is_made(world: World) -> None:
    world.is_lost = lambda event: event.type is EventType.HUMAN
    accepted = world.send()
    world.pass_time(1.5 + 5.9)
    assert world.provider.heard == []
    world.pass_time(0.2)
    [(_, offer)] = world.provider.heard
    assert not any(character.isdigit() for character in offer)
    world.pass_time(30)
    assert len(world.provider.heard) == 1
    ended = world.call(accepted.call_id)
    assert ended.status is CallStatus.NO_ANSWER
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_who_takes_up_the_offer_hears_the_code(world: World) -> None:
    world.is_lost = lambda event: event.type is EventType.HUMAN
    accepted = world.send(PRESSES_1)
    code = world.code_of(accepted.verification_id)
    world.pass_time(40)
    assert world.heard(PRESSES_1) == [code]
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_the_offer_is_made_in_time_also_when_the_process_that_was_to_make_it_is_gone(world: World) -> None:
    world.is_lost = lambda event: event.type is EventType.HUMAN
    world.send()
    world.pass_time(2)
    world.crash()
    world.pass_time(5)
    assert world.provider.heard == []
    world.pass_time(2.5)  # within one sweep of the sixth second
    assert len(world.provider.heard) == 1


def test_without_detection_nobody_waits_for_it(db: Database) -> None:
    world = World(db, detect_machines=False, sweep_seconds=2)
    world.provider.trouble("speak", fails(UNREACHABLE))
    world.send()
    world.pass_time(30)
    assert len(world.heard()) == 1
    assert len(world.provider.heard) == 1


def test_what_expired_is_marked_and_its_code_erased(world: World) -> None:
    expired, alive = world.send(ttl_seconds=60), world.send(phone_number(1))
    world.clock.move(60)
    world.sweep_slowly()
    with world.db.read() as connection:
        rows = connection.execute(text("SELECT verification_id, status, speech_sealed FROM verifications")).all()
    by_id = {row.verification_id: (row.status, row.speech_sealed is None) for row in rows}
    assert by_id == {expired.verification_id: ("expired", True), alive.verification_id: ("pending", False)}


def test_a_call_whose_code_expires_while_it_rings_is_hung_up_on_in_silence(world: World) -> None:
    accepted = world.send(ttl_seconds=60)
    world.wakeups.is_deaf = True
    world.clock.move(44)
    world.wakeups.is_deaf = False
    world.provider.trouble("speak", fails(UNREACHABLE, lambda: world.clock.move(20)))
    world.pass_time(30)
    assert world.heard() == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_wrong_codes_are_forgotten_once_they_no_longer_count(world: World) -> None:
    world.guess_wrong(world.send().verification_id, 3)
    world.clock.move(86_399)
    world.sweep_slowly()
    assert rows_in(world, "wrong_codes") == 3
    world.clock.move(2)
    world.sweep_slowly()
    assert rows_in(world, "wrong_codes") == 0


def test_a_sweep_of_nothing_does_nothing(world: World) -> None:
    world.pass_time(10)
    world.sweep_slowly()
    assert world.provider.dials == []


def test_after_a_long_stop_what_waited_is_not_called_but_ended(world: World) -> None:
    accepted = world.send()
    world.crash()
    world.clock.move(6 * 3600)
    code = "123456"
    refusal_of(lambda: world.check(accepted.verification_id, code), "code_expired")
    world.pass_time(4)
    refusal_of(lambda: world.check(accepted.verification_id, code), "code_expired")
    world.sweep_slowly()
    assert world.provider.dials == []
    assert world.call(accepted.call_id).is_over
    assert world.verification(accepted.verification_id).status is VerificationStatus.EXPIRED
    fresh = world.send(PHONE)
    world.pass_time(20)
    assert world.call(fresh.call_id).started_at == NOON + timedelta(hours=6, seconds=4)


def rows_in(world: World, table: str) -> int:
    with world.db.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608  # a test's own
