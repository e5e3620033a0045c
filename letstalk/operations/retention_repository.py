"""Deleting what has been kept long enough: verifications, and accounts whose address was never confirmed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, select

from letstalk.accounts.models import AccountState
from letstalk.accounts.repository import accounts
from letstalk.calls.repository import calls, delete_calls_about
from letstalk.verifications.repository import PENDING, verifications


def delete_old_verifications(connection: Connection, before: datetime, limit: int) -> int:
    """Delete verifications made before that time with their calls, up to `limit` calls. Returns how many were deleted.

    A verification that is pending, or has a call that holds a channel, is kept until it is over.
    """
    # Found by when their calls ended, for which there is an index. A verification always has a call.
    ended = select(calls.c.subject_id).where(calls.c.ended_at < before).order_by(calls.c.ended_at).limit(limit)
    live = exists().where(calls.c.subject_id == verifications.c.verification_id, calls.c.holds_channel)
    statement = (
        select(verifications.c.verification_id)
        .where(
            verifications.c.verification_id.in_(ended),
            verifications.c.created_at < before,
            verifications.c.status != PENDING,
            ~live,
        )
        # Locked before their calls, as everywhere. Those that another worker is deleting are left to it.
        .with_for_update(skip_locked=True)
    )
    old = list(connection.execute(statement).scalars())
    delete_verifications(connection, old)
    return len(old)


def delete_verifications(connection: Connection, verification_ids: list[str]) -> None:
    """Delete these verifications, which this transaction has locked, with their calls."""
    delete_calls_about(connection, verification_ids)
    connection.execute(delete(verifications).where(verifications.c.verification_id.in_(verification_ids)))


def delete_unverified_accounts(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` accounts registered before that time whose address was never confirmed."""
    old = (
        select(accounts.c.account_id)
        .where(accounts.c.state == AccountState.UNVERIFIED.value, accounts.c.created_at < before)
        .order_by(accounts.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(accounts).where(accounts.c.account_id.in_(old))).rowcount
