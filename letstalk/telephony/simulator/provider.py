"""A provider that places no real calls. It takes the same commands and reports the same events at the same pace."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from letstalk.config.settings import Settings
from letstalk.config.values import is_loopback
from letstalk.core.clock import Clock, utc_now
from letstalk.core.ids import new_id
from letstalk.observability.logs import get_logger
from letstalk.telephony import provider as telephony
from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.simulator import scenarios
from letstalk.telephony.simulator.phone import NOBODY, SimulatedPhone
from letstalk.telephony.simulator.phone_calls import SPEECH_FACTOR
from letstalk.telephony.simulator.scenarios import Scenario, SimulatedCall, scenario_for
from letstalk.telephony.simulator.terminal import PhoneListener, Terminal
from letstalk.telephony.simulator.timers import Timers

log = get_logger(__name__)

# Ended calls and dials that are kept in memory: more than there are in a minute, and a few hundred kilobytes.
_REMEMBERED = 4096


@dataclass(slots=True)
class _Line:
    """A call that this process dialed or sent a command to. `phone` is only known to the process that dialed.

    `is_recorded`: the phone's page shows what happens in it.
    """

    call: SimulatedCall
    provider_call_id: str
    phone: str | None
    answered: bool
    is_recorded: bool = False
    command_seq: int = 0
    listening: bool = False
    ended: bool = False
    commands: set[str] = field(default_factory=set)

    def is_live(self) -> bool:
        return not self.ended


class SimulatorProvider(telephony.CallProvider):
    """Reports events from one thread of its own.

    `speed` divides every duration, except those in which a phone waits for us, because this service runs no faster: at
    any speed a person stays on a silent line for at least `least_wait_seconds`, and a call's limit lasts at least twice
    as long. `listener` is told what phones do. The provider holds no state that another process would need, and no
    state of calls that have ended.

    With a `phone`, on whose page a person is, a call to a number without a scenario is the phone's: it goes on by what
    the person does, in the time of life.
    """

    name = "simulator"
    phone: SimulatedPhone | None

    def __init__(
        self,
        *,
        speed: float = 1.0,
        clock: Clock = utc_now,
        listener: PhoneListener | None = None,
        least_wait_seconds: float = 5.0,
        timers: Timers | None = None,
        phone: SimulatedPhone | None = None,
    ) -> None:
        if not speed > 0:
            raise ValueError("the simulator's speed must be more than 0")
        self._receive: telephony.ReceiveEvent | None = None
        self._speed = speed
        self._clock = clock
        self._listener = listener
        self.phone = phone
        self._least_wait_seconds = least_wait_seconds
        self._timers = Timers("simulator") if timers is None else timers
        self._guard = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._dials: OrderedDict[str, str] = OrderedDict()

    def connect_events(self, receive: telephony.ReceiveEvent) -> None:
        self._receive = receive

    def stop(self) -> None:
        self._timers.stop()
        with self._guard:
            self._lines.clear()

    def _dial(self, command: telephony.DialCommand) -> str:
        now_ms = int(self._clock().timestamp() * 1000)
        longest_seconds = command.ring_seconds + command.call_limit_seconds
        scenario = scenario_for(command.phone)
        attendance = NOBODY if self.phone is None else self.phone.attendance()
        if self.phone is not None and attendance.is_by_hand and scenario is Scenario.LISTENS:
            call = SimulatedCall(Scenario.BY_HAND, now_ms, longest_seconds, command.call_id)
            with _outage_as_unknown():
                return self.phone.ring(command, call)
        call = SimulatedCall(scenario, now_ms, longest_seconds, command.call_id)
        line = _Line(call, call.to_id(), command.phone, answered=False, is_recorded=attendance.is_recorded)
        with self._guard:
            if command.command_id in self._dials:
                return self._dials[command.command_id]
            _remember(self._dials, command.command_id, line.provider_call_id)
            self._lines[line.provider_call_id] = line
        self._record(line, lambda phone: phone.record_dial(command, call))
        self._tell_listener(line, lambda listener, to: listener.rings(to))
        self._schedule_ringing(line, command)
        return line.provider_call_id

    def _speak(self, command: telephony.SpeakCommand) -> None:
        if (phone := self._phone_of(command.provider_call_id)) is not None:
            with _outage_as_unknown():
                phone.speak(command)
            heard_after = command.speech.seconds * SPEECH_FACTOR
            return self._timers.after(heard_after, lambda: self._report_heard(phone, command))
        is_recorded = self._is_recorded(command.provider_call_id)
        with self._guard:
            line = self._line_of(command.provider_call_id, is_recorded)
            if command.command_id in line.commands:
                return None
            line.commands.add(command.command_id)
            was_listening, old_seq = line.listening, line.command_seq
            line.listening, line.command_seq = True, command.command_seq
        if was_listening:
            self._emit(line, EventType.GATHER_ENDED, command_seq=old_seq, gather_canceled=True)
        return self._schedule_speech(line, command)

    def _hang_up(self, command: telephony.HangUpCommand) -> None:
        if (phone := self._phone_of(command.provider_call_id)) is not None:
            with _outage_as_unknown():
                return phone.hang_up(command.provider_call_id)
        is_recorded = self._is_recorded(command.provider_call_id)
        with self._guard:
            line = self._line_of(command.provider_call_id, is_recorded, must_be_answered=False)
        # From here on the call is over, although the event is only reported a moment later.
        self._forget(line)
        cause = HangupCause.NORMAL if line.answered else HangupCause.CANCELED
        return self._later(scenarios.HANG_UP_SECONDS, lambda: self._report_end(line, cause))

    def _is_alive(self, provider_call_id: str) -> bool:
        if (phone := self._phone_of(provider_call_id)) is not None:
            with _outage_as_unknown():
                return phone.is_alive(provider_call_id)
        with self._guard:
            if provider_call_id in self._lines:
                return True
            if provider_call_id in self._ended:
                return False
        call = SimulatedCall.from_id(provider_call_id)
        return call is not None and self._is_young(call)

    def _phone_of(self, provider_call_id: str) -> SimulatedPhone | None:
        """The phone, if that call is one that a person decides about."""
        call = SimulatedCall.from_id(provider_call_id)
        return self.phone if call is not None and call.scenario is Scenario.BY_HAND else None

    def _schedule_ringing(self, line: _Line, command: telephony.DialCommand) -> None:
        scenario = line.call.scenario
        self._tell(line, scenarios.INITIATED_SECONDS, EventType.INITIATED)
        answer_seconds = scenarios.SLOW_ANSWER_SECONDS if scenario is Scenario.SLOW else scenarios.ANSWER_SECONDS
        if scenario is Scenario.BUSY:
            self._end(line, scenarios.BUSY_SECONDS, HangupCause.BUSY)
        elif scenario is Scenario.REJECTED:
            self._end(line, scenarios.REJECTION_SECONDS, HangupCause.REJECTED)
        elif scenario is Scenario.NO_ANSWER or answer_seconds >= command.ring_seconds:
            self._end(line, command.ring_seconds, HangupCause.NO_ANSWER)
        else:
            self._later(answer_seconds, lambda: self._answer(line), line)
            limit_seconds = max(command.call_limit_seconds, 2 * self._least_wait_seconds * self._speed)
            self._end(line, answer_seconds + limit_seconds, HangupCause.TIME_LIMIT)
            if command.detect_machine:
                found = EventType.MACHINE if scenario is Scenario.MACHINE else EventType.HUMAN
                self._tell(line, answer_seconds + scenarios.DETECTION_SECONDS, found)
                if scenario is Scenario.MACHINE:
                    self._tell(line, answer_seconds + scenarios.GREETING_SECONDS, EventType.GREETING_ENDED)

    def _schedule_speech(self, line: _Line, command: telephony.SpeakCommand) -> None:
        seq = command.command_seq
        speech_seconds = min(command.speech.seconds, scenarios.LONGEST_SPEECH_SECONDS)
        # Only after the first speech. The sequence number tells every process which speech this is.
        presses_1 = line.call.scenario is Scenario.PRESSES_1 and seq <= 1 and "1" in command.valid_digits
        silence_seconds = min(command.listen_seconds, scenarios.LONGEST_SILENCE_SECONDS)
        if presses_1:
            silence_seconds = scenarios.KEY_SECONDS
        gathered_after = speech_seconds + silence_seconds

        def start() -> None:
            if self._is_current(line, seq):
                self._record(line, lambda phone: phone.record_speech(line.provider_call_id, command.speech, seq))
                self._emit(line, EventType.SPEECH_STARTED, command_seq=seq)
                self._tell_listener(line, lambda listener, to: listener.hears(to, command.speech))

        def finish() -> None:
            if self._is_current(line, seq):
                self._emit(line, EventType.SPEECH_ENDED, command_seq=seq)

        def gather() -> None:
            if self._is_current(line, seq, stop_listening=True):
                self._emit(line, EventType.GATHER_ENDED, command_seq=seq, digits="1" if presses_1 else "")

        def leave_silent_line() -> None:
            if self._is_current(line, seq) and self._forget(line):
                self._report_end(line, HangupCause.NORMAL)

        self._later(0, start, line)
        self._later(speech_seconds, finish, line)
        self._later(gathered_after, gather, line)
        patience_seconds = max(scenarios.PATIENCE_SECONDS, self._least_wait_seconds * self._speed)
        self._later(gathered_after + patience_seconds, leave_silent_line, line)

    def _report_heard(self, phone: SimulatedPhone, command: telephony.SpeakCommand) -> None:
        """A person has heard a speech to its end. If this process has died by then, nobody learns of it."""
        if phone.is_hearing(command.provider_call_id, command.command_seq):
            now = self._clock()
            to = command.provider_call_id
            self._report(CallEvent(new_id(now), EventType.SPEECH_ENDED, now, command.call_id, to, command.command_seq))

    def _answer(self, line: _Line) -> None:
        with self._guard:
            if line.provider_call_id not in self._lines:
                return
            line.answered = True
        self._record(line, lambda phone: phone.record_answer(line.provider_call_id))
        self._emit(line, EventType.ANSWERED)

    def _tell(self, line: _Line, seconds: float, kind: EventType) -> None:
        self._later(seconds, lambda: self._emit(line, kind) if self._is_current(line) else None, line)

    def _end(self, line: _Line, seconds: float, cause: HangupCause) -> None:
        def end() -> None:
            if self._forget(line):
                self._report_end(line, cause)

        self._later(seconds, end, line)

    def _report_end(self, line: _Line, cause: HangupCause) -> None:
        self._record(line, lambda phone: phone.record_end(line.provider_call_id, cause))
        self._emit(line, EventType.HUNG_UP, cause=cause)
        self._tell_listener(line, lambda listener, to: listener.ends(to, cause))

    def _line_of(self, provider_call_id: str, is_recorded: bool, *, must_be_answered: bool = True) -> _Line:
        """The live call, dialed by any process, with that id. `_guard` must be held."""
        line = self._lines.get(provider_call_id)
        if line is None:
            call = SimulatedCall.from_id(provider_call_id)
            if call is None or provider_call_id in self._ended or not self._is_young(call):
                raise telephony.CallGone("The call has already ended.")
            line = _Line(call, provider_call_id, phone=None, answered=True, is_recorded=is_recorded)
            self._lines[provider_call_id] = line
        if must_be_answered and not line.answered:
            raise telephony.CallGone("The call has not been answered.")
        return line

    def _forget(self, line: _Line) -> bool:
        """Remove the call. Returns False if it was already removed."""
        with self._guard:
            if self._lines.pop(line.provider_call_id, None) is None:
                return False
            _remember(self._ended, line.provider_call_id, "")
            line.ended = True
            return True

    def _is_current(self, line: _Line, command_seq: int | None = None, *, stop_listening: bool = False) -> bool:
        """Whether the call is live and, if `command_seq` is given, that no later command has replaced that one."""
        with self._guard:
            if line.provider_call_id not in self._lines or command_seq not in (None, line.command_seq):
                return False
            if stop_listening:
                line.listening = False
            return True

    def _is_young(self, call: SimulatedCall) -> bool:
        age_seconds = self._clock().timestamp() - call.dialed_at_ms / 1000
        return age_seconds < call.longest_seconds / self._speed + 2 * self._least_wait_seconds

    def _is_recorded(self, provider_call_id: str) -> bool:
        """Whether the phone's page shows that call. The process that dialed it knows, and another one looks."""
        with self._guard:
            line = self._lines.get(provider_call_id)
        if line is not None:
            return line.is_recorded
        return self.phone is not None and self.phone.attendance().is_recorded

    def _record(self, line: _Line, tell: Callable[[SimulatedPhone], None]) -> None:
        """Show on the phone's page what happens. A database that is away stops no call."""
        if self.phone is None or not line.is_recorded:
            return
        try:
            tell(self.phone)
        except SQLAlchemyError as error:
            log.warning("simulated_call_not_recorded", call_id=line.call.call_id, exc_info=error)

    def _tell_listener(self, line: _Line, tell: Callable[[PhoneListener, str], None]) -> None:
        if self._listener is None:
            return
        try:
            tell(self._listener, line.phone or line.call.call_id)
        except Exception:
            log.exception("phone_listener_failed", call_id=line.call.call_id)

    def _emit(
        self,
        line: _Line,
        kind: EventType,
        *,
        command_seq: int | None = None,
        digits: str = "",
        gather_canceled: bool = False,
        cause: HangupCause | None = None,
    ) -> None:
        now = self._clock()
        event = CallEvent(
            event_id=new_id(now),
            type=kind,
            occurred_at=now,
            call_id=line.call.call_id,
            provider_call_id=line.provider_call_id,
            command_seq=line.command_seq if command_seq is None else command_seq,
            digits=digits,
            gather_canceled=gather_canceled,
            cause=cause,
        )
        # An action of its own, so that the same event is reported again if the receiver fails.
        self._timers.at_once(lambda: self._report(event))

    def _report(self, event: CallEvent) -> None:
        if self._receive is None:
            raise RuntimeError("the simulator was not connected to a receiver of events")
        self._receive(event)

    def _later(self, seconds: float, action: Callable[[], None], line: _Line | None = None) -> None:
        """Run `action` later. If `line` is given, the action is dropped when that call ends."""
        self._timers.after(seconds / self._speed, action, None if line is None else line.is_live)


def _remember(memory: OrderedDict[str, str], key: str, value: str) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


@contextmanager
def _outage_as_unknown() -> Iterator[None]:
    """Without the database nobody knows what became of a command to the phone."""
    try:
        yield
    except SQLAlchemyError as error:
        raise telephony.OutcomeUnknown("The simulator's phone can't be reached.") from error


def build_simulator(settings: Settings, parts: telephony.Parts) -> telephony.Telephony:
    # A speech contains the code, so it is only shown on the developer's own terminal, and looked up from there.
    is_own_terminal = settings.is_development and is_loopback(settings.host)
    listener = Terminal() if is_own_terminal else None
    timers = Timers("simulator")
    phone = SimulatedPhone(
        parts.db, parts.vault, parts.clock, timers, records_all=settings.is_on_loopback_only, listener=listener
    )
    provider = SimulatorProvider(
        speed=settings.simulator_speed, clock=parts.clock, listener=listener, timers=timers, phone=phone
    )
    return telephony.Telephony(provider, webhooks=None)
