"""Carrying out what a live call needs: speak once, to people, while the code lives; hang up until it is done."""

from __future__ import annotations

import re
import threading
import time

import pytest

from letstalk.calls import repository
from letstalk.calls.commands import SPEECHLESS_REASON
from letstalk.calls.models import CallStatus, Command, Spoken
from letstalk.db.database import Database
from letstalk.telephony.events import EventType
from letstalk.telephony.provider import CallGone, CallRefused, OutcomeUnknown, ProviderBusy
from letstalk.verifications.models import VerificationStatus
from tests.support.world import NO_ANSWER, PHONE, PRESSES_1, World, at_once, fails, loses_the_answer, meanwhile

BUSY_PROVIDER = ProviderBusy("Slow down.")
TIME_OUT = OutcomeUnknown("No answer within 5 s.")


@pytest.fixture
def world(db: Database) -> World:
    return World(db, sweep_seconds=2)


def test_the_code_is_read_digit_by_digit_in_the_language_of_the_phone(world: World) -> None:
    accepted = world.send("+33612345678")
    code = world.code_of(accepted.verification_id)
    world.pass_time(10)
    [speech] = world.provider.speeches
    assert speech.speech.language == "fr-FR"
    assert code not in speech.speech.ssml
    assert re.sub(r"\D", "", speech.speech.text) == code * 2
    assert (speech.valid_digits, speech.command_seq) == ("1", 1)


def test_the_custom_message_is_what_is_heard(world: World) -> None:
    accepted = world.send(message="The door opens with {code}. Bye.")
    code = world.code_of(accepted.verification_id)
    world.pass_time(10)
    [(_, text)] = world.provider.heard
    assert text.startswith("The door opens with")
    assert "Bye. Again:" in text
    assert re.sub(r"\D", "", text) == code * 2


def test_key_1_hears_the_code_again(world: World) -> None:
    accepted = world.send(PRESSES_1)
    world.pass_time(40)
    assert len(world.heard(PRESSES_1)) == 2
    assert len(set(world.heard(PRESSES_1))) == 1
    ended = world.call(accepted.call_id)
    assert (ended.status, ended.repeats) == (CallStatus.COMPLETED, 1)
    assert world.verification(accepted.verification_id).replays_remaining == 3


def test_a_speech_that_failed_is_tried_again_and_heard_once(world: World) -> None:
    world.provider.trouble("speak", fails(BUSY_PROVIDER), fails(TIME_OUT))
    world.send()
    world.pass_time(30)
    assert len(world.provider.speeches) == 3
    assert len(world.heard()) == 1


def test_a_speech_whose_answer_was_lost_is_repeated_under_the_same_command_id_and_heard_once(world: World) -> None:
    world.provider.trouble("speak", loses_the_answer(TIME_OUT))
    accepted = world.send()
    world.pass_time(30)
    assert len({speech.command_id for speech in world.provider.speeches}) == 1
    assert len(world.provider.speeches) == 2
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_a_speech_whose_answers_are_all_lost_ends_as_a_call_that_was_heard(world: World) -> None:
    world.provider.trouble("speak", *[loses_the_answer(TIME_OUT)] * 6)
    accepted = world.send()
    world.pass_time(40)
    assert len(world.heard()) == 1
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED


def test_after_six_failures_the_call_is_hung_up_and_the_person_may_ask_again(world: World) -> None:
    world.provider.trouble("speak", *[fails(BUSY_PROVIDER)] * 20)
    accepted = world.send(ttl_seconds=600)
    world.pass_time(60)
    failed = world.call(accepted.call_id)
    assert (failed.status, failed.reason) == (CallStatus.FAILED, SPEECHLESS_REASON)
    assert len(world.provider.speeches) == 6
    assert world.heard() == []
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING
    world.provider.recover()
    world.replay(accepted.verification_id)
    world.pass_time(20)
    assert len(world.heard()) == 1


def test_speech_that_is_refused_for_good_ends_the_call_at_once_with_the_reason(world: World) -> None:
    world.provider.trouble("speak", fails(CallRefused("No voice. Telnyx's code: 90012.")))
    accepted = world.send(ttl_seconds=600)
    world.pass_time(20)
    failed = world.call(accepted.call_id)
    assert (failed.status, failed.reason) == (CallStatus.FAILED, "No voice. Telnyx's code: 90012.")
    assert len(world.provider.speeches) == 1
    assert world.heard() == []
    assert world.verification(accepted.verification_id).status is VerificationStatus.PENDING


def test_before_speaking_it_is_checked_that_the_verification_still_waits(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("speak", fails(BUSY_PROVIDER, lambda: world.cancel(accepted.verification_id)))
    world.pass_time(30)
    assert len(world.provider.speeches) == 1
    assert world.heard() == []
    assert len(world.provider.hang_ups) >= 1
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def test_a_code_that_expires_before_it_is_read_is_not_read(world: World) -> None:
    accepted = world.send(ttl_seconds=60)
    world.provider.trouble("speak", fails(BUSY_PROVIDER, lambda: world.clock.move(60)))
    world.pass_time(10)
    world.pass_time(10)
    assert world.heard() == []
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.verification(accepted.verification_id).status is VerificationStatus.EXPIRED


def test_what_ends_while_the_speech_is_being_ordered_is_hung_up_at_once(world: World) -> None:
    accepted = world.send()
    world.provider.trouble("speak", meanwhile(lambda: world.cancel(accepted.verification_id)))
    world.pass_time(2.5)
    assert len(world.provider.hang_ups) == 1
    world.pass_time(1)
    assert world.call(accepted.call_id).is_over
    assert world.live_calls() == 0


def test_a_call_that_is_gone_when_it_should_be_spoken_to_ends_by_its_event(world: World) -> None:
    world.provider.trouble("speak", fails(CallGone("The call has already ended.")))
    world.provider.trouble("is_alive", lambda _carry: False)
    accepted = world.send()
    world.pass_time(10)
    ended = world.call(accepted.call_id)
    assert ended.status is CallStatus.UNKNOWN
    assert ended.reason
    assert world.live_calls() == 0
    assert world.heard() == []


def test_a_call_that_is_gone_when_it_should_be_hung_up_is_over(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.provider.trouble("hang_up", fails(CallGone("The call has already ended.")))
    world.cancel(accepted.verification_id)
    world.pass_time(1)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_a_hang_up_is_tried_until_it_is_done(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.provider.trouble("hang_up", *[fails(BUSY_PROVIDER)] * 4)
    world.cancel(accepted.verification_id)
    world.pass_time(20)
    assert len(world.provider.hang_ups) == 5
    assert len({hang_up.command_id for hang_up in world.provider.hang_ups}) == 1
    assert world.call(accepted.call_id).status is CallStatus.CANCELED


def test_a_hang_up_whose_event_never_comes_frees_the_channel_after_a_while(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.is_lost = lambda _event: True
    world.cancel(accepted.verification_id)
    world.pass_time(13)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_a_hang_up_stands_until_the_provider_says_that_the_call_is_over(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.cancel(accepted.verification_id)
    world.work()
    assert world.call(accepted.call_id).command is Command.HANG_UP
    world.pass_time(7)
    assert world.call(accepted.call_id).command is None
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    world.pass_time(30)
    assert len(world.provider.hang_ups) == 1


def test_a_hang_up_that_nothing_followed_is_sent_again_under_the_same_command_id(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.is_lost = lambda _event: True
    world.cancel(accepted.verification_id)
    world.pass_time(30)
    assert len(world.provider.hang_ups) == 2
    assert len({hang_up.command_id for hang_up in world.provider.hang_ups}) == 1
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_a_provider_that_says_yes_to_each_repeat_is_asked_whether_the_call_lives(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.is_lost = lambda _event: True
    world.provider.trouble("hang_up", lambda carry: carry(), *[lambda _carry: None] * 20)
    world.cancel(accepted.verification_id)
    world.pass_time(13)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0
    assert len({hang_up.command_id for hang_up in world.provider.hang_ups}) == 1


def test_of_workers_that_carry_out_one_command_at_once_one_does(db: Database) -> None:
    world = World(db)
    accepted = world.send()
    world.provider.trouble("speak", fails(BUSY_PROVIDER))
    world.pass_time(3)
    world.clock.move(5)
    assert at_once([lambda: world.commands.carry_out(accepted.call_id)] * 6) == ["ok"] * 6
    assert len(world.provider.speeches) == 2
    assert world.call(accepted.call_id).command is None


def test_without_a_command_there_is_nothing_to_carry_out(world: World) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    world.commands.carry_out(accepted.call_id)
    world.commands.carry_out("no such call")
    assert world.provider.speeches == []
    assert world.provider.hang_ups == []


def test_without_detection_a_code_is_read_as_soon_as_something_answers(db: Database) -> None:
    world = World(db, detect_machines=False)
    accepted = world.send()
    world.pass_time(1.6)
    assert not world.provider.dials[0].detect_machine
    assert world.heard() == [world.code_of(accepted.verification_id)]


def test_an_answering_machine_is_told_nothing_and_hung_up(world: World) -> None:
    accepted = world.send(PHONE)
    world.is_lost = lambda event: event.type is EventType.HUMAN
    world.pass_time(1.6)
    world.receive(accepted.call_id, EventType.MACHINE, provider_call_id=world.call(accepted.call_id).provider_call_id)
    world.receive(accepted.call_id, EventType.UNSURE)
    world.receive(accepted.call_id, EventType.HUMAN)
    world.pass_time(10)
    assert world.provider.heard == []
    assert world.call(accepted.call_id).status is CallStatus.MACHINE


def test_who_notes_that_a_command_is_done_takes_no_row_before_those_who_read_the_call(db: Database) -> None:
    """A conditional UPDATE that had to wait keeps the row that it then does not change (PostgreSQL, READ COMMITTED)."""
    world = World(db)
    accepted = world.send()
    failures: list[Exception] = []
    may_commit, is_held = threading.Event(), threading.Event()

    def hold(change: bool) -> None:
        try:
            with db.write() as connection:
                held = repository.lock_call(connection, accepted.call_id)
                assert held is not None
                if change:
                    repository.update_call(connection, accepted.call_id, command_seq=held.command_seq + 1)
                    is_held.set()
                    may_commit.wait(30)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=hold, args=(change,)) for change in (True, False)]

    def another_command_comes_and_someone_waits_for_it() -> None:
        threads[0].start()
        is_held.wait(30)
        threads[1].start()
        time.sleep(0.3)  # until it waits for the rows that are held
        threading.Timer(0.5, may_commit.set).start()  # by then our command is being noted

    world.provider.trouble("speak", meanwhile(another_command_comes_and_someone_waits_for_it))
    world.pass_time(10)
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert world.call(accepted.call_id).spoken is Spoken.CODE
