"""What the services require of every provider."""

from __future__ import annotations

import time
import uuid

import pytest

from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.provider import CallGone
from tests.telephony.lines import BUSY, MACHINE, NO_ANSWER, PERSON, PRESSES_1, REJECTED, SLOW, Line


def test_a_person_is_rung_answers_and_is_told_from_a_machine(line: Line) -> None:
    call_id, provider_call_id = line.dial()
    line.wait_for(call_id, EventType.HUMAN)

    assert {event.type for event in line.of(call_id)} == {EventType.INITIATED, EventType.ANSWERED, EventType.HUMAN}
    assert {event.provider_call_id for event in line.of(call_id)} == {provider_call_id}
    assert {event.command_seq for event in line.of(call_id)} == {0}
    assert all(event.occurred_at.tzinfo for event in line.of(call_id))


def test_without_detection_nobody_is_told_from_a_machine(line: Line) -> None:
    call_id, provider_call_id = line.dial(MACHINE, detect=False)
    line.wait_for(call_id, EventType.ANSWERED)
    line.speak(call_id, provider_call_id)
    line.wait_for(call_id, EventType.GATHER_ENDED)

    kinds = {event.type for event in line.of(call_id)}
    assert not kinds & {EventType.HUMAN, EventType.MACHINE, EventType.UNSURE, EventType.GREETING_ENDED}


def test_a_machine_is_named_one(line: Line) -> None:
    call_id, _ = line.dial(MACHINE)

    line.wait_for(call_id, EventType.MACHINE)
    assert EventType.HUMAN not in {event.type for event in line.of(call_id)}


@pytest.mark.parametrize(
    ("phone", "cause"), [(BUSY, HangupCause.BUSY), (REJECTED, HangupCause.REJECTED), (NO_ANSWER, HangupCause.NO_ANSWER)]
)
def test_a_call_that_nobody_takes_ends_with_its_cause(line: Line, phone: str, cause: HangupCause) -> None:
    call_id, provider_call_id = line.dial(phone, ring_seconds=10)

    assert line.wait_for(call_id, EventType.HUNG_UP).cause is cause
    assert EventType.ANSWERED not in {event.type for event in line.of(call_id)}
    assert not line.provider.is_alive(provider_call_id)


def test_a_slow_phone_is_given_up_when_the_ringing_ends(line: Line) -> None:
    call_id, _ = line.dial(SLOW, ring_seconds=10)

    assert line.wait_for(call_id, EventType.HUNG_UP).cause is HangupCause.NO_ANSWER


def test_after_the_speech_a_silent_listener_ends_the_gather_without_keys(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    line.speak(call_id, provider_call_id)
    gathered = line.wait_for(call_id, EventType.GATHER_ENDED)

    assert (gathered.digits, gathered.gather_canceled, gathered.command_seq) == ("", False, 1)
    assert line.provider.is_alive(provider_call_id)


def test_a_key_is_reported_once_with_the_command_that_listened(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach(PRESSES_1)
    line.speak(call_id, provider_call_id, seq=1)
    assert line.wait_for(call_id, EventType.GATHER_ENDED, seq=1).digits == "1"

    line.speak(call_id, provider_call_id, seq=2)
    assert line.wait_for(call_id, EventType.GATHER_ENDED, seq=2).digits == ""


def test_a_new_speech_takes_the_place_of_the_old_one(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    line.speak(call_id, provider_call_id, seq=1)
    line.speak(call_id, provider_call_id, seq=2)

    assert line.wait_for(call_id, EventType.GATHER_ENDED, seq=1).gather_canceled
    assert not line.wait_for(call_id, EventType.GATHER_ENDED, seq=2).gather_canceled
    assert len([event for event in line.of(call_id) if event.type is EventType.GATHER_ENDED]) == 2


def test_the_same_speak_command_twice_speaks_once(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    command_id = str(uuid.uuid4())
    line.speak(call_id, provider_call_id, command_id=command_id)
    line.speak(call_id, provider_call_id, command_id=command_id)
    line.wait_for(call_id, EventType.GATHER_ENDED)
    time.sleep(0.2)

    assert len([event for event in line.of(call_id) if event.type is EventType.GATHER_ENDED]) == 1


def test_the_same_dial_command_twice_rings_once(line: Line) -> None:
    call_id, command_id = str(uuid.uuid4()), str(uuid.uuid4())
    first = line.dial(call_id=call_id, command_id=command_id)
    assert line.dial(call_id=call_id, command_id=command_id) == first
    line.wait_for(call_id, EventType.HUMAN)

    assert len([event for event in line.of(call_id) if event.type is EventType.INITIATED]) == 1


def test_hanging_up_ends_an_answered_call_at_once(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    assert line.provider.is_alive(provider_call_id)
    line.hang_up(call_id, provider_call_id)

    assert not line.provider.is_alive(provider_call_id)
    assert line.wait_for(call_id, EventType.HUNG_UP).cause is HangupCause.NORMAL


def test_hanging_up_a_ringing_call_cancels_it(line: Line) -> None:
    # It rings for 12 s, or longer than any machine pauses.
    call_id, provider_call_id = line.dial(NO_ANSWER, ring_seconds=600)
    line.hang_up(call_id, provider_call_id)

    assert line.wait_for(call_id, EventType.HUNG_UP).cause is HangupCause.CANCELED
    time.sleep(0.1)
    assert len([event for event in line.of(call_id) if event.type is EventType.HUNG_UP]) == 1


def test_after_the_hang_up_nothing_more_is_reported(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    line.speak(call_id, provider_call_id)
    line.hang_up(call_id, provider_call_id)
    line.wait_for(call_id, EventType.HUNG_UP)
    time.sleep(0.3)

    after = [event for event in line.of(call_id) if event.type in (EventType.SPEECH_ENDED, EventType.GATHER_ENDED)]
    assert all(event.gather_canceled for event in after)
    assert len([event for event in line.of(call_id) if event.type is EventType.HUNG_UP]) == 1


def test_an_ended_call_takes_no_command(line: Line) -> None:
    call_id, provider_call_id = line.dial_and_reach()
    line.hang_up(call_id, provider_call_id)

    with pytest.raises(CallGone):
        line.speak(call_id, provider_call_id)
    with pytest.raises(CallGone):
        line.hang_up(call_id, provider_call_id)


def test_nobody_is_spoken_to_before_the_answer(line: Line) -> None:
    call_id, provider_call_id = line.dial(NO_ANSWER)

    with pytest.raises(CallGone):
        line.speak(call_id, provider_call_id)


def test_a_call_that_never_was_takes_no_command_and_does_not_live(line: Line) -> None:
    with pytest.raises(CallGone):
        line.speak("no-such-call", "no-such-call")
    with pytest.raises(CallGone):
        line.hang_up("no-such-call", "no-such-call")
    assert not line.provider.is_alive("no-such-call")


def test_every_report_has_an_id_of_its_own(line: Line) -> None:
    calls = [line.dial()[0] for _ in range(5)]
    for call_id in calls:
        line.wait_for(call_id, EventType.HUMAN)

    assert len({event.event_id for event in line.events}) == len(line.events)


def test_many_calls_run_side_by_side(line: Line) -> None:
    line.provider.load()
    seconds_for_twenty_calls(line)


@pytest.mark.timing
def test_many_calls_side_by_side_take_no_longer_than_a_few(line: Line) -> None:
    line.provider.load()
    seconds = [seconds_for_twenty_calls(line)]
    while seconds[-1] >= 5 and len(seconds) < 3:  # a machine that pauses does so once, and we would each time
        seconds.append(seconds_for_twenty_calls(line))
    assert seconds[-1] < 5, seconds


def seconds_for_twenty_calls(line: Line) -> float:
    """How long it takes until all of them have somebody on the line."""
    started = time.monotonic()
    calls = [line.dial(PERSON) for _ in range(20)]
    for call_id, _ in calls:
        line.wait_for(call_id, EventType.HUMAN)
    seconds = time.monotonic() - started
    assert all(line.provider.is_alive(provider_call_id) for _, provider_call_id in calls)
    return seconds
