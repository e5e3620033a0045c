"""The row by which others see that this worker is alive."""

from __future__ import annotations

from datetime import timedelta

from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.worker import heartbeat_repository as workers

BEAT_SECONDS = 2.0
FORGOTTEN_AFTER = timedelta(minutes=10)


class Heartbeat:
    def __init__(self, db: Database, worker_id: str, clock: Clock) -> None:
        self._db = db
        self._worker_id = worker_id
        self._clock = clock

    def beat(self) -> None:
        """Note that this worker is alive."""
        with self._db.write() as connection:
            workers.beat(connection, self._worker_id, self._clock())

    def forget_silent(self) -> None:
        """Delete the rows of workers that have been silent for ten minutes."""
        with self._db.write() as connection:
            workers.forget_silent(connection, self._clock() - FORGOTTEN_AFTER)
