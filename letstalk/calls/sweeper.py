"""Finding what waits although no wake-up told of it, and ending what nobody ended. The rows are the truth."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from letstalk.calls import event_repository as event_storage
from letstalk.calls import queue as queue
from letstalk.calls import repository as call_storage
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.lifecycle import command, end_call, end_verification
from letstalk.calls.models import Call, CallStatus, Command, Spoken
from letstalk.calls.policy import SILENCE, CallPolicy
from letstalk.calls.state_machine import DETECTION_SECONDS, READ_REASON
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches
from letstalk.http import idempotency_repository as idempotency_storage
from letstalk.http.idempotency import KEPT_FOR
from letstalk.observability.logs import bound_contextvars, get_logger
from letstalk.observability.metrics import calls_ended_silently_total
from letstalk.operations.retention import RetentionService
from letstalk.telephony.provider import CallProvider, ProviderError
from letstalk.verifications import repository as verification_storage
from letstalk.verifications.models import WRONG_CODES_WINDOW_SECONDS, VerificationStatus
from letstalk.worker.topics import Topic
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

ASK_AGAIN = timedelta(seconds=10)
# Beyond this, the rest of the overdue calls waits for the next sweep: a provider that hangs must not keep the sweeper
# from what else waits, nor from saying that it lives.
ASKING_SECONDS = 4.0
EVENT_PATIENCE = timedelta(seconds=1)  # an event younger than this is most likely being applied right now
EVENTS_KEPT_FOR = timedelta(days=7)
NO_EVENT_REASON = "The call is over, but the provider never said how it ended."


class SweepService:
    def __init__(
        self,
        db: Database,
        dispatch: DispatchService,
        provider: CallProvider,
        retention: RetentionService,
        wakeups: Wakeups,
        clock: Clock,
        policy: CallPolicy,
    ) -> None:
        self._db = db
        self._dispatch = dispatch
        self._provider = provider
        self._retention = retention
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy

    def sweep(self) -> None:
        """Every 2 s: wake workers for what waits, and ask about calls that have been silent."""
        now = self._clock()
        with self._db.read() as connection:
            events = event_storage.list_waiting_events(connection, now - EVENT_PATIENCE)
            undialed = queue.list_undialed(connection, now)
            commanded = queue.list_commanded(connection, now)
            overdue = queue.list_overdue(connection, now)
        for event_id in events:
            self._wakeups.wake(Topic.APPLY_EVENT, event_id)
        for call_id in undialed:
            self._wakeups.wake(Topic.DIAL, call_id)
        for call_id in commanded:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        self.offer_codes()
        asking_ends = time.monotonic() + ASKING_SECONDS
        for call in overdue:
            if time.monotonic() < asking_ends:
                with bound_contextvars(call_id=call.call_id, verification_id=call.verification_id):
                    self._look_after(call)
        self._dispatch.drop_late_calls()
        # A call that was overdue may have let go of its channel.
        self._wakeups.wake(Topic.CHANNEL_FREE if overdue else Topic.DISPATCH)

    def offer_codes(self) -> None:
        """Have the offer made into calls about which detection has been silent for too long, and look again when the
        time of the next is up.
        """
        if not self._policy.detect_machines:
            return
        with self._db.read() as connection:
            now = self._clock()
            undecided = queue.list_undecided(connection, now)
        patience_seconds = []
        for call in undecided:
            seconds = DETECTION_SECONDS - (now - (call.answered_at or now)).total_seconds()
            if seconds > 0:
                patience_seconds.append(seconds)
            else:
                self._wakeups.wake(Topic.OFFER_CODE, call.call_id)
        if patience_seconds:
            self._wakeups.wake(Topic.OFFER_CODES, delay_seconds=min(patience_seconds))

    def sweep_slowly(self) -> None:
        """Every minute: note what expired, and forget what is too old to matter."""
        now = self._clock()
        self._note_expired(now)
        wrong_codes_before = now - timedelta(seconds=WRONG_CODES_WINDOW_SECONDS)
        for delete_some, before in (
            (event_storage.delete_old_events, now - EVENTS_KEPT_FOR),
            (idempotency_storage.delete_old_answers, now - KEPT_FOR),
            (verification_storage.delete_old_wrong_codes, wrong_codes_before),
        ):
            delete_in_batches(self._db, partial(delete_some, before=before))
        self._retention.forget_old()

    def _note_expired(self, now: datetime) -> None:
        """Mark what ran out, a batch of 500 after the other, so that no code stays longer than a minute."""
        while True:
            with self._db.read() as connection:
                expired = verification_storage.find_expired(connection, now)
            for verification_id in expired:
                with self._db.write() as connection:
                    end_verification(connection, verification_id, VerificationStatus.EXPIRED)
            if not expired:
                return

    def _look_after(self, call: Call) -> None:
        """End a call that no event has ended, having asked the provider first."""
        if call.status is CallStatus.UNKNOWN:
            # Nobody can say whether it was ever placed, but by now it is certainly over.
            with self._db.write() as connection:
                call_storage.update_call_if(
                    connection, call.call_id, was=CallStatus.UNKNOWN, holds_channel=False, ask_provider_at=None
                )
            return
        if call.status is CallStatus.DIALING and call.provider_call_id is None:
            self._wakeups.wake(Topic.DIAL, call.call_id)
            return
        if call.provider_call_id is None:
            self._end_silently(call)
            return
        with self._db.write() as connection:
            now = self._clock()
            if not queue.take_question(connection, call.call_id, now, now + ASK_AGAIN):
                return
        try:
            is_alive = self._provider.is_alive(call.provider_call_id)
        except ProviderError:
            self._ask_again(call)
            return
        if is_alive:
            self._ask_again(call)
        else:
            self._end_silently(call)

    def _ask_again(self, call: Call) -> None:
        with self._db.write() as connection:
            held = call_storage.lock_call(connection, call.call_id)
            if held is None or held[0].is_over:
                return
            now = self._clock()
            values: dict[str, Any] = {"ask_provider_at": now + ASK_AGAIN}
            if self._is_past_all_limits(held[0], now) and held[0].command is not Command.HANG_UP:
                values |= command(held[0], Command.HANG_UP, now)
                if not held[0].is_ending:
                    values |= {"end_status": CallStatus.UNKNOWN.value, "end_reason": NO_EVENT_REASON}
            call_storage.update_call(connection, call.call_id, **values)

    def _is_past_all_limits(self, call: Call, now: datetime) -> bool:
        return call.started_at is not None and now > call.started_at + self._policy.longest + 2 * SILENCE

    def _end_silently(self, call: Call) -> None:
        with self._db.write() as connection:
            held = call_storage.lock_call(connection, call.call_id)
            if held is None or held[0].is_over:
                return
            current, _ = held
            now = self._clock()
            if current.end_status is not None:
                end_call(connection, current, current.end_status, current.end_reason, now)
            elif current.spoken is Spoken.CODE:
                end_call(connection, current, CallStatus.COMPLETED, READ_REASON, now)
            else:
                end_call(connection, current, CallStatus.UNKNOWN, NO_EVENT_REASON, now)
        calls_ended_silently_total.inc()
        log.warning("call_ended_without_event", call_id=call.call_id)
