"""Placing calls: as many at once as there are channels, owners in turn, each exactly once.

A call is claimed by a conditional UPDATE of its row and dialed under a lease. A dial is repeated with the same
`command_id` while the provider still knows that id. A call that may have been placed is never dialed again after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import queue, repository
from letstalk.calls.lifecycle import command, end_call, fail_call, mark_unknown, record_call_event
from letstalk.calls.models import Call, CallListener, CallStatus, Command, Topic
from letstalk.calls.scheduling import SILENCE, CallPolicy, back_off_seconds, is_too_late, retry_window_ends
from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.observability.logs import bound_contextvars, get_logger
from letstalk.observability.metrics import calls_put_back_total, dial_delay_seconds, queue_seconds
from letstalk.telephony.provider import CallProvider, CallRefused, DialCommand, OutcomeUnknown, ProviderBusy
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

LEASE = timedelta(seconds=8)  # longer than the provider's time-out of 5 s
CLAIMS_TO_SPARE = 8  # read beyond the free channels: some calls may be late, and two may be to the same phone
LONGEST_PAUSE_SECONDS = 120.0  # even if the provider asks for more: most deadlines have passed by then

TOO_LATE_REASON = "The code would have expired before it could be heard."
NOT_WANTED_REASON = "The verification was over before the call was placed."


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to dial, until a later attempt. `was_uncertain`: an earlier attempt may have placed the call."""

    command: DialCommand
    attempt: int
    was_uncertain: bool
    claimed_at: datetime


class DispatchService:
    def __init__(
        self,
        db: Database,
        provider: CallProvider,
        wakeups: Wakeups,
        clock: Clock,
        policy: CallPolicy,
        listener: CallListener,
    ) -> None:
        self._db = db
        self._provider = provider
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        self._listener = listener

    def dispatch(self, *, is_channel_free: bool = False) -> None:
        """Claim as many waiting calls as there are free channels, and have them dialed.

        Unless a channel is certainly free, this reads first, so that full channels do not make writers wait.
        """
        if not is_channel_free:
            with self._db.read() as connection:
                is_full = queue.count_live(connection) >= self._policy.channels
                has_claimable = not is_full and bool(queue.list_claimable(connection, self._clock(), 1))
            if not has_claimable:
                return
        lease, others = self._claim()
        for call_id in others:
            self._wakeups.wake(Topic.DIAL, call_id)
        if lease is not None:
            with bound_contextvars(call_id=lease.command.call_id):
                self._dial(lease)

    def dial(self, call_id: str) -> None:
        """Have the provider place a claimed call, unless another worker does so or it is no longer wanted."""
        with bound_contextvars(call_id=call_id):
            lease = self._lease(call_id)
            if lease is not None:
                self._dial(lease)
            else:
                # It may have been ended because it was no longer wanted, which frees its channel.
                self._wakeups.wake(Topic.CHANNEL_FREE)

    def drop_late_calls(self) -> None:
        """End the waiting calls that would speak too late, and those that were withdrawn while they were dialed."""
        with self._db.read() as connection:
            latest = self._clock() + timedelta(seconds=self._policy.placing_seconds)
            late = queue.list_late(connection, latest)
        for call_id in late:
            with self._db.write() as connection:
                self._still_worth_placing(connection, call_id, self._clock())

    def _dial(self, lease: _Lease) -> None:
        call_id = lease.command.call_id
        dial_delay_seconds.observe((self._clock() - lease.claimed_at).total_seconds())
        try:
            provider_call_id = self._provider.dial(lease.command)
        except CallRefused as error:
            self._fail(lease, error.reason)
        except ProviderBusy as error:
            # A limit says nothing about an earlier attempt, which may have placed the call.
            if lease.was_uncertain:
                self._dial_again_later(lease)
            else:
                self._put_back(lease, error)
        except OutcomeUnknown:
            self._dial_again_later(lease)
        else:
            self._note_placed(call_id, provider_call_id)

    def _claim(self) -> tuple[_Lease | None, list[str]]:
        """The right to dial the first claimed call, and the ids of the others."""
        lease: _Lease | None = None
        claimed: list[str] = []
        with self._db.write() as connection:
            self._db.lock(connection, "dispatch")
            now = self._clock()
            free = self._policy.channels - queue.count_live(connection)
            phones: set[str] = set()
            found = queue.list_claimable(connection, now, free + CLAIMS_TO_SPARE) if free > 0 else []
            for call_id, phone in found:
                if len(claimed) >= free:
                    break
                call = None if phone in phones else self._still_worth_placing(connection, call_id, now)
                if call is None:
                    continue
                phones.add(phone)
                values: dict[str, Any] = {
                    "status": CallStatus.DIALING.value,
                    "holds_channel": True,
                    "started_at": now,
                    "leased_until": now,
                    "ask_provider_at": now + self._policy.longest,
                }
                if not claimed:
                    # This worker dials it, now: another lease would be another transaction.
                    lease, leased = self._next_lease(call, now)
                    values |= leased
                if repository.update_call_if(connection, call_id, was=CallStatus.QUEUED, **values):
                    repository.insert_call_event(connection, call_id, now, CallStatus.DIALING.value)
                    queue_seconds.observe((now - call.created_at).total_seconds())
                    claimed.append(call_id)
        if len(claimed) < free and len(found) == free + CLAIMS_TO_SPARE:
            self._wakeups.wake(Topic.DISPATCH)
        return lease if claimed else None, claimed[1:]

    def _still_worth_placing(self, connection: Connection, call_id: str, now: datetime) -> Call | None:
        """A waiting call, locked until the transaction ends. None when it is not worth placing; then it is ended."""
        call = repository.lock_call(connection, call_id)
        if call is None or call.status is not CallStatus.QUEUED:
            return None
        if call.is_ending:
            end_call(connection, call, CallStatus.CANCELED, NOT_WANTED_REASON, now)
            return None
        if is_too_late(call.speak_before, now, self._policy.placing_seconds):
            fail_call(connection, call, TOO_LATE_REASON, now, self._listener)
            return None
        return call

    def _lease(self, call_id: str) -> _Lease | None:
        """Take the right to dial, after reading everything again. None when the call is not to be dialed (any more)."""
        with self._db.write() as connection:
            now = self._clock()
            call = repository.lock_call(connection, call_id)
            if call is None or not queue.lease_dial(connection, call_id, now, now + LEASE):
                return None
            is_wanted = call.is_wanted_at(now)
            if call.is_uncertain and (not is_wanted or now >= retry_window_ends(call.first_dial_at or now)):
                mark_unknown(connection, call, now, must_be_over_after=self._policy.longest)
                return None
            if not is_wanted:
                end_call(connection, call, CallStatus.CANCELED, NOT_WANTED_REASON, now)
                return None
            lease, values = self._next_lease(call, now)
            repository.update_call(connection, call_id, **values)
            return lease

    def _next_lease(self, call: Call, now: datetime) -> tuple[_Lease, dict[str, Any]]:
        """The right to dial, and the column values that give it."""
        dial_round, first_dial_at = call.dial_round, call.first_dial_at
        if first_dial_at is None or now >= retry_window_ends(first_dial_at):
            dial_round, first_dial_at = dial_round + 1, now
        dial = DialCommand(
            call_id=call.call_id,
            phone=call.e164,
            command_id=f"{call.call_id}-dial-{dial_round}",
            detect_machine=self._policy.detect_machines,
            ring_seconds=self._policy.ring_seconds,
            call_limit_seconds=self._policy.call_limit_seconds,
        )
        attempt = call.dial_attempts + 1
        return _Lease(dial, attempt, call.is_uncertain, claimed_at=call.started_at or now), {
            "leased_until": now + LEASE,
            "dial_attempts": attempt,
            "dial_round": dial_round,
            "first_dial_at": first_dial_at,
            # Until a response says otherwise: this process may die before it gets one.
            "is_uncertain": True,
        }

    def _note_placed(self, call_id: str, provider_call_id: str) -> None:
        with self._db.write() as connection:
            now = self._clock()
            placed = queue.note_placed(connection, call_id, provider_call_id, now, self._ringing_ends(now))
            if placed is not None:
                repository.insert_call_event(connection, call_id, now, CallStatus.RINGING.value)
                record_event(connection, NewEvent(AppEventType.CALL_RINGING, *placed, call_id), now)
        if placed is None:
            self._note_placed_late(call_id, provider_call_id)
        else:
            _, subject_id = placed
            log.info("call_placed", call_id=call_id, verification_id=subject_id)

    def _ringing_ends(self, now: datetime) -> datetime:
        """When to ask about a call that rings from `now` on if no event comes."""
        return now + timedelta(seconds=self._policy.ring_seconds) + SILENCE

    def _note_placed_late(self, call_id: str, provider_call_id: str) -> None:
        """Like `_note_placed`, for a call whose row changed while it was dialed."""
        with self._db.write() as connection:
            now = self._clock()
            call = repository.lock_call(connection, call_id)
            if call is None or not call.is_unfinished:
                return
            values: dict[str, Any] = {"provider_call_id": provider_call_id, "is_uncertain": False, "reason": None}
            if call.status in (CallStatus.DIALING, CallStatus.QUEUED):
                # It rings, even if a later attempt got another response and has put it back.
                values |= {"status": CallStatus.RINGING.value, "holds_channel": True}
                values |= {"started_at": call.started_at or now, "rang_at": call.rang_at or now}
                values["ask_provider_at"] = self._ringing_ends(now)
                repository.insert_call_event(connection, call_id, now, CallStatus.RINGING.value)
                record_call_event(connection, AppEventType.CALL_RINGING, call, now)
            if not call.is_wanted_at(now) and call.command is not Command.HANG_UP:
                values |= command(call, Command.HANG_UP, now)
                values |= {"end_status": CallStatus.CANCELED.value, "end_reason": NOT_WANTED_REASON}
            repository.update_call(connection, call_id, **values)
            has_command = "command" in values or call.command is not None
        log.info("call_placed", call_id=call_id, verification_id=call.subject_id)
        if has_command:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)

    def _put_back(self, lease: _Lease, error: ProviderBusy) -> None:
        """Put the call back into the queue, with a pause."""
        with self._db.write() as connection:
            now = self._clock()
            call = self._still_dialed(connection, lease)
            if call is None:
                return
            asked_seconds = min(error.retry_after_seconds or 0.0, LONGEST_PAUSE_SECONDS)
            pause_seconds = max(back_off_seconds(call.dial_attempts), asked_seconds)
            repository.insert_call_event(connection, call.call_id, now, "put_back")
            values: dict[str, Any] = {
                "status": CallStatus.QUEUED.value,
                "reason": error.reason,
                "holds_channel": False,
                "started_at": None,
                "ask_provider_at": None,
                "not_before": now + timedelta(seconds=pause_seconds),
                "is_uncertain": False,
            }
            if error.not_placed:
                values["first_dial_at"] = None
            repository.update_call(connection, call.call_id, **values)
        calls_put_back_total.labels("limit" if error.not_placed else "error").inc()
        log.info("call_put_back", call_id=call.call_id, reason=error.reason, pause_seconds=round(pause_seconds, 1))
        self._wakeups.wake(Topic.PUT_BACK, call.call_id, delay_seconds=pause_seconds)

    def _dial_again_later(self, lease: _Lease) -> None:
        with self._db.write() as connection:
            if call := self._still_dialed(connection, lease):
                pause = timedelta(seconds=back_off_seconds(min(call.dial_attempts, 3)))
                repository.update_call(connection, call.call_id, leased_until=self._clock() + pause)

    def _fail(self, lease: _Lease, reason: str) -> None:
        with self._db.write() as connection:
            if call := self._still_dialed(connection, lease):
                fail_call(connection, call, reason, self._clock(), self._listener)
        self._wakeups.wake(Topic.CHANNEL_FREE)

    def _still_dialed(self, connection: Connection, lease: _Lease) -> Call | None:
        """The call, if `lease` still decides about it: no worker has dialed it since, and no event says that it rings.

        A response may come after the lease has run out. Then the worker that has leased the call since decides.
        """
        call = repository.lock_call(connection, lease.command.call_id)
        if call is None or call.status is not CallStatus.DIALING or call.provider_call_id is not None:
            return None
        return call if call.dial_attempts == lease.attempt else None
