"""The simulator's phone: what it shows, what a person does with it, and whether there is one.

Its state is in the database, because the process that serves its page is seldom the one that has dialed. Whatever
changes a call does so by a conditional UPDATE, and stores the event that follows in the same transaction: of two people
who press two buttons one is too late, and a process that dies has told all or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Row
from sqlalchemy.exc import SQLAlchemyError

from letstalk.core.clock import Clock
from letstalk.core.ids import new_id
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database, delete_in_batches
from letstalk.observability.logs import get_logger
from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.provider import CallGone, DialCommand, SpeakCommand
from letstalk.telephony.simulator import phone_calls, repository
from letstalk.telephony.simulator.phone_calls import EFFECTS, LIVE, TALKING, Action, PhoneCall, PhoneState
from letstalk.telephony.simulator.scenarios import HANG_UP_SECONDS, SimulatedCall
from letstalk.telephony.simulator.terminal import PhoneListener
from letstalk.telephony.simulator.timers import Timers
from letstalk.telephony.speech.scripts import Speech

log = get_logger(__name__)

KEPT_FOR = timedelta(minutes=10)  # longer than most codes are valid
SHOWN_CALLS = 12
TIMER_SLACK_SECONDS = 0.05  # timers and the clock are two clocks. What is missed, the sweep finds
# Who closes the page to type the code elsewhere, and comes back, still finds the call.
RECORDED_AFTER_PAGE = timedelta(minutes=15)


class EventInbox(Protocol):
    """Where events go: stored in the transaction that causes them, then applied once."""

    def keep_event(self, connection: Connection, event: CallEvent) -> None: ...

    def apply_event(self, event_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Attendance:
    """Whether a person looks at the phone now, and whether calls that act by themselves are shown too."""

    is_by_hand: bool
    is_recorded: bool


NOBODY = Attendance(is_by_hand=False, is_recorded=False)


class SimulatedPhone:
    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        timers: Timers,
        *,
        records_all: bool,
        listener: PhoneListener | None = None,
    ) -> None:
        """With `records_all` every call can be looked up, else only those placed while the page is in use."""
        self._db = db
        self._vault = vault
        self._clock = clock
        self._timers = timers
        self._records_all = records_all
        self._listener = listener
        self._inbox: EventInbox | None = None

    def connect(self, inbox: EventInbox) -> None:
        """Give the events to `inbox`. This must be done before the first call."""
        self._inbox = inbox

    def attend(self, seconds: float) -> None:
        """Note that somebody looks at the phone for the next `seconds`."""
        with self._db.write() as connection:
            repository.attend(connection, self._clock() + timedelta(seconds=seconds))

    def expect_person(self, seconds: float) -> None:
        """Note that somebody is about to open the phone's page: for at least the next `seconds` calls ring and wait."""
        until = self._clock() + timedelta(seconds=seconds)
        with self._db.write() as connection:
            attended_until = repository.attended_until(connection)
            if attended_until is None or attended_until < until:
                repository.attend(connection, until)

    def attendance(self) -> Attendance:
        try:
            with self._db.read() as connection:
                until = repository.attended_until(connection)
        except SQLAlchemyError:
            return NOBODY
        now = self._clock()
        is_in_use = until is not None and now < until + RECORDED_AFTER_PAGE
        return Attendance(until is not None and now < until, self._records_all or is_in_use)

    # What the provider tells

    def ring(self, command: DialCommand, call: SimulatedCall) -> str:
        """Let the phone ring until a person acts, or its time is over. Returns the provider's id of the call.

        A repeated command, in any process, returns the id of the call that it has placed.
        """
        now = self._clock()
        due_at = now + timedelta(seconds=command.ring_seconds)
        with self._db.write() as connection:
            if not self._insert(connection, command, call, now, due_at):
                return repository.find_placed(connection, command.command_id) or call.to_id()
        if self._listener is not None:
            self._listener.rings(command.phone)
        self._settle_at(due_at)
        return call.to_id()

    def speak(self, command: SpeakCommand) -> None:
        """Let the person hear a speech. A repeated command changes nothing. Raises CallGone."""
        now = self._clock()
        with self._db.write() as connection:
            call = self._lock(connection, command.provider_call_id)
            if call is None or call.state not in TALKING:
                raise CallGone("The call has already ended, or was not answered.")
            if call.command_seq >= command.command_seq:
                return
            due_at = now + timedelta(seconds=phone_calls.listening_seconds(command.speech))
            values = {
                "state": PhoneState.SPEAKING.value,
                "command_seq": command.command_seq,
                "due_at": due_at,
                "speech_sealed": self._seal(command.speech),
            }
            repository.change_call(connection, call.provider_call_id, TALKING, values)
        if self._listener is not None:
            self._listener.hears(call.phone, command.speech)
        self._settle_at(due_at)

    def hang_up(self, provider_call_id: str) -> None:
        """End a call for the service. Raises CallGone."""
        with self._db.write() as connection:
            call = self._lock(connection, provider_call_id)
            if call is None or not call.is_live:
                raise CallGone("The call has already ended.")
            cause = HangupCause.CANCELED if call.state is PhoneState.RINGING else HangupCause.NORMAL
            self._end(connection, call, LIVE, cause)
            event_id = self._keep(connection, call, EventType.HUNG_UP, cause=cause)
        self._tell_ended(call, cause)
        self._timers.after(HANG_UP_SECONDS, partial(self._apply, event_id))

    def is_alive(self, provider_call_id: str) -> bool:
        with self._db.read() as connection:
            row = repository.find_row(connection, provider_call_id)
        return row is not None and row.state != PhoneState.ENDED

    def is_hearing(self, provider_call_id: str, command_seq: int) -> bool:
        """Whether that speech is still the one that the person hears."""
        with self._db.read() as connection:
            row = repository.find_row(connection, provider_call_id)
        return row is not None and row.state == PhoneState.SPEAKING and row.command_seq == command_seq

    # Calls that act by themselves: their rows only show what happens, and a row that is missing is no failure.

    def record_dial(self, command: DialCommand, call: SimulatedCall) -> None:
        with self._db.write() as connection:
            self._insert(connection, command, call, self._clock(), None)

    def record_answer(self, provider_call_id: str) -> None:
        now = self._clock()
        self._record(provider_call_id, state=PhoneState.ANSWERED.value, answered_at=now)

    def record_speech(self, provider_call_id: str, speech: Speech, command_seq: int) -> None:
        state, sealed = PhoneState.SPEAKING.value, self._seal(speech)
        self._record(provider_call_id, state=state, speech_sealed=sealed, command_seq=command_seq)

    def record_end(self, provider_call_id: str, cause: HangupCause) -> None:
        self._record(provider_call_id, state=PhoneState.ENDED.value, cause=cause.value, ended_at=self._clock())

    # What a person does

    def act(self, call_id: str, action: Action, key: str = "") -> bool:
        """Do what a person does on the page, and apply what follows. Returns False where it is too late for it.

        Of the keys only 1 does something, as in a real call.
        """
        if action is Action.KEY and key != "1":
            return True
        effect = EFFECTS[action]
        with self._db.write() as connection:
            row = repository.find_newest_row(connection, call_id, for_update=True)
            call = None if row is None else self._call_from(row)
            if call is None or not call.is_by_hand:
                return False
            if effect.becomes is PhoneState.ENDED:
                is_done = self._end(connection, call, effect.was, effect.cause or HangupCause.NORMAL)
            else:
                is_done = self._go_on(connection, call, action)
            if not is_done:
                return False
            digits, seq = (key, call.command_seq) if action is Action.KEY else ("", None)
            event_ids = [
                self._keep(connection, call, effect.reports, cause=effect.cause, digits=digits, command_seq=seq)
            ]
            if effect.detected is not None and call.detects_machines:
                event_ids.append(self._keep(connection, call, effect.detected))
        if effect.becomes is PhoneState.ENDED:
            self._tell_ended(call, effect.cause or HangupCause.NORMAL)
        for event_id in event_ids:
            self._apply(event_id)
        return True

    def settle(self) -> None:
        """Do what is due in calls that a person decides about: ringing, listening and patience come to an end."""
        with self._db.read() as connection:
            due = [self._call_from(row) for row in repository.list_due_rows(connection, self._clock())]
        for call in due:
            self._settle(call)

    def forget_old(self) -> None:
        """Delete old calls, with what was said in them."""
        delete_in_batches(self._db, partial(repository.delete_old_calls, before=self._clock() - KEPT_FOR))

    # What the page shows

    def list_calls(self) -> list[PhoneCall]:
        """The calls of the last minutes, newest first."""
        with self._db.read() as connection:
            rows = repository.list_rows(connection, self._clock() - KEPT_FOR, SHOWN_CALLS)
        return [self._call_from(row) for row in rows]

    def find_call(self, call_id: str) -> PhoneCall | None:
        with self._db.read() as connection:
            row = repository.find_newest_row(connection, call_id)
        return None if row is None else self._call_from(row)

    def _settle(self, call: PhoneCall) -> None:
        is_unchanged = repository.simulated_calls.c.due_at == call.due_at
        cause = HangupCause.NO_ANSWER if call.state is PhoneState.RINGING else HangupCause.NORMAL
        with self._db.write() as connection:
            if call.state is PhoneState.SPEAKING:
                values = self._until_patience_ends(self._clock())
                if not repository.change_call(connection, call.provider_call_id, (call.state,), values, is_unchanged):
                    return
                event_id = self._keep(connection, call, EventType.GATHER_ENDED, command_seq=call.command_seq)
            elif self._end(connection, call, (call.state,), cause, is_unchanged):
                event_id = self._keep(connection, call, EventType.HUNG_UP, cause=cause)
            else:
                return
        if call.state is not PhoneState.SPEAKING:
            self._tell_ended(call, cause)
        self._apply(event_id)

    def _go_on(self, connection: Connection, call: PhoneCall, action: Action) -> bool:
        """The call is answered, or a key ends its listening. Returns False where it is too late for it."""
        now = self._clock()
        values = self._until_patience_ends(now)
        if action is not Action.KEY:
            values |= {"answered_at": now, "due_at": now + timedelta(seconds=call.limit_seconds)}
        return repository.change_call(connection, call.provider_call_id, EFFECTS[action].was, values)

    def _until_patience_ends(self, now: datetime) -> dict[str, Any]:
        due_at = now + timedelta(seconds=phone_calls.PATIENCE_SECONDS)
        self._settle_at(due_at)
        return {"state": PhoneState.ANSWERED.value, "due_at": due_at}

    def _end(
        self, connection: Connection, call: PhoneCall, was: Sequence[PhoneState], cause: HangupCause, *more: Any
    ) -> bool:
        values = {"state": PhoneState.ENDED.value, "cause": cause.value, "ended_at": self._clock(), "due_at": None}
        return repository.change_call(connection, call.provider_call_id, was, values, *more)

    def _insert(
        self, connection: Connection, command: DialCommand, call: SimulatedCall, now: datetime, due_at: datetime | None
    ) -> bool:
        values = {
            "provider_call_id": call.to_id(),
            "call_id": command.call_id,
            "command_id": command.command_id,
            "phone": command.phone,
            "is_by_hand": due_at is not None,
            "detects_machines": command.detect_machine,
            "state": PhoneState.RINGING.value,
            "created_at": now,
            "due_at": due_at,
            "limit_seconds": command.call_limit_seconds,
            "command_seq": 0,
        }
        return repository.insert_call(connection, values)

    def _record(self, provider_call_id: str, **values: Any) -> None:
        with self._db.write() as connection:
            repository.change_call(connection, provider_call_id, LIVE, values)

    def _keep(self, connection: Connection, call: PhoneCall, kind: EventType, **fields: Any) -> str:
        now = self._clock()
        event = CallEvent(new_id(now), kind, now, call.call_id, call.provider_call_id, **fields)
        self._connected_inbox().keep_event(connection, event)
        return event.event_id

    def _apply(self, event_id: str) -> None:
        self._connected_inbox().apply_event(event_id)

    def _connected_inbox(self) -> EventInbox:
        if self._inbox is None:
            raise RuntimeError("the simulator's phone was not connected to a receiver of events")
        return self._inbox

    def _settle_at(self, due_at: datetime) -> None:
        seconds = (due_at - self._clock()).total_seconds() + TIMER_SLACK_SECONDS
        self._timers.after(max(0.0, seconds), self.settle)

    def _tell_ended(self, call: PhoneCall, cause: HangupCause) -> None:
        if self._listener is not None:
            self._listener.ends(call.phone, cause)

    def _seal(self, speech: Speech) -> str:
        return self._vault.encrypt(phone_calls.speech_to_json(speech))

    def _lock(self, connection: Connection, provider_call_id: str) -> PhoneCall | None:
        row = repository.find_row(connection, provider_call_id, for_update=True)
        return None if row is None else self._call_from(row)

    def _call_from(self, row: Row[Any]) -> PhoneCall:
        return PhoneCall(
            provider_call_id=row.provider_call_id,
            call_id=row.call_id,
            phone=row.phone,
            is_by_hand=row.is_by_hand,
            detects_machines=row.detects_machines,
            state=PhoneState(row.state),
            created_at=row.created_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            due_at=row.due_at,
            limit_seconds=row.limit_seconds,
            command_seq=row.command_seq,
            cause=None if row.cause is None else HangupCause(row.cause),
            speech=self._open(row.speech_sealed),
        )

    def _open(self, sealed: str | None) -> Speech | None:
        try:
            return None if sealed is None else phone_calls.speech_from_json(self._vault.decrypt(sealed))
        except LostKey:
            return None
