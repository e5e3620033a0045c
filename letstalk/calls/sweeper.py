"""Finding the calls that wait although no wake-up came, and ending those that no event has ended."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from letstalk.calls import event_repository, queue, repository
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.lifecycle import command, end_call
from letstalk.calls.models import Call, CallStatus, Command, Spoken, Topic
from letstalk.calls.scheduling import SILENCE, CallPolicy
from letstalk.calls.state_machine import DETECTION_SECONDS, READ_REASON
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches
from letstalk.observability.logs import bound_contextvars, get_logger
from letstalk.observability.metrics import calls_ended_silently_total
from letstalk.telephony.provider import CallProvider, ProviderError
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

ASK_AGAIN = timedelta(seconds=10)
# After this time the other overdue calls wait for the next sweep: a provider that hangs must not stop the other sweeps
# and the heartbeat.
ASKING_SECONDS = 4.0
EVENT_PATIENCE = timedelta(seconds=1)  # a younger event is most likely being applied right now
EVENTS_KEPT_FOR = timedelta(days=7)
NO_EVENT_REASON = "The call is over, but the provider never said how it ended."


class SweepService:
    def __init__(
        self,
        db: Database,
        dispatch: DispatchService,
        provider: CallProvider,
        wakeups: Wakeups,
        clock: Clock,
        policy: CallPolicy,
    ) -> None:
        self._db = db
        self._dispatch = dispatch
        self._provider = provider
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy

    def sweep(self) -> None:
        """Every 2 s: wake workers for what waits, and ask the provider about calls without events."""
        now = self._clock()
        with self._db.read() as connection:
            events = event_repository.list_waiting_events(connection, now - EVENT_PATIENCE)
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
                with bound_contextvars(call_id=call.call_id, verification_id=call.subject_id):
                    self._look_after(call)
        self._dispatch.drop_late_calls()
        # A call that was overdue may have freed its channel.
        self._wakeups.wake(Topic.CHANNEL_FREE if overdue else Topic.DISPATCH)

    def offer_codes(self) -> None:
        """Have the offer spoken where detection has not decided in time, and look again when the next is due."""
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
        """Every minute: erase scripts whose deadline has passed, and delete old events."""
        now = self._clock()
        delete_in_batches(self._db, partial(repository.erase_expired_scripts, now=now))
        delete_in_batches(self._db, partial(event_repository.delete_old_events, before=now - EVENTS_KEPT_FOR))

    def _look_after(self, call: Call) -> None:
        """End a call that no event has ended, having asked the provider first."""
        if call.status is CallStatus.UNKNOWN:
            # Nobody can say whether it was ever placed, but by now it is certainly over.
            with self._db.write() as connection:
                repository.update_call_if(
                    connection,
                    call.call_id,
                    was=CallStatus.UNKNOWN,
                    script_sealed=None,
                    holds_channel=False,
                    ask_provider_at=None,
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
            current = repository.lock_call(connection, call.call_id)
            if current is None or current.is_over:
                return
            now = self._clock()
            values: dict[str, Any] = {"ask_provider_at": now + ASK_AGAIN}
            if self._is_past_all_limits(current, now) and current.command is not Command.HANG_UP:
                values |= command(current, Command.HANG_UP, now)
                if not current.is_ending:
                    values |= {"end_status": CallStatus.UNKNOWN.value, "end_reason": NO_EVENT_REASON}
            repository.update_call(connection, call.call_id, **values)

    def _is_past_all_limits(self, call: Call, now: datetime) -> bool:
        return call.started_at is not None and now > call.started_at + self._policy.longest + 2 * SILENCE

    def _end_silently(self, call: Call) -> None:
        with self._db.write() as connection:
            current = repository.lock_call(connection, call.call_id)
            if current is None or current.is_over:
                return
            now = self._clock()
            if current.end_status is not None:
                end_call(connection, current, current.end_status, current.end_reason, now)
            elif current.spoken is Spoken.CODE:
                end_call(connection, current, CallStatus.COMPLETED, READ_REASON, now)
            else:
                end_call(connection, current, CallStatus.UNKNOWN, NO_EVENT_REASON, now)
        calls_ended_silently_total.inc()
        log.warning("call_ended_without_event", call_id=call.call_id)
