"""Ending calls and verifications inside a transaction, in one way for everyone who does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import repository as call_storage
from letstalk.calls.models import Call, CallStatus, Command, Spoken
from letstalk.calls.scheduling import LONGEST_CALL_SECONDS
from letstalk.db.database import after_commit
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import call_seconds, calls_ended_total, verifications_total
from letstalk.verifications import repository as verification_storage
from letstalk.verifications.attempts import spend_attempt_and_approve
from letstalk.verifications.models import VerificationStatus

log = get_logger(__name__)

LOST_REASON = "The provider did not say whether the call was placed. It was not tried again."


def command(call: Call, wanted: Command, now: datetime) -> dict[str, Any]:
    """The column values that make `wanted` the next thing to do with `call`."""
    return {
        "command": wanted.value,
        "command_seq": call.command_seq + 1,
        "command_attempts": 0,
        "command_leased_until": now,
    }


def end_call(connection: Connection, call: Call, status: CallStatus, reason: str | None, now: datetime) -> None:
    """Give `call` its last status and let its channel go."""
    held_seconds = None if call.started_at is None else (now - call.started_at).total_seconds()
    if held_seconds is not None and not 0 <= held_seconds <= LONGEST_CALL_SECONDS:
        held_seconds = None  # or the next fifty callers would be told that the queue is full
    call_storage.update_call(
        connection,
        call.call_id,
        status=status.value,
        reason=reason,
        ended_at=now,
        holds_channel=False,
        ask_provider_at=None,
        command=None,
        command_leased_until=None,
        duration_seconds=held_seconds if call.provider_call_id else None,
    )
    call_storage.insert_call_event(connection, call.call_id, now, status.value)

    def note() -> None:
        calls_ended_total.labels(status.value).inc()
        if held_seconds is not None:
            call_seconds.labels(status.value).observe(held_seconds)
        log.info(
            "call_ended",
            call_id=call.call_id,
            verification_id=call.verification_id,
            status=status.value,
            reason=reason,
        )

    after_commit(connection, note)


def give_call_up(connection: Connection, call: Call, now: datetime, *, must_be_over_after: timedelta) -> None:
    """Nobody can say whether the call exists: it is never dialed again, and keeps its channel until it must be over."""
    since = call.first_dial_at or now
    call_storage.update_call_if(
        connection,
        call.call_id,
        was=CallStatus.DIALING,
        status=CallStatus.UNKNOWN.value,
        reason=LOST_REASON,
        ended_at=now,
        ask_provider_at=since + must_be_over_after,
    )
    call_storage.insert_call_event(connection, call.call_id, now, CallStatus.UNKNOWN.value)
    after_commit(connection, lambda: log.warning("call_unknown", call_id=call.call_id))


def end_verification(connection: Connection, verification_id: str, status: VerificationStatus) -> bool:
    """Give a pending verification its last status. False when it was over already."""
    ended = verification_storage.end_verification(connection, verification_id, status)
    if ended:
        after_commit(connection, lambda: _note_end(verification_id, status))
    return ended


def approve_awaited(connection: Connection, verification_id: str, now: datetime) -> None:
    """Approve a verification whose awaited code this transaction holds: somebody has said it."""
    spend_attempt_and_approve(connection, verification_id, now)
    after_commit(connection, lambda: _note_end(verification_id, VerificationStatus.APPROVED))


def _note_end(verification_id: str, status: VerificationStatus) -> None:
    verifications_total.labels(status.value).inc()
    log.info("verification_ended", verification_id=verification_id, status=status.value)


def retire_calls(connection: Connection, verification_id: str, reason: str, now: datetime) -> list[str]:
    """End the calls of a verification that is over: the waiting ones now, the live ones by hanging up.

    Returns the ids of the calls that a worker must hang up.
    """
    to_hang_up = []
    for call in call_storage.list_unfinished(connection, verification_id):
        if call.status is CallStatus.QUEUED:
            end_call(connection, call, CallStatus.CANCELED, reason, now)
        elif call.holds_channel and not call.is_ending:
            to_hang_up.append(call.call_id)
            status = CallStatus.COMPLETED if call.spoken is Spoken.CODE else CallStatus.CANCELED
            call_storage.update_call(
                connection,
                call.call_id,
                **command(call, Command.HANG_UP, now),
                end_status=status.value,
                end_reason=reason,
            )
    return to_hang_up


def fail_verification(connection: Connection, verification_id: str) -> None:
    """Mark a verification failed, unless one of its calls could be placed, or still may be."""
    if call_storage.count_not_refused(connection, verification_id) == 0:
        end_verification(connection, verification_id, VerificationStatus.FAILED)
