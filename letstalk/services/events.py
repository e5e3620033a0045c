"""What providers report: stored first, answered, then applied once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from letstalk.domain.calls import ENDED, Call, CallEvent, CallStatus, Command, EventType
from letstalk.domain.errors import InvalidRequest, InvalidSignature
from letstalk.domain.reactions import DETECTION_SECONDS, Reaction, offer_code, react
from letstalk.domain.times import Clock
from letstalk.domain.verifications import Verification, VerificationStatus
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import answer_seconds, event_delay_seconds, events_total
from letstalk.services.commands import OVER_REASON, CommandService
from letstalk.services.dispatch import SILENCE, CallPolicy
from letstalk.services.endings import command, end_call, fail_verification
from letstalk.services.nudges import Nudges
from letstalk.storage import calls as call_storage
from letstalk.storage import webhook_events as storage
from letstalk.storage.db import Database
from letstalk.telephony.base import WebhookReader

log = get_logger(__name__)

MAX_TRIES = 10


class EventService:
    def __init__(
        self,
        db: Database,
        commands: CommandService,
        nudges: Nudges,
        clock: Clock,
        policy: CallPolicy,
        webhooks: WebhookReader | None,
    ) -> None:
        """`webhooks` is None where the provider sends none; then none is believed."""
        self._db = db
        self._commands = commands
        self._nudges = nudges
        self._clock = clock
        self._policy = policy
        self._webhooks = webhooks

    def receive_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> None:
        """Keep what a provider tells over HTTP, once its signature has been checked on the raw bytes.

        Raises InvalidSignature for what is unsigned, forged or stale, or can't be checked; InvalidRequest for what is
        signed but no event.
        """
        if self._webhooks is None:
            raise InvalidSignature("No provider that signs webhooks is configured.")
        try:
            event = self._webhooks.read(headers, raw_body, now=self._clock())
        except ValueError:
            raise InvalidRequest("This is not an event.") from None
        if event is not None:
            self.receive_event(event)

    def receive_event(self, event: CallEvent) -> None:
        """Keep an event and have it applied soon. One that came before changes nothing."""
        with self._db.write() as connection:
            is_new = storage.store_event(connection, event, self._clock())
        if is_new:
            self._nudges.apply_event(event.event_id)
        else:
            events_total.labels(event.type.value, "repeated").inc()

    def apply_event(self, event_id: str) -> None:
        """Let a stored event change its call, and carry out what follows from it.

        1. The event is marked applied, in the same transaction as all that it changes.
        2. The transition table decides; late, repeated and impossible events change nothing.
        3. After the commit the call's new command is carried out by this very worker: a person waits in silence.

        An event that can't be applied is tried again by the sweep, and put aside after ten tries.
        """
        try:
            with self._db.write() as connection:
                now = self._clock()
                event = storage.claim_event(connection, event_id, now)
                if event is None:
                    return
                call, reaction = self._apply(connection, event, now)
        except (SQLAlchemyError, ValueError) as error:
            self._count_failure(event_id, error)
            return
        result = "applied" if reaction is not None else "ignored"
        events_total.labels(event.type.value, result).inc()
        event_delay_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
        log.info(
            "event_applied",
            event_id=event_id,
            type=event.type.value,
            call_id=call and call.call_id,
            verification_id=call and call.verification_id,
            result=result,
        )
        if call is not None and reaction is not None:
            self._follow_up(call, reaction)
        elif call is not None and _is_stray(call, event):
            self._commands.hang_up_stray(call.call_id, event.provider_call_id or "")

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
            self._change(connection, call, verification, reaction, now)
        self._follow_up(call, reaction)

    def _apply(self, connection: Connection, event: CallEvent, now: datetime) -> tuple[Call | None, Reaction | None]:
        call_id = event.call_id
        if call_id is None and event.provider_call_id is not None:
            found = call_storage.find_by_provider_id(connection, event.provider_call_id)
            call_id = None if found is None else found.call_id
        held = None if call_id is None else call_storage.lock_call(connection, call_id)
        if held is None:
            return None, None
        call, verification = held
        reaction = react(call, event, detects_machines=self._policy.detect_machines)
        if reaction is None:
            if _is_stray(call, event):
                call_storage.update_call(connection, call.call_id, provider_call_id=event.provider_call_id)
            return call, None
        if event.type is not EventType.HUNG_UP:
            call_storage.insert_call_event(connection, call.call_id, event.occurred_at, event.type.value)
        if call.provider_call_id is None and event.provider_call_id is not None:
            call_storage.update_call(connection, call.call_id, provider_call_id=event.provider_call_id)
        self._change(connection, call, verification, reaction, now)
        return call, reaction

    def _change(
        self, connection: Connection, call: Call, verification: Verification, reaction: Reaction, now: datetime
    ) -> None:
        if reaction.status in ENDED:
            end_call(connection, call, reaction.status, reaction.end_reason, now)
            if reaction.status is CallStatus.FAILED:
                fail_verification(connection, call.verification_id)
            return
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
        if reaction.command is not None:
            values |= self._next_command(call, verification, reaction, now)
        call_storage.update_call(connection, call.call_id, **values)

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

    def _follow_up(self, call: Call, reaction: Reaction) -> None:
        if reaction.command is not None:
            self._commands.carry_out(call.call_id)
        elif reaction.status is CallStatus.ANSWERED and self._policy.detect_machines:
            self._nudges.offer_code(call.call_id, in_seconds=DETECTION_SECONDS)
        elif reaction.status in ENDED:
            self._nudges.dispatch()

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
