"""Placing calls: as many as there are channels, owners in turn, each exactly once, whatever the provider answers."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from letstalk.calls.dispatcher import TOO_LATE_REASON
from letstalk.calls.lifecycle import LOST_REASON
from letstalk.calls.models import CallStatus
from letstalk.db.database import Database
from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.provider import CallRefused, OutcomeUnknown, ProviderBusy
from letstalk.verifications.models import CallAccepted, VerificationStatus
from tests.support.world import (
    BUSY,
    MACHINE,
    NO_ANSWER,
    NOON,
    PHONE,
    REJECTED,
    World,
    at_once,
    fails,
    loses_the_answer,
    meanwhile,
    phone_number,
    refusal_of,
)

CHANNEL_LIMIT = ProviderBusy("All channels are in use.")
SERVER_ERROR = ProviderBusy("It has a problem of its own.", not_placed=False)
TIME_OUT = OutcomeUnknown("No answer within 5 s.")


class Crash(BaseException):
    """The process is gone, in the middle of what it did."""


def command_ids(world: World) -> list[str]:
    return [dial.command_id for dial in world.provider.dials]


def test_no_more_calls_are_live_than_there_are_channels(db: Database) -> None:
    world = World(db, channels=4)
    live: list[int] = []
    world.provider.trouble("dial", *[meanwhile(lambda: live.append(world.live_calls()))] * 12)
    sent = [world.send(phone_number(number)) for number in range(12)]
    world.pass_time(60)
    assert max(live) == 4
    assert sorted(dial.call_id for dial in world.provider.dials) == sorted(accepted.call_id for accepted in sent)
    assert all(world.call(accepted.call_id).status is CallStatus.COMPLETED for accepted in sent)


def test_a_freed_channel_is_taken_at_once(db: Database) -> None:
    world = World(db, channels=1)
    world.send(BUSY)
    second = world.send()
    world.pass_time(1.5)
    assert world.call(second.call_id).started_at == NOON + timedelta(seconds=1)


def test_owners_take_turns_and_each_owners_calls_come_oldest_first(db: Database) -> None:
    world = World(db, channels=1)
    numbers = iter(range(100))

    def send(owner: str) -> CallAccepted:
        world.clock.move(0.01)
        return world.send(phone_number(next(numbers)), owner=owner)

    sent = {owner: [send(owner) for _ in range(count)] for owner, count in (("a", 3), ("b", 3), ("c", 1))}
    world.pass_time(120)
    owner_of = {accepted.call_id: owner for owner, calls in sent.items() for accepted in calls}
    assert [owner_of[dial.call_id] for dial in world.provider.dials] == ["a", "b", "c", "a", "b", "a", "b"]
    for calls in sent.values():
        dialed = [dial.call_id for dial in world.provider.dials if dial.call_id in {c.call_id for c in calls}]
        assert dialed == [accepted.call_id for accepted in calls]


def test_two_owners_calls_to_one_phone_are_never_live_together(world: World) -> None:
    first = world.send()
    world.let_a_moment_pass()
    second = world.send(owner="globex")
    elsewhere = world.send(phone_number(1), owner="globex")
    world.pass_time(10)
    assert world.call(first.call_id).status is CallStatus.SPEAKING
    assert world.call(second.call_id).status is CallStatus.QUEUED
    assert world.call(elsewhere.call_id).status is CallStatus.SPEAKING
    world.pass_time(30)
    ended, started = world.call(first.call_id).ended_at, world.call(second.call_id).started_at
    assert ended is not None
    assert started is not None
    assert started >= ended
    assert len(world.heard()) == 2


def test_calls_that_wait_for_one_phone_keep_no_channel_from_others(db: Database) -> None:
    world = World(db, channels=3)
    for number in range(4):
        world.send(owner=f"owner-{number}")
    others = [world.send(phone_number(number)) for number in range(2)]
    world.work()
    assert world.live_calls() == 3
    assert all(world.call(other.call_id).status is CallStatus.RINGING for other in others)


def test_dispatchers_at_once_place_each_call_once(db: Database) -> None:
    world = World(db, channels=5)
    for number in range(9):
        world.send(phone_number(number))
    assert at_once([world.dispatch.dispatch] * 6) == ["ok"] * 6
    assert world.live_calls() == 5
    world.work()
    assert len(world.provider.dials) == 5
    assert len({dial.call_id for dial in world.provider.dials}) == 5


def test_of_workers_that_dial_one_call_at_once_one_does(world: World) -> None:
    accepted = world.send()
    world.change_call(accepted.call_id, status="dialing", holds_channel=True, started_at=NOON, leased_until=NOON)
    assert at_once([lambda: world.dispatch.dial(accepted.call_id)] * 6) == ["ok"] * 6
    assert len(world.provider.dials) == 1


@pytest.mark.parametrize(
    ("phone", "status"),
    [
        (BUSY, CallStatus.BUSY),
        (NO_ANSWER, CallStatus.NO_ANSWER),
        (REJECTED, CallStatus.REJECTED),
        (MACHINE, CallStatus.MACHINE),
    ],
)
def test_a_call_that_nobody_takes_leaves_the_verification_pending(world: World, phone: str, status: CallStatus) -> None:
    accepted = world.send(phone)
    world.pass_time(40)
    ended = world.call(accepted.call_id)
    assert ended.status is status
    assert ended.reason
    assert not ended.holds_channel
    assert world.provider.heard == []
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING
    assert world.replay(accepted.verification_id).call_id != accepted.call_id


def test_a_refusal_for_good_fails_call_and_verification_with_the_reason(world: World) -> None:
    world.provider.trouble("dial", fails(CallRefused("The number does not exist.")))
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.pass_time(60)
    failed = world.call(accepted.call_id)
    assert (failed.status, failed.reason) == (CallStatus.FAILED, "The number does not exist.")
    assert len(world.provider.dials) == 1
    assert world.live_calls() == 0
    assert world.verification(accepted.verification_id).speech_sealed is None
    refusal_of(lambda: world.check(accepted.verification_id, code), "verification_failed")


def test_a_refused_replay_leaves_a_verification_pending_whose_first_call_could_be_placed(world: World) -> None:
    accepted = world.send(BUSY)
    world.pass_time(25)
    world.provider.trouble("dial", fails(CallRefused("The number does not exist.")))
    again = world.replay(accepted.verification_id)
    world.pass_time(5)
    assert world.call(again.call_id).status is CallStatus.FAILED
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_a_channel_limit_puts_the_call_back_and_frees_the_channel(world: World) -> None:
    world.provider.trouble("dial", fails(CHANNEL_LIMIT))
    accepted = world.send()
    world.work()
    waiting = world.call(accepted.call_id)
    assert (waiting.status, waiting.holds_channel) == (CallStatus.QUEUED, False)
    assert waiting.reason == "All channels are in use."
    assert NOON + timedelta(seconds=0.5) <= waiting.not_before <= NOON + timedelta(seconds=1)
    world.pass_time(20)
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_what_was_certainly_not_placed_is_dialed_under_a_new_command_id(world: World) -> None:
    world.provider.trouble("dial", fails(CHANNEL_LIMIT), fails(CHANNEL_LIMIT))
    world.send()
    world.pass_time(20)
    assert len(set(command_ids(world))) == 3


def test_after_a_server_error_the_command_id_stays_the_same_for_45_seconds(world: World) -> None:
    world.provider.trouble("dial", *[fails(SERVER_ERROR)] * 3)
    world.send()
    world.pass_time(30)
    assert len(command_ids(world)) == 4
    assert len(set(command_ids(world))) == 1
    assert len(world.heard()) == 1


def test_after_45_seconds_a_server_error_is_followed_by_a_new_command_id(world: World) -> None:
    world.provider.trouble("dial", *[fails(SERVER_ERROR)] * 30)
    accepted = world.send()
    world.pass_time(44.9)
    assert len(set(command_ids(world))) == 1
    world.pass_time(30)
    first, *_, last = command_ids(world)
    assert first != last
    assert world.call(accepted.call_id).status is not CallStatus.UNKNOWN


def test_the_pause_grows_and_is_as_long_as_the_provider_asks(world: World) -> None:
    world.provider.trouble("dial", fails(ProviderBusy("Slow down.", retry_after_seconds=20)))
    world.send()
    world.pass_time(19.9)
    assert len(world.provider.dials) == 1
    world.pass_time(0.2)
    assert len(world.provider.dials) == 2


def test_a_call_is_put_back_while_its_code_lives_and_then_fails(world: World) -> None:
    world.provider.trouble("dial", *[fails(CHANNEL_LIMIT)] * 200)
    accepted = world.send()
    world.pass_time(280)
    tries = len(world.provider.dials)
    assert 15 <= tries <= 40
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    world.pass_time(20)
    failed = world.call(accepted.call_id)
    assert (failed.status, failed.reason) == (CallStatus.FAILED, TOO_LATE_REASON)
    assert world.verification(accepted.verification_id).status is VerificationStatus.FAILED
    world.pass_time(60)
    assert len(world.provider.dials) <= tries + 2


def test_what_would_expire_before_it_is_heard_is_not_placed(world: World) -> None:
    accepted = world.send(ttl_seconds=60)
    world.clock.move(46)
    world.work()
    assert world.provider.dials == []
    assert world.call(accepted.call_id).reason == TOO_LATE_REASON
    assert world.verification(accepted.verification_id).status is VerificationStatus.FAILED


def test_the_simulators_speed_shortens_what_is_too_late(db: Database) -> None:
    world = World(db, simulator_speed=100)
    world.send(ttl_seconds=60)
    world.clock.move(59)
    world.work()
    assert len(world.provider.dials) == 1


def test_after_a_time_out_the_same_command_is_repeated_and_rings_once(db: Database) -> None:
    world = World(db, sweep_seconds=2)
    world.provider.trouble("dial", loses_the_answer(TIME_OUT))
    world.is_lost = lambda event: event.type is not EventType.HUNG_UP and len(world.provider.dials) < 2
    accepted = world.send(NO_ANSWER)
    world.work()
    assert world.call(accepted.call_id).status is CallStatus.DIALING
    world.pass_time(20)
    assert len(command_ids(world)) == 2
    assert len(set(command_ids(world))) == 1
    assert world.call(accepted.call_id).status is CallStatus.RINGING


def test_a_call_that_can_neither_be_proved_nor_disproved_becomes_unknown_and_is_never_repeated(db: Database) -> None:
    world = World(db, sweep_seconds=2)
    world.provider.trouble("dial", *[fails(TIME_OUT)] * 60)
    accepted = world.send(ttl_seconds=600)
    world.pass_time(44)
    assert world.call(accepted.call_id).status is CallStatus.DIALING
    assert len(set(command_ids(world))) == 1
    world.pass_time(6)
    lost = world.call(accepted.call_id)
    assert (lost.status, lost.reason, lost.holds_channel) == (CallStatus.UNKNOWN, LOST_REASON, True)
    assert lost.ended_at is not None
    tries = len(world.provider.dials)
    # 30 s of ringing and 120 s of talking after the first try it is over, wherever it was.
    world.pass_time(149 - 50)
    assert world.live_calls() == 1
    world.pass_time(4)
    assert world.live_calls() == 0
    assert len(world.provider.dials) == tries
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_a_limit_says_nothing_of_an_earlier_try_that_may_have_got_through(world: World) -> None:
    world.provider.trouble("dial", fails(TIME_OUT), fails(CHANNEL_LIMIT), fails(TIME_OUT))
    accepted = world.send()
    world.pass_time(35)
    assert len(set(command_ids(world))) == 1
    assert len(command_ids(world)) == 4
    assert "put_back" not in world.events_of(accepted.call_id)


def test_while_a_call_may_be_live_no_other_is_placed_to_its_phone(db: Database) -> None:
    world = World(db, sweep_seconds=2)
    world.provider.trouble("dial", *[fails(TIME_OUT)] * 60)
    world.send(ttl_seconds=600)
    world.let_a_moment_pass()
    other = world.send(owner="globex", ttl_seconds=600)
    world.pass_time(140)
    assert world.call(other.call_id).status is CallStatus.QUEUED
    world.provider.recover()
    world.pass_time(40)
    assert world.call(other.call_id).status is CallStatus.COMPLETED


def test_a_crash_while_dialing_is_made_good_once_the_lease_has_run_out(db: Database) -> None:
    world = World(db, sweep_seconds=2)
    world.provider.trouble("dial", loses_the_answer(Crash()))
    world.is_lost = lambda _event: len(world.provider.dials) < 2
    accepted = world.send(NO_ANSWER)
    with pytest.raises(Crash):
        world.work()
    world.crash()
    world.pass_time(7.9)
    assert len(world.provider.dials) == 1
    world.pass_time(2.5)
    assert len(command_ids(world)) == 2
    assert len(set(command_ids(world))) == 1
    assert world.call(accepted.call_id).status is CallStatus.RINGING


@pytest.mark.parametrize("error", [SERVER_ERROR, CHANNEL_LIMIT, CallRefused("No."), TIME_OUT], ids=str)
def test_who_answers_when_the_lease_has_run_out_frees_nothing_of_the_one_who_took_it_over(
    db: Database, error: Exception
) -> None:
    world = World(db, channels=1)
    accepted = world.send(NO_ANSWER)
    is_dialed, may_fail, may_succeed = threading.Event(), threading.Event(), threading.Event()
    world.provider.trouble("dial", fails(error, may_fail.wait), meanwhile(is_dialed.set, may_succeed.wait))
    first = threading.Thread(target=world.work)
    first.start()
    while not world.provider.dials:
        time.sleep(0.005)
    world.clock.move(8.1)
    second = threading.Thread(target=lambda: world.dispatch.dial(accepted.call_id))
    second.start()
    assert is_dialed.wait(30)
    may_fail.set()
    first.join(30)
    held_meanwhile = world.live_calls()
    may_succeed.set()
    second.join(30)
    assert len(set(command_ids(world))) == 1
    assert held_meanwhile == 1, "the phone rings for the second worker's dial"
    call = world.call(accepted.call_id)
    assert (call.status, call.holds_channel) == (CallStatus.RINGING, True)
    assert len(world.provider.dials) == 2


def test_a_call_that_was_put_back_and_turns_out_to_be_placed_holds_its_channel(db: Database) -> None:
    world = World(db, channels=1)
    accepted = world.send(NO_ANSWER)
    back = {"status": "queued", "holds_channel": False, "started_at": None, "is_uncertain": False}
    world.provider.trouble("dial", meanwhile(lambda: world.change_call(accepted.call_id, **back)))
    world.work()
    call = world.call(accepted.call_id)
    assert (call.status, call.holds_channel) == (CallStatus.RINGING, True)
    assert call.started_at is not None


def test_a_crash_between_claim_and_dial_loses_nothing(world: World) -> None:
    accepted = world.send()
    world.change_call(accepted.call_id, status="dialing", holds_channel=True, started_at=NOON, leased_until=NOON)
    world.crash()
    world.pass_time(30)
    assert len(world.heard()) == 1


def test_a_verification_that_is_canceled_while_it_is_dialed_is_hung_up_on_in_silence(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("dial", meanwhile(lambda: world.cancel(accepted.verification_id)))
    world.work()
    assert len(world.provider.hang_ups) == 1
    world.pass_time(20)
    assert world.provider.speeches == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_a_verification_that_expires_while_it_is_dialed_is_hung_up_on_in_silence(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("dial", meanwhile(lambda: world.clock.move(300)))
    world.work()
    world.pass_time(20)
    assert world.provider.speeches == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def test_a_verification_that_is_over_before_its_claimed_call_is_dialed_is_not_dialed(world: World) -> None:
    accepted = world.send()
    world.change_call(accepted.call_id, status="dialing", holds_channel=True, started_at=NOON, leased_until=NOON)
    world.cancel(accepted.verification_id)
    world.dispatch.dial(accepted.call_id)
    assert world.provider.dials == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_a_call_that_is_canceled_while_a_channel_limit_is_met_is_not_placed_again(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("dial", fails(CHANNEL_LIMIT, lambda: world.cancel(accepted.verification_id)))
    world.pass_time(60)
    assert len(world.provider.dials) == 1
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def test_events_that_come_before_the_dials_answer_count(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("dial", meanwhile(lambda: world.pass_time(3)))
    world.work()
    assert world.call(accepted.call_id).status is CallStatus.SPEAKING
    world.pass_time(30)
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_a_call_that_ends_before_the_dials_answer_stays_ended(world: World) -> None:
    accepted = world.send(BUSY)
    world.provider.trouble("dial", meanwhile(lambda: world.pass_time(3)))
    world.work()
    world.pass_time(10)
    assert world.call(accepted.call_id).status is CallStatus.BUSY
    assert world.live_calls() == 0


def test_an_event_takes_a_call_out_of_the_queue_that_a_server_error_had_put_back(world: World) -> None:
    world.provider.trouble("dial", loses_the_answer(SERVER_ERROR))
    accepted = world.send()
    world.work()
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    world.pass_time(0.2)
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    assert world.live_calls() == 1
    world.pass_time(30)
    assert len(world.provider.dials) == 1
    assert len(world.heard()) == 1


def test_an_event_brings_an_unknown_call_back(db: Database) -> None:
    world = World(db, sweep_seconds=2)
    world.provider.trouble("dial", *[fails(TIME_OUT)] * 60)
    accepted = world.send(ttl_seconds=600)
    world.pass_time(50)
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN
    world.receive(accepted.call_id, EventType.ANSWERED)
    revived = world.call(accepted.call_id)
    assert (revived.status, revived.ended_at, revived.holds_channel) == (CallStatus.ANSWERED, None, True)
    world.hang_up(accepted.call_id, HangupCause.NORMAL)
    assert world.call(accepted.call_id).status is CallStatus.REJECTED
    assert world.live_calls() == 0


def test_a_process_that_dies_every_other_second_loses_no_call_and_reads_it_once(db: Database) -> None:
    world = World(db, channels=2, sweep_seconds=2)
    sent = [world.send(phone_number(number)) for number in range(4)]
    for _ in range(40):
        world.pass_time(1.9)
        world.crash()
    assert [len(world.heard(phone_number(number))) for number in range(4)] == [1] * 4
    assert {world.call(accepted.call_id).status for accepted in sent} == {CallStatus.COMPLETED}
    assert len(command_ids(world)) == len(set(command_ids(world))) == 4


def test_a_call_speaks_to_nobody_who_was_not_asked_for(world: World) -> None:
    world.send()
    world.pass_time(30)
    assert {phone for phone, _ in world.provider.heard} == {PHONE}
