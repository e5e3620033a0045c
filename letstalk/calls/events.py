"""What providers report: stored and applied once, in one transaction, before anything follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from letstalk.calls import event_repository as storage
from letstalk.calls import repository as call_storage
from letstalk.calls.commands import OVER_REASON, CommandService, Errand
from letstalk.calls.lifecycle import command, end_call, fail_verification
from letstalk.calls.models import ENDED, Call, CallStatus, Command
from letstalk.calls.policy import SILENCE, CallPolicy
from letstalk.calls.state_machine import (
    DETECTION_SECONDS,
    OFTEN_NO_NEWS,
    WITHOUT_EFFECT,
    Reaction,
    is_no_news,
    offer_code,
    react,
)
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidRequest, InvalidSignature
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import answer_seconds, event_delay_seconds, events_total
from letstalk.telephony.events import CallEvent, EventType
from letstalk.telephony.webhooks import WebhookReader, WebhookRequest
from letstalk.verifications.models import Verification, VerificationStatus
from letstalk.worker.topics import Topic
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

MAX_TRIES = 10


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What an event has changed: the ids of its call, None when it is none of ours; the call, where it had to be read;
    the reaction, None when nothing changed; the command that this thread is to carry out.
    """

    call_id: str | None = None
    verification_id: str | None = None
    call: Call | None = None
    reaction: Reaction | None = None
    errand: Errand | None = None


class EventService:
    def __init__(
        self,
        db: Database,
        commands: CommandService,
        wakeups: Wakeups,
        clock: Clock,
        policy: CallPolicy,
        webhooks: WebhookReader | None,
    ) -> None:
        """`webhooks` is None where the provider sends none; then none is believed."""
        self._db = db
        self._commands = commands
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        self._webhooks = webhooks

    def receive_webhook(self, request: WebhookRequest) -> None:
        """Keep what a provider tells over HTTP, once its signature has been checked on the raw bytes.

        Raises InvalidSignature for what is unsigned, forged or stale, or can't be checked; InvalidRequest for what is
        signed but no event.
        """
        if self._webhooks is None:
            raise InvalidSignature("No provider that signs webhooks is configured.")
        try:
            event = self._webhooks.read(request, now=self._clock())
        except ValueError:
            raise InvalidRequest("This is not an event.") from None
        if event is not None:
            # Whoever sends webhooks waits for the answer: what uses their network is left to a worker.
            self._receive(event, is_at_hand=False)

    def receive_event(self, event: CallEvent) -> None:
        """Keep and apply an event of a provider in this process, and carry out what follows, here and now.

        One that came before changes nothing.
        """
        self._receive(event, is_at_hand=True)

    def apply_event(self, event_id: str) -> None:
        """Let a stored event change its call, and carry out what follows from it. One that was applied changes nothing.

        An event that can't be applied is tried again by the sweep, and put aside after ten tries.
        """
        try:
            with self._db.write() as connection:
                now = self._clock()
                event = storage.claim_event(connection, event_id, now)
                if event is None:
                    return
                outcome = self._apply(connection, event, now, is_at_hand=True)
        except (SQLAlchemyError, ValueError) as error:
            self._count_failure(event_id, error)
            return
        self._follow_up(event, outcome, now)

    def offer_code(self, call_id: str) -> None:
        """Speak the offer into a call that was answered and about which detection has said nothing since."""
        with self._db.write() as connection:
            now = self._clock()
            held = call_storage.lock_call(connection, call_id)
            if held is None or held[0].status is not CallStatus.ANSWERED:
                return
            call, verification = held
            reaction = offer_code(call)
            if reaction is None:
                return
            errand = self._change(connection, call, verification, reaction, now, call.provider_call_id)
        self._carry_out(call, errand)

    def _receive(self, event: CallEvent, *, is_at_hand: bool) -> None:
        """Keep an event and apply it.

        1. The event is stored as applied, in the same transaction as all that it changes.
        2. The transition table decides; late, repeated and impossible events change nothing.
        3. After the commit follows what it asks for: here where this thread is the one to do it (`is_at_hand`), else
           by a worker that is told.

        An event that can't be applied is stored alone, and tried again by the sweep. One that could change nothing is
        not stored at all.
        """
        if event.type in WITHOUT_EFFECT:
            events_total.labels(event.type.value, "ignored").inc()
            return
        try:
            with self._db.write() as connection:
                now = self._clock()
                if event.type in OFTEN_NO_NEWS:
                    outcome = self._keep_no_news(connection, event, now, is_at_hand)
                else:
                    is_new = storage.store_event(connection, event, now, is_applied=True)
                    outcome = self._apply(connection, event, now, is_at_hand) if is_new else None
        except Exception as error:  # whatever it is: an event that was told must not get lost
            self._keep_for_later(event, error)
            return
        if outcome is None:
            events_total.labels(event.type.value, "repeated").inc()
        else:
            self._follow_up(event, outcome, now)

    def _keep_no_news(
        self, connection: Connection, event: CallEvent, now: datetime, is_at_hand: bool
    ) -> _Outcome | None:
        """The same for an event that most often comes too late to change its call: then no more of that is read."""
        seen = storage.store_and_look(connection, event, now)
        if seen is None:
            return None
        status, verification_id = seen
        if status is not None and is_no_news(event.type, status):
            return _Outcome(event.call_id, verification_id)
        return self._apply(connection, event, now, is_at_hand)

    def _apply(self, connection: Connection, event: CallEvent, now: datetime, is_at_hand: bool) -> _Outcome:
        call_id = event.call_id
        if call_id is None and event.provider_call_id is not None:
            found = call_storage.find_by_provider_id(connection, event.provider_call_id)
            call_id = None if found is None else found.call_id
        held = None if call_id is None else call_storage.lock_call(connection, call_id)
        if held is None:
            return _Outcome()
        call, verification = held
        reaction = react(call, event, detects_machines=self._policy.detect_machines)
        if reaction is None:
            if _is_stray(call, event):
                call_storage.update_call(connection, call.call_id, provider_call_id=event.provider_call_id)
            return _Outcome(call.call_id, call.verification_id, call)
        if event.type is not EventType.HUNG_UP:
            call_storage.insert_call_event(connection, call.call_id, event.occurred_at, event.type.value)
        provider_call_id = call.provider_call_id
        if provider_call_id is None and event.provider_call_id is not None:
            provider_call_id = event.provider_call_id
            call_storage.update_call(connection, call.call_id, provider_call_id=provider_call_id)
        known = provider_call_id if is_at_hand else None
        errand = self._change(connection, call, verification, reaction, now, known)
        return _Outcome(call.call_id, call.verification_id, call, reaction, errand)

    def _change(
        self,
        connection: Connection,
        call: Call,
        verification: Verification,
        reaction: Reaction,
        now: datetime,
        at_hand: str | None,
    ) -> Errand | None:
        """Write what becomes of the call. Returns its new command, leased, where the provider's id of it is `at_hand`
        and this thread is to carry it out.
        """
        if reaction.status in ENDED:
            end_call(connection, call, reaction.status, reaction.end_reason, now)
            if reaction.status is CallStatus.FAILED:
                fail_verification(connection, call.verification_id)
            return None
        values: dict[str, Any] = {"status": reaction.status.value, "is_uncertain": False}
        if call.status in (CallStatus.QUEUED, CallStatus.UNKNOWN):
            # The event proves that the call exists, whatever the answer to our dial was.
            values |= {"holds_channel": True, "ended_at": None, "reason": None, "started_at": call.started_at or now}
        if call.answered_at is None and reaction.status is not CallStatus.RINGING:
            values["answered_at"] = now
            if call.started_at is not None:
                answer_seconds.observe((now - call.started_at).total_seconds())
            values["ask_provider_at"] = now + timedelta(seconds=self._policy.call_limit_seconds) + SILENCE
        elif reaction.status is CallStatus.RINGING:
            values["ask_provider_at"] = now + timedelta(seconds=self._policy.ring_seconds) + SILENCE
        if reaction.repeats is not None:
            values["repeats"] = reaction.repeats
        errand = None
        if reaction.command is not None:
            next_command = self._next_command(call, verification, reaction, now)
            errand = self._commands.take_new(call, verification, at_hand, next_command, now)
            values |= next_command
        call_storage.update_call(connection, call.call_id, **values)
        return errand

    def _next_command(
        self, call: Call, verification: Verification, reaction: Reaction, now: datetime
    ) -> dict[str, Any]:
        wanted = reaction.command or Command.HANG_UP
        end_status, end_reason = reaction.end_status, reaction.end_reason
        is_over = verification.status_at(now) is not VerificationStatus.PENDING
        if wanted is not Command.HANG_UP and is_over:
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
        log.info(
            "event_applied",
            event_id=event.event_id,
            type=event.type.value,
            call_id=outcome.call_id,
            verification_id=outcome.verification_id,
            result=result,
        )
        if call is None:
            return
        if reaction is None:
            if _is_stray(call, event):
                self._wakeups.wake(Topic.HANG_UP_STRAY, call.call_id)
        elif reaction.command is not None:
            self._carry_out(call, outcome.errand)
        elif reaction.status is CallStatus.ANSWERED and self._policy.detect_machines:
            self._wakeups.wake(Topic.OFFER_CODES, delay_seconds=DETECTION_SECONDS)
        elif reaction.status in ENDED:
            self._wakeups.wake(Topic.CHANNEL_FREE)

    def _carry_out(self, call: Call, errand: Errand | None) -> None:
        if errand is None:
            self._wakeups.wake(Topic.CARRY_OUT, call.call_id)
        else:
            self._commands.run(errand)

    def _keep_for_later(self, event: CallEvent, error: Exception) -> None:
        with self._db.write() as connection:
            is_new = storage.store_event(connection, event, self._clock(), is_applied=False)
        if is_new:
            self._count_failure(event.event_id, error)

    def _count_failure(self, event_id: str, error: Exception) -> None:
        log.error("event_failed", event_id=event_id, exc_info=error)
        events_total.labels("unknown", "failed").inc()
        with self._db.write() as connection:
            is_last = storage.count_failed_try(connection, event_id, max_tries=MAX_TRIES, now=self._clock())
        if is_last:
            events_total.labels("unknown", "put_aside").inc()
            log.error("event_put_aside", event_id=event_id)


def _is_stray(call: Call, event: CallEvent) -> bool:
    """Whether a phone rings for a call that is over here: placed although the answer to our dial was an error."""
    is_news = call.provider_call_id is None and event.provider_call_id is not None
    return is_news and call.is_over and not call.holds_channel and event.type is not EventType.HUNG_UP
