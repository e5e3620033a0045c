"""Applying the events of providers: each is stored and applied once, in one transaction, before it has any effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from letstalk.calls import event_repository, repository, state_machine
from letstalk.calls.commands import OVER_REASON, CommandService, LeasedCommand
from letstalk.calls.lifecycle import command, end_call, fail_call, record_call_event
from letstalk.calls.models import ENDED, Call, CallListener, CallStatus, Command, Topic
from letstalk.calls.scheduling import SILENCE, CallPolicy
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidRequest, InvalidSignature
from letstalk.db.database import Database
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import answer_seconds, event_delay_seconds, events_total
from letstalk.telephony.events import CallEvent, EventType, WebhookReader, WebhookRequest
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

MAX_TRIES = 10


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What an event has changed.

    `call_id` and `subject_id` are None when it is about no call of ours. `call` is set where it had to be read,
    `reaction` where something changed, and `leased` where this thread is to carry out a command.
    """

    call_id: str | None = None
    subject_id: str | None = None
    call: Call | None = None
    reaction: state_machine.Reaction | None = None
    leased: LeasedCommand | None = None


class EventService:
    def __init__(
        self,
        db: Database,
        commands: CommandService,
        wakeups: Wakeups,
        clock: Clock,
        policy: CallPolicy,
        listener: CallListener,
        webhooks: WebhookReader | None,
    ) -> None:
        """`webhooks` is None when the provider sends none. Then every webhook is rejected."""
        self._db = db
        self._commands = commands
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        self._listener = listener
        self._webhooks = webhooks

    def receive_webhook(self, request: WebhookRequest) -> None:
        """Store and apply an event that a provider sends over HTTP, after its signature was checked on the raw bytes.

        Raises InvalidSignature for a request that is unsigned, forged or stale, or can't be checked, and
        InvalidRequest for one that is signed but is not an event.
        """
        if self._webhooks is None:
            raise InvalidSignature("No provider that signs webhooks is configured.")
        try:
            event = self._webhooks.read(request, now=self._clock())
        except ValueError:
            raise InvalidRequest("This is not an event.") from None
        if event is not None:
            # The sender waits for our response, so what needs the provider's network is left to a worker.
            self._receive(event, is_at_hand=False)

    def receive_event(self, event: CallEvent) -> None:
        """Store and apply an event of a provider in this process, and carry out what follows in this thread.

        A repeated event changes nothing.
        """
        self._receive(event, is_at_hand=True)

    def keep_event(self, connection: Connection, event: CallEvent) -> None:
        """Store an event in the transaction that causes it, to be applied after the commit by `apply_event`.

        A process that dies in between leaves it to the sweep.
        """
        event_repository.store_event(connection, event, self._clock(), is_applied=False)

    def apply_event(self, event_id: str) -> None:
        """Apply a stored event, and carry out what follows from it. Does nothing when it was applied already.

        An event that can't be applied is tried again by the sweep, and put aside after ten attempts.
        """
        try:
            with self._db.write() as connection:
                now = self._clock()
                event = event_repository.claim_event(connection, event_id, now)
                if event is None:
                    return
                outcome = self._apply(connection, event, now, is_at_hand=True)
        except (SQLAlchemyError, ValueError) as error:
            self._count_failure(event_id, error)
            return
        self._follow_up(event, outcome, now)

    def offer_code(self, call_id: str) -> None:
        """Speak the offer in a call that was answered and that detection has not decided in time."""
        with self._db.write() as connection:
            now = self._clock()
            call = repository.lock_call(connection, call_id)
            if call is None or call.status is not CallStatus.ANSWERED:
                return
            reaction = state_machine.offer_code(call)
            if reaction is None:
                return
            leased = self._change(connection, call, reaction, now, call.provider_call_id)
        self._carry_out(call, leased)

    def _receive(self, event: CallEvent, *, is_at_hand: bool) -> None:
        """Store an event and apply it.

        1. The event is stored as applied in the transaction that makes all its changes.
        2. The transition table decides. Late, repeated and impossible events change nothing.
        3. After the commit, what follows is carried out in this thread if `is_at_hand`, else by a worker.

        An event that can't be applied is stored alone, and tried again by the sweep.
        """
        if event.type is EventType.SPEECH_ENDED:
            self._note_speech_ended(event)
            return
        try:
            with self._db.write() as connection:
                now = self._clock()
                if event.type in state_machine.OFTEN_NO_NEWS:
                    outcome = self._apply_unless_late(connection, event, now, is_at_hand)
                else:
                    is_new = event_repository.store_event(connection, event, now, is_applied=True)
                    outcome = self._apply(connection, event, now, is_at_hand) if is_new else None
        except Exception as error:  # of any kind: an event that was received must not get lost
            self._keep_for_later(event, error)
            return
        if outcome is None:
            events_total.labels(event.type.value, "repeated").inc()
        else:
            self._follow_up(event, outcome, now)

    def _note_speech_ended(self, event: CallEvent) -> None:
        """Note when a code was heard to the end. The event is not stored: applied twice, it changes nothing more."""
        heard = None
        if event.call_id is not None:
            with self._db.write() as connection:
                now = self._clock()
                heard = repository.note_heard(connection, event.call_id, now)
                if heard is not None:
                    record_event(connection, NewEvent(AppEventType.CALL_HEARD, *heard, event.call_id), now)
        events_total.labels(event.type.value, "ignored" if heard is None else "applied").inc()

    def _apply_unless_late(
        self, connection: Connection, event: CallEvent, now: datetime, is_at_hand: bool
    ) -> _Outcome | None:
        """Apply an event that mostly comes too late to change its call. Then the call is not read."""
        seen = event_repository.store_and_look(connection, event, now)
        if seen is None:
            return None
        status, subject_id = seen
        if status is not None and state_machine.is_no_news(event.type, status):
            return _Outcome(event.call_id, subject_id)
        return self._apply(connection, event, now, is_at_hand)

    def _apply(self, connection: Connection, event: CallEvent, now: datetime, is_at_hand: bool) -> _Outcome:
        call_id = event.call_id
        if call_id is None and event.provider_call_id is not None:
            found = repository.find_by_provider_id(connection, event.provider_call_id)
            call_id = None if found is None else found.call_id
        call = None if call_id is None else repository.lock_call(connection, call_id)
        if call is None:
            return _Outcome()
        reaction = state_machine.react(call, event, detects_machines=self._policy.detect_machines)
        if reaction is None:
            if _is_stray(call, event):
                repository.update_call(connection, call.call_id, provider_call_id=event.provider_call_id)
            return _Outcome(call.call_id, call.subject_id, call)
        if event.type is not EventType.HUNG_UP:
            repository.insert_call_event(connection, call.call_id, event.occurred_at, event.type.value)
        provider_call_id = call.provider_call_id
        if provider_call_id is None and event.provider_call_id is not None:
            provider_call_id = event.provider_call_id
            repository.update_call(connection, call.call_id, provider_call_id=provider_call_id)
        known = provider_call_id if is_at_hand else None
        leased = self._change(connection, call, reaction, now, known)
        return _Outcome(call.call_id, call.subject_id, call, reaction, leased)

    def _change(
        self, connection: Connection, call: Call, reaction: state_machine.Reaction, now: datetime, at_hand: str | None
    ) -> LeasedCommand | None:
        """Write the reaction to the call's row.

        Returns its new command, leased, if this thread is to carry it out. `at_hand` is then the provider's id of it.
        """
        if reaction.status is CallStatus.FAILED:
            fail_call(connection, call, reaction.end_reason, now, self._listener)
            return None
        if reaction.status in ENDED:
            end_call(connection, call, reaction.status, reaction.end_reason, now)
            return None
        values: dict[str, Any] = {"status": reaction.status.value, "is_uncertain": False}
        if call.status in (CallStatus.QUEUED, CallStatus.UNKNOWN):
            # The event proves that the call exists, whatever the response to our dial was.
            values |= {"holds_channel": True, "ended_at": None, "reason": None, "started_at": call.started_at or now}
        if call.answered_at is None and reaction.status is not CallStatus.RINGING:
            values["answered_at"] = now
            record_call_event(connection, AppEventType.CALL_ANSWERED, call, now)
            if call.started_at is not None:
                answer_seconds.observe((now - call.started_at).total_seconds())
            values["ask_provider_at"] = now + timedelta(seconds=self._policy.call_limit_seconds) + SILENCE
        elif reaction.status is CallStatus.RINGING:
            values["ask_provider_at"] = now + timedelta(seconds=self._policy.ring_seconds) + SILENCE
        if call.rang_at is None:
            values["rang_at"] = now
            record_call_event(connection, AppEventType.CALL_RINGING, call, now)
        if reaction.was_heard and call.heard_at is None:
            values["heard_at"] = now
            record_call_event(connection, AppEventType.CALL_HEARD, call, now)
        if reaction.end_status is CallStatus.MACHINE:
            record_call_event(connection, AppEventType.CALL_MACHINE, call, now)
        if reaction.repeats is not None:
            values["repeats"] = reaction.repeats
        leased = None
        if reaction.command is not None:
            next_command = self._next_command(call, reaction, now)
            leased = self._commands.take_new(call, at_hand, next_command, now)
            values |= next_command
        repository.update_call(connection, call.call_id, **values)
        return leased

    def _next_command(self, call: Call, reaction: state_machine.Reaction, now: datetime) -> dict[str, Any]:
        wanted = reaction.command or Command.HANG_UP
        end_status, end_reason = reaction.end_status, reaction.end_reason
        if wanted is not Command.HANG_UP and not call.is_wanted_at(now):
            wanted, end_status, end_reason = Command.HANG_UP, CallStatus.CANCELED, OVER_REASON
        values = command(call, wanted, now)
        if end_status is not None and call.end_status is None:
            values |= {"end_status": end_status.value, "end_reason": end_reason}
        return values

    def _follow_up(self, event: CallEvent, outcome: _Outcome, now: datetime) -> None:
        call, reaction = outcome.call, outcome.reaction
        result = "applied" if reaction is not None else "ignored"
        events_total.labels(event.type.value, result).inc()
        event_delay_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
        about = {"call_id": outcome.call_id, "verification_id": outcome.subject_id}
        log.info("event_applied", event_id=event.event_id, type=event.type.value, result=result, **about)
        if call is None:
            return
        if reaction is None:
            if _is_stray(call, event):
                self._wakeups.wake(Topic.HANG_UP_STRAY, call.call_id)
        elif reaction.command is not None:
            self._carry_out(call, outcome.leased)
        elif reaction.status is CallStatus.ANSWERED and self._policy.detect_machines:
            self._wakeups.wake(Topic.OFFER_CODES, delay_seconds=state_machine.DETECTION_SECONDS)
        elif reaction.status in ENDED:
            self._wakeups.wake(Topic.CHANNEL_FREE)

    def _carry_out(self, call: Call, leased: LeasedCommand | None) -> None:
        if leased is None:
            self._wakeups.wake(Topic.CARRY_OUT, call.call_id)
        else:
            self._commands.run(leased)

    def _keep_for_later(self, event: CallEvent, error: Exception) -> None:
        with self._db.write() as connection:
            is_new = event_repository.store_event(connection, event, self._clock(), is_applied=False)
        if is_new:
            self._count_failure(event.event_id, error)

    def _count_failure(self, event_id: str, error: Exception) -> None:
        log.error("event_failed", event_id=event_id, exc_info=error)
        events_total.labels("unknown", "failed").inc()
        with self._db.write() as connection:
            is_last = event_repository.count_failed_try(connection, event_id, max_tries=MAX_TRIES, now=self._clock())
        if is_last:
            events_total.labels("unknown", "put_aside").inc()
            log.error("event_put_aside", event_id=event_id)


def _is_stray(call: Call, event: CallEvent) -> bool:
    """Whether a phone rings for a call that is over here: it was placed, but the response to our dial was an error."""
    is_news = call.provider_call_id is None and event.provider_call_id is not None
    return is_news and call.is_over and not call.holds_channel and event.type is not EventType.HUNG_UP
