"""The table of recovery codes. Each is stored as a keyed digest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from letstalk.db.schema import UtcDateTime, metadata

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("code_digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.Index(None, "account_id"),
)


def replace_codes(connection: sa.Connection, account_id: str, digests: Iterable[bytes], now: datetime) -> None:
    delete_codes(connection, account_id)
    rows = [{"code_digest": digest, "account_id": account_id, "created_at": now} for digest in digests]
    connection.execute(sa.insert(recovery_codes), rows)


def delete_codes(connection: sa.Connection, account_id: str) -> None:
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.account_id == account_id))


def use_code(connection: sa.Connection, digest: bytes, now: datetime) -> bool:
    """Whether it was an unused code."""
    is_it = (recovery_codes.c.code_digest == digest) & recovery_codes.c.used_at.is_(None)
    return connection.execute(sa.update(recovery_codes).where(is_it).values(used_at=now)).rowcount == 1


def count_left(connection: sa.Connection, account_id: str) -> tuple[int, datetime | None]:
    """How many are unused, and when they were made; (0, None) for an account that never made any."""
    table = recovery_codes.c
    unused = sa.func.count().filter(table.used_at.is_(None))
    statement = sa.select(unused, sa.func.max(table.created_at)).where(table.account_id == account_id)
    remaining, created_at = connection.execute(statement).one()
    return remaining, created_at
