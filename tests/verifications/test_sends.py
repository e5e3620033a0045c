"""Sending and replaying codes: what is accepted, what is refused, and what becomes of the older call."""

from __future__ import annotations

from datetime import timedelta

import pytest

from letstalk.calls.models import CallStatus
from letstalk.core.errors import Conflict, DestinationBlocked, InvalidPhone, InvalidRequest
from letstalk.core.rates import Rate
from letstalk.db.database import Database
from letstalk.telephony.events import HangupCause
from letstalk.verifications.models import VerificationStatus
from tests.support.world import (
    NO_ANSWER,
    NOON,
    OWNER_RATES,
    PHONE,
    PHONE_RATES,
    World,
    at_once,
    phone_number,
    refusal_of,
    wrong_code,
)


def test_an_accepted_send_is_a_pending_verification_with_a_waiting_call(world: World) -> None:
    accepted = world.send("+256 700 123456")
    assert accepted.call_status == "queued"
    assert (accepted.phone, accepted.expires_in) == (PHONE, 300)
    assert accepted.expires_at == "2026-11-20T12:05:00.000Z"
    assert (accepted.attempts_remaining, accepted.replays_remaining) == (5, 3)
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    assert world.provider.dials == []


def test_length_and_life_of_a_code_are_as_asked(world: World) -> None:
    accepted = world.send(code_length=10, ttl_seconds=60)
    assert len(world.code_of(accepted.verification_id)) == 10
    assert accepted.expires_in == 60
    assert world.verification(accepted.verification_id).expires_at == NOON + timedelta(seconds=60)


def test_the_phone_hears_the_very_code_that_is_accepted(world: World) -> None:
    accepted = world.send()
    world.pass_time(15)
    [code] = world.heard()
    assert world.check(accepted.verification_id, code).pending.verification_id == accepted.verification_id


def test_neither_code_nor_message_stands_in_the_database_in_plain(world: World) -> None:
    accepted = world.send(message="The cake is {code}.")
    code = world.code_of(accepted.verification_id)
    row = world.verification(accepted.verification_id)
    assert code not in row.code_digest
    assert row.speech_sealed is not None
    assert code not in row.speech_sealed
    assert "cake" not in row.speech_sealed


@pytest.mark.parametrize("phone", ["+12", "0700 123456", "hello"])
def test_what_is_no_phone_is_refused_and_nothing_is_written(world: World, phone: str) -> None:
    with pytest.raises(InvalidPhone):
        world.send(phone)
    world.pass_time(5)
    assert world.provider.dials == []


@pytest.mark.parametrize("phone", ["+19002345678", "+85021234567"])
def test_premium_numbers_and_blocked_countries_are_refused(world: World, phone: str) -> None:
    with pytest.raises(DestinationBlocked):
        world.send(phone)


@pytest.mark.parametrize("message", ["<speak>{code}</speak>", "{code} {code} {code}", "a\x00b", "a" * 301])
def test_a_message_that_cannot_be_spoken_is_refused_before_anything_is_written(world: World, message: str) -> None:
    with pytest.raises(InvalidRequest):
        world.send(message=message)
    world.send()  # no cool-down: nothing was accepted


def test_within_30_seconds_no_second_code_can_be_had(world: World) -> None:
    first = world.send()
    world.clock.move(29.5)
    assert refusal_of(world.send, "resend_too_soon").retry_after_seconds == 1
    assert world.verification(first.verification_id).status is VerificationStatus.PENDING
    world.clock.move(0.5)
    world.send()
    assert world.verification(first.verification_id).status is VerificationStatus.SUPERSEDED


def test_the_cool_down_holds_after_a_cancel_and_after_an_approval(world: World) -> None:
    first = world.send()
    world.cancel(first.verification_id)
    refusal_of(world.send, "resend_too_soon")
    other = world.send(phone_number(1))
    world.check(other.verification_id, world.code_of(other.verification_id))
    refusal_of(lambda: world.send(phone_number(1)), "resend_too_soon")


def test_a_refused_send_does_not_lengthen_the_cool_down(world: World) -> None:
    world.send()
    for _ in range(29):
        world.clock.move(1)
        refusal_of(world.send, "resend_too_soon")
    world.clock.move(1)
    world.send()


def test_the_cool_down_is_each_owners_and_each_phones_own(world: World) -> None:
    world.send()
    world.send(owner="globex")
    world.send(phone_number(1))


def test_a_newer_code_ends_the_older_ones_waiting_call(world: World) -> None:
    first = world.send()
    world.clock.move(30)
    second = world.send()
    old_code_is_dead = world.call(first.call_id)
    assert old_code_is_dead.status is CallStatus.CANCELED
    assert world.verification(first.verification_id).speech_sealed is None
    world.pass_time(15)
    assert [dial.call_id for dial in world.provider.dials] == [second.call_id]


def test_a_newer_code_hangs_up_the_older_ones_live_call_and_waits_for_its_end(world: World) -> None:
    first = world.send(NO_ANSWER)
    world.pass_time(29)
    assert world.call(first.call_id).status is CallStatus.RINGING
    world.clock.move(1)
    second = world.send(NO_ANSWER)
    assert world.live_calls() == 1
    world.pass_time(3)
    assert world.call(first.call_id).status is CallStatus.CANCELED
    assert world.call(second.call_id).status is CallStatus.RINGING
    assert world.live_calls() == 1


def test_the_older_code_is_not_accepted_once_a_newer_was_sent(world: World) -> None:
    first = world.send()
    old_code = world.code_of(first.verification_id)
    world.clock.move(30)
    second = world.send()
    refusal_of(lambda: world.check(first.verification_id, old_code), "verification_superseded")
    if old_code != world.code_of(second.verification_id):
        refusal_of(lambda: world.check_phone(PHONE, old_code), "invalid_code")


def test_what_had_expired_when_a_newer_code_was_sent_stays_expired(world: World) -> None:
    first = world.send(ttl_seconds=60)
    code = world.code_of(first.verification_id)
    world.clock.move(60)
    world.send()
    assert world.verification(first.verification_id).status is VerificationStatus.EXPIRED
    refusal_of(lambda: world.check(first.verification_id, code), "code_expired")


def test_a_verification_that_no_sweep_ended_for_days_does_not_stand_in_the_way(world: World) -> None:
    first = world.send()
    world.clock.move(25 * 3600)
    world.send()
    assert world.verification(first.verification_id).status is VerificationStatus.EXPIRED


def test_of_two_sends_at_once_one_is_accepted(world: World) -> None:
    assert sorted(at_once([world.send, world.send])) == ["ok", "resend_too_soon"]


def test_two_owners_may_send_to_one_phone_at_once(world: World) -> None:
    owners = ["acme", "globex", "initech"]
    assert at_once([lambda owner=owner: world.send(owner=owner) for owner in owners]) == ["ok"] * 3  # type: ignore[misc]


def test_an_owners_phone_is_called_five_times_in_ten_minutes(db: Database) -> None:
    world = World(db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
    for _ in range(5):
        world.send()
        world.clock.move(60)
    refusal = refusal_of(world.send, "phone_limit")
    assert refusal.retry_after_seconds == 300
    world.clock.move(300)
    world.send()


def test_an_owners_phone_is_called_ten_times_a_day(db: Database) -> None:
    world = World(db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
    for _ in range(10):
        world.send()
        world.clock.move(601)
    refusal = refusal_of(world.send, "phone_limit")
    assert refusal.retry_after_seconds == 86400 - 6010
    world.send(phone_number(1))


def test_a_phone_is_called_ten_times_in_ten_minutes_over_all_owners_and_the_text_does_not_tell_which(
    db: Database,
) -> None:
    world = World(db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
    for number in range(10):
        world.send(owner=f"owner-{number}")
    of_all = refusal_of(lambda: world.send(owner="newcomer"), "phone_limit")
    for _ in range(5):
        world.send(phone_number(1))
        world.clock.move(31)
    of_owner = refusal_of(lambda: world.send(phone_number(1)), "phone_limit")
    assert of_all.message == of_owner.message


def test_a_limit_holds_for_parallel_sends_of_many_owners(db: Database) -> None:
    world = World(db, phone_rates=(Rate(3, 600),))
    outcomes = at_once([lambda number=n: world.send(owner=f"owner-{number}") for n in range(12)])  # type: ignore[misc]
    assert sorted(outcomes) == ["ok"] * 3 + ["phone_limit"] * 9


def test_calls_that_replays_place_count_and_readings_in_a_live_call_do_not(db: Database) -> None:
    world = World(db, owner_rates=(Rate(2, 600),))
    accepted = world.send()
    world.pass_time(25)  # read, and hung up
    world.replay(accepted.verification_id)  # the second call
    world.pass_time(25)
    refusal_of(lambda: world.replay(accepted.verification_id), "phone_limit")
    world.clock.move(30)
    refusal_of(world.send, "phone_limit")


def test_a_refused_replay_spends_none(db: Database) -> None:
    world = World(db, owner_rates=(Rate(1, 600),))
    accepted = world.send()
    world.pass_time(25)
    refusal_of(lambda: world.replay(accepted.verification_id), "phone_limit")
    assert world.verification(accepted.verification_id).replays_remaining == 3


def test_a_replay_is_the_same_code_with_the_same_expiry(world: World) -> None:
    accepted = world.send()
    world.pass_time(25)
    again = world.replay(accepted.verification_id)
    assert (again.verification_id, again.expires_at) == (accepted.verification_id, accepted.expires_at)
    assert (again.expires_in, again.replays_remaining) == (275, 2)
    assert again.call_id != accepted.call_id
    world.pass_time(25)
    first, second = world.heard()
    assert first == second
    assert world.check(accepted.verification_id, second)


def test_a_replay_is_spoken_into_the_call_that_is_still_on_the_line(world: World) -> None:
    accepted = world.send()
    world.pass_time(5)
    world.clock.move(15)  # the phone stands still: it has not finished listening
    again = world.replay(accepted.verification_id)
    assert (again.call_id, again.call_status) == (accepted.call_id, "speaking")
    world.pass_time(30)
    assert len(world.heard()) == 2
    assert len(world.provider.dials) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_a_replay_while_the_call_is_being_hung_up_places_a_new_call(world: World) -> None:
    accepted = world.send()
    world.is_lost = lambda event: event.cause is not None  # the hang-up is still on its way
    world.pass_time(20)
    assert world.provider.hang_ups
    assert not world.call(accepted.call_id).is_over
    again = world.replay(accepted.verification_id)
    assert again.call_id != accepted.call_id
    world.is_lost = lambda _event: False
    world.hang_up(accepted.call_id, HangupCause.NORMAL)
    world.pass_time(15)
    assert len(world.heard()) == 2


def test_no_replay_within_20_seconds_of_the_send_or_the_last_replay(world: World) -> None:
    accepted = world.send()
    world.pass_time(19)
    assert refusal_of(lambda: world.replay(accepted.verification_id), "replay_too_soon").retry_after_seconds == 1
    world.pass_time(1)
    world.replay(accepted.verification_id)
    world.pass_time(19)
    assert refusal_of(lambda: world.replay(accepted.verification_id), "replay_too_soon").retry_after_seconds == 1


def test_no_replay_while_the_call_waits_or_rings(world: World) -> None:
    waiting = world.send()
    world.clock.move(21)
    refusal_of(lambda: world.replay(waiting.verification_id), "replay_too_soon")
    ringing = world.send(NO_ANSWER)
    world.pass_time(21)
    refusal_of(lambda: world.replay(ringing.verification_id), "replay_too_soon")
    assert world.verification(ringing.verification_id).replays_remaining == 3


def test_three_replays_and_no_more(world: World) -> None:
    accepted = world.send(ttl_seconds=600)
    for _ in range(3):
        world.pass_time(25)
        world.replay(accepted.verification_id)
    world.pass_time(25)
    with pytest.raises(Conflict) as caught:
        world.replay(accepted.verification_id)
    assert caught.value.code == "replays_exhausted"
    assert len(world.heard()) == 4


def test_of_replays_at_once_one_is_accepted(world: World) -> None:
    accepted = world.send()
    world.pass_time(25)
    outcomes = at_once([lambda: world.replay(accepted.verification_id)] * 4)
    assert sorted(outcomes) == ["ok", *["replay_too_soon"] * 3]
    assert len(world.calls_of(accepted.verification_id)) == 2


def test_what_is_over_is_not_replayed(world: World) -> None:
    accepted = world.send()
    world.pass_time(25)
    world.check(accepted.verification_id, world.code_of(accepted.verification_id))
    refusal_of(lambda: world.replay(accepted.verification_id), "code_used")
    expired = world.send(phone_number(1))
    world.clock.move(300)
    refusal_of(lambda: world.replay(expired.verification_id), "code_expired")


def test_nobody_replays_anothers_verification(world: World) -> None:
    accepted = world.send()
    world.pass_time(25)
    refusal_of(lambda: world.replay(accepted.verification_id, owner="globex"), "no_pending_verification")


def test_after_ten_wrong_codes_nothing_can_be_sent_or_replayed(world: World) -> None:
    first = world.send()
    world.guess_wrong(first.verification_id, 5)
    world.clock.move(30)
    second = world.send()
    world.pass_time(25)
    code = world.code_of(second.verification_id)
    world.guess_wrong(second.verification_id, 4)
    world.clock.move(10)
    refusal_of(lambda: world.check(second.verification_id, wrong_code(code)), "invalid_code")
    assert refusal_of(world.send, "too_many_failures").retry_after_seconds == 3600 - 65
    refusal_of(lambda: world.replay(second.verification_id), "too_many_failures")
    world.send(owner="globex")
    world.clock.move(3600 - 65)
    world.send()


def test_the_queue_is_full_when_the_code_would_be_dead_before_it_is_heard(db: Database) -> None:
    world = World(db, channels=1)
    for number in range(10):
        world.send(phone_number(number))  # the tenth waits 9 times 25 s
    # Ten ahead are 250 s, and 30 s to hear it: a code of 300 s lives long enough, one of 270 s does not.
    refusal = refusal_of(lambda: world.send(phone_number(10), ttl_seconds=270), "queue_full")
    assert refusal.retry_after_seconds is not None
    assert refusal.retry_after_seconds >= 1
    world.send(phone_number(10))
    refusal_of(lambda: world.send(phone_number(11)), "queue_full")
    world.send(phone_number(11), ttl_seconds=600)


def test_a_full_queue_refuses_without_ending_the_older_code(db: Database) -> None:
    world = World(db, channels=1)
    first, *_ = [world.send(phone_number(number)) for number in range(11)]
    world.clock.move(30)
    refusal_of(lambda: world.send(phone_number(0), ttl_seconds=60), "queue_full")
    assert world.check_phone(phone_number(0), world.code_of(first.verification_id))


def test_calls_on_the_line_stand_in_the_queue_too(db: Database) -> None:
    world = World(db, channels=1)
    world.send(NO_ANSWER)
    world.pass_time(1)
    assert world.live_calls() == 1
    # One ahead: 25 s + 30 s.
    world.send(phone_number(1), ttl_seconds=60)
    # Two ahead: 50 s + 30 s.
    refusal_of(lambda: world.send(phone_number(2), ttl_seconds=60), "queue_full")


def test_other_owners_calls_that_come_later_do_not_count_as_ahead(db: Database) -> None:
    world = World(db, channels=1)
    for number in range(11):
        world.send(phone_number(number))
    refusal_of(lambda: world.send(phone_number(50)), "queue_full")
    world.send(phone_number(50), owner="globex", ttl_seconds=60)  # its turn comes second


def test_how_long_finished_calls_took_decides_once_there_are_any(db: Database) -> None:
    world = World(db, channels=1)
    first = world.send()
    world.pass_time(60)
    took = world.call(first.call_id).duration_seconds
    assert took is not None
    assert 10 < took < 16
    world.start()  # the mean is kept for a second
    for number in range(17):
        world.send(phone_number(number))  # 16 times 14 s are less than 270 s, 16 times 25 s are more


@pytest.mark.parametrize("speed", [100.0])
def test_the_assumed_length_is_divided_by_the_simulators_speed(db: Database, speed: float) -> None:
    world = World(db, channels=1, simulator_speed=speed)
    for number in range(60):
        world.send(phone_number(number))
