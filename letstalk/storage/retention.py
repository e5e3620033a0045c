"""Deleting what is old, a little at a time, so that nobody waits behind it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, select

from letstalk.storage.calls import call_events, calls
from letstalk.storage.verifications import PENDING, verifications


def delete_old_verifications(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` verifications made before that moment, with their calls. Returns how many there were.

    What is still awaited, or has a call that holds a channel, stays until it is over.
    """
    live = exists().where(calls.c.verification_id == verifications.c.verification_id, calls.c.holds_channel)
    statement = (
        select(verifications.c.verification_id)
        .where(verifications.c.created_at < before, verifications.c.status != PENDING, ~live)
        .order_by(verifications.c.created_at)
        .limit(limit)
    )
    old = list(connection.execute(statement).scalars())
    delete_verifications(connection, old)
    return len(old)


def delete_verifications(connection: Connection, verification_ids: list[str]) -> None:
    """Delete these verifications with all that hangs on them."""
    of_these = select(calls.c.call_id).where(calls.c.verification_id.in_(verification_ids))
    connection.execute(delete(call_events).where(call_events.c.call_id.in_(of_these)))
    connection.execute(delete(calls).where(calls.c.verification_id.in_(verification_ids)))
    connection.execute(delete(verifications).where(verifications.c.verification_id.in_(verification_ids)))
