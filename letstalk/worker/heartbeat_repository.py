"""When each worker was last seen at work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, delete, func, select

from letstalk.db.database import UtcDateTime, metadata
from letstalk.db.insertions import insert_into

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(100), primary_key=True),
    Column("seen_at", UtcDateTime, nullable=False),
)


def beat(connection: Connection, worker_id: str, now: datetime) -> None:
    """Note that `worker_id` is at work."""
    statement = insert_into(workers, connection.dialect.name).values(worker_id=worker_id, seen_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["worker_id"], set_={"seen_at": now}))


def last_seen(connection: Connection) -> datetime | None:
    """When any worker was last seen; None when none ever was."""
    seen_at: datetime | None = connection.execute(select(func.max(workers.c.seen_at))).scalar_one()
    return seen_at


def forget_silent(connection: Connection, before: datetime) -> None:
    connection.execute(delete(workers).where(workers.c.seen_at < before))
