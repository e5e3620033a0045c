from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.provider import CallGone, DialCommand, HangUpCommand, SpeakCommand
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.simulator.scenarios import Scenario, SimulatedCall, scenario_for
from letstalk.telephony.simulator.timers import Timers
from letstalk.telephony.speech.scripts import Speech, render_code
from tests.support.world import RecordingListener
from tests.telephony.lines import (
    BUSY,
    MACHINE,
    NO_ANSWER,
    PERSON,
    PRESSES_1,
    SPEECH,
    Line,
    TurnedLine,
    connected_line,
    simulator_line,
    wait_until,
)

LONG_SPEECH = render_code("0123456789", brand="Let's Talk", locale="en", region=None)


class PairedProcesses:
    """Two simulators that share only the receiver of events, as two processes share only the database."""

    def __init__(self, speed: float = 100.0) -> None:
        self.events: list[CallEvent] = []
        self.first, self.second = SimulatorProvider(speed=speed), SimulatorProvider(speed=speed)
        self.first.connect_events(self.events.append)
        self.second.connect_events(self.events.append)
        self.dialing, self.speaking = Line(self.first, self.events), Line(self.second, self.events)

    def stop(self) -> None:
        self.first.stop()
        self.second.stop()


@pytest.mark.parametrize(
    ("phone", "scenario"),
    [(PERSON, Scenario.LISTENS), (BUSY, Scenario.BUSY), (MACHINE, Scenario.MACHINE), (PRESSES_1, Scenario.PRESSES_1)],
)
def test_the_last_four_digits_select_the_scenario(phone: str, scenario: Scenario) -> None:
    assert scenario_for(phone) is scenario


def test_an_id_says_what_another_process_needs_and_no_phone() -> None:
    call = SimulatedCall(Scenario.PRESSES_1, 1_763_640_000_000, 150, str(uuid.uuid4()))

    assert SimulatedCall.from_id(call.to_id()) == call
    with simulator_line() as line:
        assert "256700" not in line.dial(PRESSES_1)[1]


@pytest.mark.parametrize("text", ["", "sim", "sim-x-1-2-id", "sim-busy-one-2-id", "v3:abc", "sim-busy-1-2"])
def test_another_providers_id_is_no_simulated_call(text: str) -> None:
    assert SimulatedCall.from_id(text) is None


@pytest.mark.parametrize("phone", [PERSON, PRESSES_1])
def test_everybody_has_heard_the_code_within_15_seconds(phone: str) -> None:
    line = TurnedLine()
    call_id, provider_call_id = line.dial(phone)
    seconds = line.seconds_until(call_id, EventType.HUMAN)
    line.provider.speak(SpeakCommand(call_id, provider_call_id, "c", 1, LONG_SPEECH, "1", 10))
    seconds += line.seconds_until(call_id, EventType.GATHER_ENDED)

    assert seconds < 15
    assert [event.type for event in line.of(call_id)] == [
        EventType.INITIATED,
        EventType.ANSWERED,
        EventType.HUMAN,
        EventType.SPEECH_STARTED,
        EventType.SPEECH_ENDED,
        EventType.GATHER_ENDED,
    ]


def test_a_slow_phone_takes_about_20_seconds() -> None:
    line = TurnedLine(speed=100)
    call_id, _ = line.dial("+256700009905")

    assert 19 < line.seconds_until(call_id, EventType.ANSWERED) * 100 < 21


@pytest.mark.timing
def test_time_runs_as_fast_as_it_is_told_to() -> None:
    with simulator_line(speed=100) as line:
        started = time.monotonic()
        call_id, _ = line.dial("+256700009905")
        line.wait_for(call_id, EventType.ANSWERED)

        assert 0.19 < time.monotonic() - started < 19


def test_a_person_who_hears_nothing_more_hangs_up() -> None:
    line = TurnedLine(speed=100, least_wait_seconds=0.1)
    call_id, provider_call_id = line.dial()
    line.seconds_until(call_id, EventType.HUMAN)
    line.speak(call_id, provider_call_id)
    line.seconds_until(call_id, EventType.HUNG_UP)

    assert [event.cause for event in line.of(call_id) if event.type is EventType.HUNG_UP] == [HangupCause.NORMAL]
    assert not line.provider.is_alive(provider_call_id)


def test_a_call_that_is_never_spoken_to_ends_at_its_limit() -> None:
    with simulator_line(speed=200, least_wait_seconds=0.1) as line:
        call_id, provider_call_id = line.dial()

        assert line.wait_for(call_id, EventType.HUNG_UP).cause is HangupCause.TIME_LIMIT
        with pytest.raises(CallGone):
            line.speak(call_id, provider_call_id)


def test_another_process_may_speak_to_the_call() -> None:
    pair = PairedProcesses()
    call_id, provider_call_id = pair.dialing.dial_and_reach(PRESSES_1)
    pair.speaking.speak(call_id, provider_call_id, seq=1)
    assert pair.speaking.wait_for(call_id, EventType.GATHER_ENDED, seq=1).digits == "1"
    pair.dialing.speak(call_id, provider_call_id, seq=2)

    assert pair.dialing.wait_for(call_id, EventType.GATHER_ENDED, seq=2).digits == ""
    pair.stop()


def test_another_process_may_hang_up_and_ask() -> None:
    pair = PairedProcesses()
    call_id, provider_call_id = pair.dialing.dial_and_reach()
    assert pair.second.is_alive(provider_call_id)
    pair.speaking.hang_up(call_id, provider_call_id)

    assert not pair.second.is_alive(provider_call_id)
    with pytest.raises(CallGone):
        pair.speaking.speak(call_id, provider_call_id)
    pair.stop()


def test_a_call_of_a_process_that_died_is_over_when_its_longest_time_is() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    survivor = SimulatorProvider(clock=lambda: now)
    placed_at_ms = int((now - timedelta(seconds=150)).timestamp() * 1000)
    call = SimulatedCall(Scenario.LISTENS, placed_at_ms, 150, "call")
    old = SimulatedCall(Scenario.LISTENS, placed_at_ms, 139, "call")

    assert survivor.is_alive(call.to_id())
    assert not survivor.is_alive(old.to_id())
    with pytest.raises(CallGone):
        survivor.speak(SpeakCommand("call", old.to_id(), "c", 1, SPEECH, "1", 4))
    survivor.stop()


def test_a_listener_is_told_of_the_ring_the_text_when_the_speech_starts_and_the_end() -> None:
    listener = RecordingListener()
    provider = SimulatorProvider(speed=50, listener=listener)
    line = connected_line(provider)
    call_id, provider_call_id = line.dial_and_reach()
    assert (listener.rang, listener.heard) == ([PERSON], [])
    line.speak(call_id, provider_call_id)
    line.wait_for(call_id, EventType.SPEECH_ENDED)
    line.hang_up(call_id, provider_call_id)
    line.wait_for(call_id, EventType.HUNG_UP)
    provider.stop()

    assert listener.heard == [(PERSON, SPEECH.text)]
    assert listener.ended == [(PERSON, HangupCause.NORMAL)]


def test_where_the_call_was_dialed_elsewhere_the_phone_is_named_by_its_call() -> None:
    pair = PairedProcesses()
    listener = RecordingListener()
    other = SimulatorProvider(speed=100, listener=listener)
    other.connect_events(pair.events.append)
    call_id, provider_call_id = pair.dialing.dial_and_reach()
    Line(other, pair.events).speak(call_id, provider_call_id)
    assert wait_until(lambda: bool(listener.heard))
    other.stop()
    pair.stop()

    assert listener.heard == [(call_id, SPEECH.text)]


def test_a_listener_that_fails_stops_no_call() -> None:
    class BrokenTerminal(RecordingListener):
        def hears(self, _phone: str, _speech: Speech) -> None:
            raise OSError("the terminal is gone")

    provider = SimulatorProvider(speed=100, listener=BrokenTerminal())
    line = connected_line(provider)
    call_id, provider_call_id = line.dial_and_reach()
    line.speak(call_id, provider_call_id)
    line.wait_for(call_id, EventType.GATHER_ENDED)
    provider.stop()


def test_a_receiver_that_fails_is_given_the_same_event_again() -> None:
    given: list[CallEvent] = []

    def fail_twice(event: CallEvent) -> None:
        given.append(event)
        if len(given) <= 2:
            raise OSError("the database is locked")

    provider = SimulatorProvider(speed=1000)
    provider.connect_events(fail_twice)
    Line(provider, given).dial(BUSY)
    assert wait_until(lambda: EventType.INITIATED in {event.type for event in given[2:]} and len(given) >= 4)
    provider.stop()

    initiated = [event.event_id for event in given if event.type is EventType.INITIATED]
    assert len(set(initiated)) == 1
    assert {event.type for event in given} == {EventType.INITIATED, EventType.HUNG_UP}


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_time_can_not_stand_still(speed: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        SimulatorProvider(speed=speed)


def test_no_thread_runs_before_the_first_call_and_none_after_the_last() -> None:
    before = set(threading.enumerate())

    def threads() -> int:
        return len(set(threading.enumerate()) - before)

    provider = SimulatorProvider()
    line = connected_line(provider)
    assert threads() == 0
    line.dial(NO_ANSWER)
    assert threads() == 1
    provider.stop()
    assert threads() == 0


def test_at_a_high_speed_phones_still_wait_for_us() -> None:
    with simulator_line(speed=1000) as line:
        call_id, provider_call_id = line.dial_and_reach()
        time.sleep(0.3)
        line.speak(call_id, provider_call_id)
        line.wait_for(call_id, EventType.GATHER_ENDED)
        time.sleep(0.3)

        assert line.provider.is_alive(provider_call_id)


def test_thousands_of_calls_leave_nothing_behind() -> None:
    processor_seconds_of_five_thousand_calls()


@pytest.mark.timing
def test_thousands_of_calls_cost_little() -> None:
    # 40 calls a second must leave a core all but free.
    assert processor_seconds_of_five_thousand_calls() / 5000 < 0.004


def processor_seconds_of_five_thousand_calls() -> float:
    """What they cost, once it was seen that they leave nothing behind."""
    ended: list[str] = []

    def play(event: CallEvent) -> None:
        to, command_id = event.provider_call_id or "", event.event_id
        if event.type is EventType.HUMAN:
            provider.speak(SpeakCommand("call", to, command_id, 1, SPEECH, "1", 4))
        elif event.type is EventType.GATHER_ENDED:
            provider.hang_up(HangUpCommand("call", to, command_id))
        elif event.type is EventType.HUNG_UP:
            ended.append(event.event_id)

    timers = Timers("thousands-of-calls")
    provider = SimulatorProvider(speed=1000, least_wait_seconds=0.5, timers=timers)
    provider.connect_events(play)
    started_cpu = time.process_time()
    for round_number in range(1, 6):
        for _ in range(1000):
            provider.dial(DialCommand(str(uuid.uuid4()), PERSON, str(uuid.uuid4()), True, 30, 120))
        assert wait_until(lambda: len(ended) == 1000 * round_number, seconds=60)  # noqa: B023  # used within the round
    cpu_seconds = time.process_time() - started_cpu

    assert wait_until(lambda: len(timers) == 0)
    assert provider._lines == {}
    assert max(len(provider._ended), len(provider._dials)) <= 4096
    provider.stop()
    return cpu_seconds
