"""Placing and withdrawing calls, erasing what they say, and telling what became of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from letstalk.calls import repository
from letstalk.calls.lifecycle import end_call, fail_call, mark_unknown, place_call, withdraw_calls
from letstalk.calls.models import CallStatus, NewCall, Script, Topic
from letstalk.db.database import Database
from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.provider import CallRefused, OutcomeUnknown
from letstalk.verifications.models import CallAccepted, VerificationStatus
from tests.support.lock_waits import await_who_waits
from tests.support.world import BUSY, MACHINE, NO_ANSWER, NOON, PHONE, World, fails

TIME_OUT = OutcomeUnknown("No response within 5 s.")
REFUSED = CallRefused("The number does not exist.")
MOST_SECONDS = 30


class Silent:
    """A listener of a process that died before it could be told."""

    def call_failed(self, subject_id: str) -> None:
        pass


def script_of(world: World, call_id: str) -> str | None:
    return world.call(call_id).script_sealed


def place(world: World, *, seconds: float = 60) -> str:
    """The id of a call about something that is no verification."""
    sealed = world.vault.encrypt(Script("246810", None).to_json())
    new = NewCall("a subject", "acme", PHONE, sealed, None, world.clock() + timedelta(seconds=seconds))
    with world.db.write() as connection:
        call_id = place_call(connection, new, 0, world.clock())
    world.wakeups.wake(Topic.DISPATCH)
    return call_id


def test_a_call_about_anything_is_placed_and_speaks_its_script(world: World) -> None:
    call_id = place(world)
    world.pass_time(30)
    assert world.heard() == ["246810"]
    assert world.call(call_id).status is CallStatus.COMPLETED
    assert script_of(world, call_id) is None


def test_what_the_call_says_is_what_was_sealed_before_it_had_a_row_of_its_own() -> None:
    assert Script.from_json(b'{"code":"012345","message":null}') == Script("012345", None)
    assert Script.from_json(Script("012345", "Dein Code: {code} ☎").to_json()) == Script(
        "012345", "Dein Code: {code} ☎"
    )


@pytest.mark.parametrize("phone", [PHONE, BUSY, NO_ANSWER, MACHINE])
def test_a_call_that_is_over_holds_no_script(world: World, phone: str) -> None:
    accepted = world.send(phone)
    assert script_of(world, accepted.call_id) is not None
    world.pass_time(60)
    assert world.call(accepted.call_id).is_over
    assert script_of(world, accepted.call_id) is None


def refuse(world: World, accepted: CallAccepted) -> None:
    world.provider.trouble("dial", fails(REFUSED))
    world.pass_time(1)
    assert world.call(accepted.call_id).status is CallStatus.FAILED


def come_too_late(world: World, accepted: CallAccepted) -> None:
    world.clock.move(290)
    world.pass_time(0)
    assert world.call(accepted.call_id).status is CallStatus.FAILED


def end_without_event(world: World, accepted: CallAccepted) -> None:
    world.is_lost = lambda _event: True
    world.provider.trouble("is_alive", *[lambda _carry: False] * 5)
    world.pass_time(60)
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN


def cancel_waiting(world: World, accepted: CallAccepted) -> None:
    world.cancel(accepted.verification_id)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def cancel_live(world: World, accepted: CallAccepted) -> None:
    world.work()
    world.cancel(accepted.verification_id)
    assert not world.call(accepted.call_id).is_over


def approve_live(world: World, accepted: CallAccepted) -> None:
    world.pass_time(8)
    world.check(accepted.verification_id, world.code_of(accepted.verification_id))
    assert not world.call(accepted.call_id).is_over


def withdraw_unknown(world: World, accepted: CallAccepted) -> None:
    lose(world, accepted)
    world.check(accepted.verification_id, world.code_of(accepted.verification_id))
    assert world.call(accepted.call_id).holds_channel


def let_unknown_go(world: World, accepted: CallAccepted) -> None:
    lose(world, accepted)
    assert script_of(world, accepted.call_id) is not None, "an event may still prove that it exists"
    world.clock.move(100)
    world.pass_time(15)
    assert not world.call(accepted.call_id).holds_channel


def expire_live(world: World, accepted: CallAccepted) -> None:
    world.is_lost = lambda _event: True
    world.provider.trouble("is_alive", *[lambda _carry: True] * 50)
    world.work()
    world.change_call(accepted.call_id, speak_before=NOON + timedelta(seconds=1))
    world.clock.move(1)
    assert script_of(world, accepted.call_id) is not None
    world.sweep_slowly()
    assert not world.call(accepted.call_id).is_over


def expire_waiting(world: World, accepted: CallAccepted) -> None:
    world.clock.move(300)
    world.sweep_slowly()
    assert world.call(accepted.call_id).status is CallStatus.QUEUED


def lose(world: World, accepted: CallAccepted) -> None:
    """Nobody can say whether the call was placed."""
    world.provider.trouble("dial", *[fails(TIME_OUT)] * 60)
    world.pass_time(60)
    assert world.call(accepted.call_id).status is CallStatus.UNKNOWN


@pytest.mark.parametrize(
    "end",
    [
        *(refuse, come_too_late, end_without_event, cancel_waiting, cancel_live, approve_live),
        *(withdraw_unknown, let_unknown_go, expire_live, expire_waiting),
    ],
)
def test_a_script_that_is_no_longer_wanted_is_erased(world: World, end: Callable[[World, CallAccepted], None]) -> None:
    accepted = world.send()
    end(world, accepted)
    assert script_of(world, accepted.call_id) is None


def test_an_unknown_call_that_was_withdrawn_is_hung_up_when_it_turns_out_to_exist(world: World) -> None:
    accepted = world.send()
    withdraw_unknown(world, accepted)
    world.receive(accepted.call_id, EventType.ANSWERED)
    world.receive(accepted.call_id, EventType.HUMAN)
    assert world.heard() == []
    assert [command.call_id for command in world.provider.hang_ups] == [accepted.call_id]


def test_an_unknown_call_that_turns_out_to_exist_still_speaks(world: World) -> None:
    accepted = world.send()
    lose(world, accepted)
    world.provider.recover()
    world.receive(accepted.call_id, EventType.ANSWERED)
    world.receive(accepted.call_id, EventType.HUMAN)
    assert [command.call_id for command in world.provider.speeches] == [accepted.call_id]


def test_the_database_refuses_a_script_in_a_call_that_is_over(world: World) -> None:
    accepted = world.send()
    with pytest.raises(Exception, match="script_erased"):
        world.change_call(accepted.call_id, ended_at=NOON, status="busy")


def test_a_withdrawal_that_waits_for_a_claim_hangs_up_what_was_claimed(postgresql_db: Database) -> None:
    world = World(postgresql_db)
    accepted = world.send()
    with ThreadPoolExecutor(1) as threads:
        with world.db.write() as claiming:
            call = repository.lock_call(claiming, accepted.call_id)
            assert call is not None
            canceled = threads.submit(lambda: world.cancel(accepted.verification_id))
            await_who_waits(world.db)
            claimed = {"status": "dialing", "holds_channel": True, "started_at": NOON, "leased_until": NOON}
            repository.update_call(claiming, accepted.call_id, **claimed)
        canceled.result(MOST_SECONDS)
    withdrawn = world.call(accepted.call_id)
    assert (withdrawn.status, withdrawn.is_ending, withdrawn.script_sealed) == (CallStatus.DIALING, True, None)
    world.dispatch.dial(accepted.call_id)
    assert world.provider.dials == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def test_a_claim_that_waits_for_a_withdrawal_claims_nothing(postgresql_db: Database) -> None:
    world = World(postgresql_db)
    accepted = world.send()
    with ThreadPoolExecutor(1) as threads:
        with world.db.write() as withdrawing:
            assert withdraw_calls(withdrawing, accepted.verification_id, "Not needed.", world.clock()) == []
            dispatched = threads.submit(world.dispatch.dispatch)
            await_who_waits(world.db)
        dispatched.result(MOST_SECONDS)
    assert world.provider.dials == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def fail_without_telling(world: World, call_id: str) -> None:
    """The process dies between the commit and the listener."""
    with world.db.write() as connection:
        call = repository.lock_call(connection, call_id)
        assert call is not None
        fail_call(connection, call, "The number does not exist.", world.clock(), Silent())


def test_a_failure_that_was_never_told_is_found_by_the_sweep(world: World) -> None:
    lost, alive = world.send(), world.send(BUSY)
    fail_without_telling(world, lost.call_id)
    assert world.verification(lost.verification_id).status is VerificationStatus.PENDING
    world.verifications.sweep()
    failed = world.verification(lost.verification_id)
    assert (failed.status, failed.speech_sealed) == (VerificationStatus.FAILED, None)
    assert world.verification(alive.verification_id).status is VerificationStatus.PENDING


def test_the_sweep_leaves_alone_what_has_another_call(world: World) -> None:
    accepted = world.send(BUSY)
    world.pass_time(25)
    again = world.replay(accepted.verification_id)
    fail_without_telling(world, again.call_id)
    world.verifications.sweep()
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_a_failure_in_an_event_fails_the_verification_too(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(1)
    world.hang_up(accepted.call_id, HangupCause.NOT_FOUND)
    assert world.verification(accepted.verification_id).status is VerificationStatus.FAILED


def test_a_failure_after_the_deadline_is_not_told(world: World) -> None:
    told: list[str] = []

    class Listening:
        def call_failed(self, subject_id: str) -> None:
            told.append(subject_id)

    late, early = place(world, seconds=0), place(world, seconds=1)
    with world.db.write() as connection:
        for call_id in (late, early):
            call = repository.lock_call(connection, call_id)
            assert call is not None
            fail_call(connection, call, None, world.clock(), Listening())
        assert told == []
    assert told == ["a subject"]


def test_what_ended_in_a_rolled_back_transaction_keeps_its_script_and_is_not_told(world: World) -> None:
    accepted = world.send()

    def end_and_fail() -> None:
        with world.db.write() as connection:
            call = repository.lock_call(connection, accepted.call_id)
            assert call is not None
            end_call(connection, call, CallStatus.BUSY, "Busy.", world.clock())
            raise LookupError

    with pytest.raises(LookupError):
        end_and_fail()
    assert script_of(world, accepted.call_id) is not None


def test_a_call_that_is_marked_unknown_keeps_its_script_and_its_channel(world: World) -> None:
    accepted = world.send()
    world.change_call(accepted.call_id, status="dialing", holds_channel=True, started_at=NOON)
    with world.db.write() as connection:
        call = repository.lock_call(connection, accepted.call_id)
        assert call is not None
        mark_unknown(connection, call, world.clock(), must_be_over_after=timedelta(seconds=150))
    unknown = world.call(accepted.call_id)
    assert (unknown.is_over, unknown.holds_channel, unknown.is_wanted_at(world.clock())) == (True, True, True)
    assert unknown.script_sealed is not None
