"""One-time links that were mailed: what is kept is enough to know one again, and too little to make one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    insert,
    select,
    update,
)

from letstalk.db.schema import UtcDateTime, metadata

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("purpose", String(30), nullable=False),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "account_id", "purpose"),
    Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class LinkRow:
    account_id: str
    expires_at: datetime


def insert_link(
    connection: Connection, token_hash: bytes, purpose: str, account_id: str, now: datetime, expires_at: datetime
) -> None:
    values = {"purpose": purpose, "account_id": account_id, "created_at": now, "expires_at": expires_at}
    connection.execute(insert(one_time_links).values(token_hash=token_hash, **values))


def use_link(connection: Connection, token_hash: bytes, purpose: str, now: datetime) -> bool:
    """Whether this very call used it up: not one that is unknown, used, expired or for another purpose. One statement,
    so that of many at once one succeeds.
    """
    statement = update(one_time_links).where(_live(token_hash, purpose, now)).values(used_at=now)
    return connection.execute(statement).rowcount == 1


def find_link(connection: Connection, token_hash: bytes, purpose: str, now: datetime) -> LinkRow | None:
    """A link that could be used now, which it still can afterwards."""
    statement = select(one_time_links.c.account_id, one_time_links.c.expires_at)
    row = connection.execute(statement.where(_live(token_hash, purpose, now))).one_or_none()
    return None if row is None else LinkRow(*row)


def end_links(connection: Connection, account_id: str, now: datetime, *, purpose: str | None = None) -> int:
    """Let none of an account's links, or of those for one purpose, be used any more. Returns how many could be."""
    unused = (one_time_links.c.account_id == account_id) & one_time_links.c.used_at.is_(None)
    if purpose is not None:
        unused &= one_time_links.c.purpose == purpose
    return connection.execute(update(one_time_links).where(unused).values(used_at=now)).rowcount


def list_made_since(connection: Connection, account_id: str, purpose: str, since: datetime) -> list[datetime]:
    """When links of that purpose were made for an account, used or not."""
    table = one_time_links.c
    mine = (table.account_id == account_id) & (table.purpose == purpose) & (table.created_at > since)
    return list(connection.execute(select(table.created_at).where(mine)).scalars())


def _live(token_hash: bytes, purpose: str, now: datetime) -> ColumnElement[bool]:
    table = one_time_links.c
    is_known = (table.token_hash == token_hash) & (table.purpose == purpose)
    return is_known & table.used_at.is_(None) & (table.expires_at > now)
