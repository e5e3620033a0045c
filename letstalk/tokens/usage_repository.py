"""How many requests each token made on each day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, Column, Connection, Date, ForeignKey, Index, String, Table, select

from letstalk.db.database import delete_oldest
from letstalk.db.schema import metadata
from letstalk.db.statements import insert_into

token_usage = Table(
    "token_usage",
    metadata,
    Column("token_id", String(36), ForeignKey("tokens.token_id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    CheckConstraint("requests > 0", name="requests_positive"),
    Index(None, "day"),
)


def add_usage(connection: Connection, counts: Iterable[tuple[str, date, int]]) -> None:
    """Add requests to days: (token_id, day in UTC, requests) each."""
    rows = [{"token_id": token_id, "day": day, "requests": requests} for token_id, day, requests in counts]
    statement = insert_into(token_usage, connection.dialect.name)
    total = token_usage.c.requests + statement.excluded.requests
    connection.execute(statement.on_conflict_do_update(token_usage.primary_key, set_={"requests": total}), rows)


def get_usage(connection: Connection, token_id: str, since: date) -> dict[date, int]:
    """Requests by day from `since` on; days without any are not among them."""
    of_token = (token_usage.c.token_id == token_id) & (token_usage.c.day >= since)
    rows = connection.execute(select(token_usage.c.day, token_usage.c.requests).where(of_token))
    return {row.day: row.requests for row in rows}


def erase_usage(connection: Connection, before: date) -> int:
    """Forget some of the days before `before`, the oldest first. Returns how many rows went."""
    return delete_oldest(connection, token_usage.c.day, before)
