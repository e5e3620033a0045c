"""Placing, withdrawing and ending calls inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import repository
from letstalk.calls.models import Call, CallListener, CallStatus, Command, NewCall, Spoken
from letstalk.calls.scheduling import LONGEST_CALL_SECONDS
from letstalk.core.ids import new_id
from letstalk.db.database import after_commit
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import call_seconds, calls_ended_total

log = get_logger(__name__)

LOST_REASON = "The provider did not say whether the call was placed. It was not tried again."


def place_call(connection: Connection, new: NewCall, turn: int, now: datetime) -> str:
    """Put a call into the queue. Returns its id. Wake a worker for `Topic.DISPATCH` after the commit."""
    call_id = new_id(now)
    repository.insert_call(connection, call_id, new, turn, now)
    return call_id


def note_call(connection: Connection, new: NewCall, status: CallStatus, reason: str, now: datetime) -> str:
    """Keep a call that is over without having been placed, so that it is shown and counted. Returns its id."""
    call_id = new_id(now)
    repository.insert_ended_call(connection, call_id, new, status, reason, now)
    repository.insert_call_event(connection, call_id, now, status.value)
    return call_id


def say_again(connection: Connection, call: Call, now: datetime) -> None:
    """Have a live, locked call speak its script again. Wake a worker for `Topic.CARRY_OUT` after the commit."""
    repository.update_call(connection, call.call_id, **command(call, Command.SPEAK_CODE, now))


def withdraw_calls(connection: Connection, subject_id: str, reason: str, now: datetime) -> list[str]:
    """End the calls about a subject: the waiting ones now, the live ones by hanging up. Their scripts are erased.

    Returns the ids of the calls that a worker must hang up, by `Topic.CARRY_OUT` after the commit.
    """
    to_hang_up = []
    for call in repository.lock_unfinished(connection, subject_id):
        if call.status is CallStatus.QUEUED:
            end_call(connection, call, CallStatus.CANCELED, reason, now)
        elif call.is_over:  # unknown: if an event proves that it exists, it must be hung up
            repository.update_call(connection, call.call_id, script_sealed=None, speak_before=now)
        elif not call.is_ending:
            to_hang_up.append(call.call_id)
            status = CallStatus.COMPLETED if call.spoken is Spoken.CODE else CallStatus.CANCELED
            values = {"script_sealed": None, "end_status": status.value, "end_reason": reason}
            repository.update_call(connection, call.call_id, **command(call, Command.HANG_UP, now), **values)
    return to_hang_up


def command(call: Call, wanted: Command, now: datetime) -> dict[str, Any]:
    """The column values that make `wanted` the next thing to do with `call`."""
    return {
        "command": wanted.value,
        "command_seq": call.command_seq + 1,
        "command_attempts": 0,
        "command_leased_until": now,
    }


def record_call_event(connection: Connection, type_: AppEventType, call: Call, now: datetime) -> None:
    """Record what happened in `call`, for apps."""
    record_event(connection, NewEvent(type_, call.owner_id, call.subject_id, call.call_id), now)


def end_call(connection: Connection, call: Call, status: CallStatus, reason: str | None, now: datetime) -> None:
    """Give `call` its last status, erase its script and free its channel."""
    held_seconds = None if call.started_at is None else (now - call.started_at).total_seconds()
    if held_seconds is not None and not 0 <= held_seconds <= LONGEST_CALL_SECONDS:
        held_seconds = None  # it would raise the mean, and the next fifty requests would find the queue full
    repository.update_call(
        connection,
        call.call_id,
        status=status.value,
        reason=reason,
        script_sealed=None,
        ended_at=now,
        holds_channel=False,
        ask_provider_at=None,
        command=None,
        command_leased_until=None,
        duration_seconds=held_seconds if call.provider_call_id else None,
    )
    repository.insert_call_event(connection, call.call_id, now, status.value)
    record_call_event(connection, AppEventType.CALL_ENDED, call, now)

    def note() -> None:
        calls_ended_total.labels(status.value).inc()
        if held_seconds is not None:
            call_seconds.labels(status.value).observe(held_seconds)
        about = {"call_id": call.call_id, "verification_id": call.subject_id}  # as the logs of all features name it
        log.info("call_ended", status=status.value, reason=reason, **about)

    after_commit(connection, note)


def fail_call(connection: Connection, call: Call, reason: str | None, now: datetime, listener: CallListener) -> None:
    """End `call` as failed for good. After the commit `listener` is told, unless it is too late to matter."""
    end_call(connection, call, CallStatus.FAILED, reason, now)
    if call.speak_before > now:
        after_commit(connection, lambda: listener.call_failed(call.subject_id))


def mark_unknown(connection: Connection, call: Call, now: datetime, *, must_be_over_after: timedelta) -> None:
    """Note that nobody can say whether the call exists. It is never dialed again.

    It keeps its channel until it must be over, and its script, because an event may still prove that it exists.
    """
    since = call.first_dial_at or now
    repository.update_call_if(
        connection,
        call.call_id,
        was=CallStatus.DIALING,
        status=CallStatus.UNKNOWN.value,
        reason=LOST_REASON,
        ended_at=now,
        ask_provider_at=since + must_be_over_after,
    )
    repository.insert_call_event(connection, call.call_id, now, CallStatus.UNKNOWN.value)
    record_call_event(connection, AppEventType.CALL_ENDED, call, now)
    after_commit(connection, lambda: log.warning("call_unknown", call_id=call.call_id))
