"""The row that shows other processes that a worker is alive."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, String, Table, delete, func, select

from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

BEAT_SECONDS = 2.0
FORGOTTEN_AFTER = timedelta(minutes=10)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(100), primary_key=True),
    Column("seen_at", UtcDateTime, nullable=False),
)


class Heartbeat:
    def __init__(self, db: Database, worker_id: str, clock: Clock) -> None:
        self._db = db
        self._worker_id = worker_id
        self._clock = clock

    def beat(self) -> None:
        """Record that this worker is alive."""
        with self._db.write() as connection:
            beat(connection, self._worker_id, self._clock())

    def forget_silent(self) -> None:
        """Delete the rows of workers that have been silent for ten minutes."""
        with self._db.write() as connection:
            connection.execute(delete(workers).where(workers.c.seen_at < self._clock() - FORGOTTEN_AFTER))


def beat(connection: Connection, worker_id: str, now: datetime) -> None:
    statement = insert_into(workers, connection.dialect.name).values(worker_id=worker_id, seen_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["worker_id"], set_={"seen_at": now}))


def last_seen(connection: Connection) -> datetime | None:
    """When any worker was last seen; None when none ever was."""
    seen_at: datetime | None = connection.execute(select(func.max(workers.c.seen_at))).scalar_one()
    return seen_at
