"""The simulator's phone in the hands of a person: the real services on both databases, in a time moved by hand."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select

from letstalk.calls.models import Call, CallStatus
from letstalk.db.database import Database
from letstalk.operations.privacy import PrivacyService
from letstalk.telephony.events import HangupCause
from letstalk.telephony.provider import CallGone, HangUpCommand, SpeakCommand
from letstalk.telephony.simulator.phone import KEPT_FOR, RECORDED_AFTER_PAGE, SimulatedPhone
from letstalk.telephony.simulator.phone_calls import Action, PhoneState
from letstalk.telephony.simulator.repository import simulated_calls
from letstalk.telephony.simulator.timers import Timers
from letstalk.verifications.models import CallAccepted
from tests.support.world import BUSY, PHONE, World, at_once
from tests.telephony.lines import SPEECH

OTHER_PHONE = "+256700123457"


@pytest.fixture
def world(db: Database) -> World:
    """A person looks at the phone's page."""
    world = World(db, has_phone=True)
    world.phone.attend(600)
    return world


def ring(world: World, phone: str = PHONE) -> CallAccepted:
    accepted = world.send(phone)
    world.work()
    return accepted


def act(world: World, accepted: CallAccepted, action: Action, key: str = "") -> bool:
    is_done = world.phone.act(accepted.call_id, action, key)
    world.work()
    return is_done


def state(world: World, accepted: CallAccepted) -> PhoneState:
    call = world.phone.find_call(accepted.call_id)
    assert call is not None
    return call.state


def ended(world: World, accepted: CallAccepted) -> tuple[CallStatus, str | None]:
    call = world.call(accepted.call_id)
    assert call.is_over
    return call.status, call.reason


def test_a_call_rings_until_somebody_answers_and_is_then_told_the_code(world: World) -> None:
    accepted = ring(world)
    world.pass_time(20)
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    assert world.heard() == []

    assert act(world, accepted, Action.ANSWER)
    call = world.phone.find_call(accepted.call_id)
    assert call is not None
    assert call.speech is not None
    assert (call.state, call.speech.language, call.speech.code) == (
        PhoneState.SPEAKING,
        "en-US",
        world.code_of(accepted.verification_id),
    )
    assert " ".join(call.speech.code or "") in call.speech.text
    world.pass_time(60)
    assert ended(world, accepted) == (CallStatus.COMPLETED, "The code was read.")
    assert world.call(accepted.call_id).heard_at is not None
    assert state(world, accepted) is PhoneState.ENDED


@pytest.mark.parametrize(
    ("action", "status", "reason"),
    [
        (Action.DECLINE, CallStatus.REJECTED, "The call was declined."),
        (Action.BUSY, CallStatus.BUSY, "The line was busy."),
        (Action.NO_ANSWER, CallStatus.NO_ANSWER, "Nobody picked up."),
        (Action.VOICEMAIL, CallStatus.MACHINE, "A machine picked up. It was told nothing."),
    ],
)
def test_each_other_button_ends_the_call_as_it_says_and_nothing_is_heard(
    world: World, action: Action, status: CallStatus, reason: str
) -> None:
    accepted = ring(world)
    assert act(world, accepted, action)
    world.pass_time(3)
    assert ended(world, accepted) == (status, reason)
    call = world.phone.find_call(accepted.call_id)
    assert call is not None
    assert (call.state, call.speech) == (PhoneState.ENDED, None)
    assert not act(world, accepted, Action.ANSWER)


def test_nobody_acts_so_the_ringing_ends_also_when_the_process_that_dialed_has_died(world: World) -> None:
    accepted = ring(world)
    world.provider.stop()  # and with it its timers
    world.pass_time(29)
    assert state(world, accepted) is PhoneState.RINGING
    world.pass_time(12)
    assert ended(world, accepted) == (CallStatus.NO_ANSWER, "Nobody picked up.")


def test_key_1_has_the_code_read_again_and_no_other_key_does_anything(world: World) -> None:
    accepted = ring(world)
    act(world, accepted, Action.ANSWER)
    for key in ("5", "#", "", "11", "\u0661"):
        act(world, accepted, Action.KEY, key)
    assert len(world.provider.speeches) == 1
    assert act(world, accepted, Action.KEY, "1")
    assert [speech.command_seq for speech in world.provider.speeches] == [1, 2]
    assert state(world, accepted) is PhoneState.SPEAKING
    assert world.call(accepted.call_id).repeats == 1


def test_hanging_up_ends_the_call_for_everyone(world: World) -> None:
    accepted = ring(world)
    act(world, accepted, Action.ANSWER)
    assert act(world, accepted, Action.HANG_UP)
    assert ended(world, accepted) == (CallStatus.COMPLETED, "The code was read.")
    assert not act(world, accepted, Action.HANG_UP)
    with pytest.raises(CallGone):
        world.provider.hang_up(_hang_up(world.call(accepted.call_id)))
    assert world.live_calls() == 0


def test_who_hangs_up_during_the_code_is_not_said_to_have_heard_it_and_who_listens_is(world: World) -> None:
    hasty, patient = ring(world), ring(world, OTHER_PHONE)
    act(world, hasty, Action.ANSWER)
    act(world, patient, Action.ANSWER)
    act(world, hasty, Action.HANG_UP)
    speech = world.provider.speeches[-1].speech
    world.pass_time(speech.seconds * 1.3 + 1)
    act(world, patient, Action.HANG_UP)
    assert world.call(hasty.call_id).heard_at is None
    assert world.call(patient.call_id).heard_at is not None


def test_of_many_who_press_at_once_one_is_in_time(world: World) -> None:
    accepted = ring(world)
    actions = (Action.ANSWER, Action.DECLINE, Action.BUSY, Action.NO_ANSWER) * 3
    done: list[Action] = []

    def press(action: Action) -> None:
        if world.phone.act(accepted.call_id, action):
            done.append(action)

    assert at_once([partial(press, action) for action in actions]) == ["ok"] * len(actions)
    assert len(done) == 1
    world.work()
    told = set(world.events_of(accepted.call_id)) & {"answered", "rejected", "busy", "no_answer"}
    assert len(told) == 1
    assert len(world.provider.speeches) == (done == [Action.ANSWER])


def test_an_answer_is_not_lost_with_the_process_that_took_it_and_counts_once(world: World) -> None:
    accepted = ring(world)
    dying = SimulatedPhone(world.db, world.vault, world.clock, Timers("dying"), records_all=False)

    class Dying:
        keep_event = staticmethod(world.events.keep_event)

        def apply_event(self, _event_id: str) -> None:
            raise SystemExit

    dying.connect(Dying())
    with pytest.raises(SystemExit):
        dying.act(accepted.call_id, Action.ANSWER)
    assert state(world, accepted) is PhoneState.ANSWERED
    assert world.call(accepted.call_id).status is CallStatus.RINGING
    world.pass_time(12)
    assert state(world, accepted) is PhoneState.SPEAKING
    assert len(world.provider.speeches) == 1


def test_a_repeated_dial_rings_once_whichever_process_repeats_it(world: World) -> None:
    accepted = ring(world)
    [dial] = world.provider.dials
    other = World(world.db, has_phone=True, encryption_keys=world.encryption_keys, clock=world.clock)
    world.clock.move(5)
    assert other.provider.dial(dial) == world.call(accepted.call_id).provider_call_id
    assert len(world.phone.list_calls()) == 1


def test_another_process_speaks_hangs_up_and_asks(world: World) -> None:
    accepted = ring(world)
    call = world.call(accepted.call_id)
    other = World(world.db, has_phone=True, encryption_keys=world.encryption_keys, clock=world.clock)
    provider_call_id = call.provider_call_id or ""
    speak = SpeakCommand(call.call_id, provider_call_id, "c", 1, SPEECH, "1", 4)
    with pytest.raises(CallGone):
        other.provider.speak(speak)
    assert other.phone.act(accepted.call_id, Action.ANSWER)
    assert other.heard() == [world.code_of(accepted.verification_id)]
    other.provider.speak(speak)  # a repeat of the first command, which is ignored
    assert len(other.heard()) == 1
    assert other.provider.is_alive(provider_call_id)
    other.provider.hang_up(_hang_up(call))
    assert not world.provider.is_alive(provider_call_id)


def test_a_number_with_a_habit_keeps_it_and_is_shown(world: World) -> None:
    accepted = ring(world, BUSY)
    world.pass_time(2)
    assert ended(world, accepted) == (CallStatus.BUSY, "The line was busy.")
    [shown] = world.phone.list_calls()
    assert (shown.is_by_hand, shown.state, shown.cause) == (False, PhoneState.ENDED, HangupCause.BUSY)
    assert not world.phone.act(accepted.call_id, Action.ANSWER)


def test_without_the_page_calls_act_by_themselves_and_leave_no_trace(db: Database) -> None:
    world = World(db, has_phone=True)
    accepted = ring(world)
    world.pass_time(40)
    assert ended(world, accepted)[0] is CallStatus.COMPLETED
    assert world.phone.list_calls() == []


def test_after_the_page_was_closed_calls_act_by_themselves_and_are_still_shown_for_a_while(world: World) -> None:
    world.phone.attend(0)
    world.let_a_moment_pass()
    accepted = ring(world)
    world.pass_time(40)
    assert ended(world, accepted)[0] is CallStatus.COMPLETED
    [shown] = world.phone.list_calls()
    assert shown.speech is not None
    assert shown.speech.code == world.code_of(accepted.verification_id)

    world.clock.move(RECORDED_AFTER_PAGE.total_seconds())
    ring(world, OTHER_PHONE)
    assert [call.phone for call in world.phone.list_calls()] == []


def test_what_was_said_is_stored_sealed_and_is_gone_after_ten_minutes(world: World) -> None:
    accepted = ring(world)
    act(world, accepted, Action.ANSWER)
    code = world.code_of(accepted.verification_id)
    with world.db.read() as connection:
        stored = str(connection.execute(select(simulated_calls)).all())
    assert code not in stored
    assert " ".join(code) not in stored
    world.clock.move(KEPT_FOR.total_seconds() + 1)
    assert world.phone.list_calls() == []
    world.phone.forget_old()
    with world.db.read() as connection:
        assert connection.execute(select(simulated_calls)).all() == []


def test_a_person_may_have_a_copy_of_these_calls_and_have_them_erased(world: World) -> None:
    accepted, kept = ring(world), ring(world, OTHER_PHONE)
    act(world, accepted, Action.DECLINE)
    privacy = PrivacyService(world.db, world.clock, default_region=None)
    [copied] = privacy.export_phone(PHONE)["simulated_calls"]
    assert (copied["call_id"], copied["state"]) == (accepted.call_id, "ended")
    assert privacy.erase_phone(PHONE) == 1
    assert [call.call_id for call in world.phone.list_calls()] == [kept.call_id]


def test_a_call_that_is_cancelled_stops_ringing(world: World) -> None:
    accepted = ring(world)
    world.cancel(accepted.verification_id)
    world.pass_time(1)
    assert ended(world, accepted)[0] is CallStatus.CANCELED
    assert state(world, accepted) is PhoneState.ENDED
    assert not act(world, accepted, Action.ANSWER)
    assert world.heard() == []


def test_an_unknown_call_takes_no_action(world: World) -> None:
    assert not world.phone.act("no-such-call", Action.ANSWER)


def _hang_up(call: Call) -> HangUpCommand:
    return HangUpCommand(call.call_id, call.provider_call_id or "", "hang-up")


def test_a_person_who_is_on_the_way_to_the_page_is_waited_for(world: World) -> None:
    world.phone.expect_person(45)  # shorter than the page that is open: changes nothing
    world.pass_time(50)
    assert world.phone.attendance().is_by_hand
    world.phone.attend(2)
    world.phone.expect_person(45)
    world.pass_time(40)
    assert world.phone.attendance().is_by_hand
    world.pass_time(10)
    assert not world.phone.attendance().is_by_hand
