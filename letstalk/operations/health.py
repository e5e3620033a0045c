"""Whether this installation works, and if not, why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from letstalk.calls import event_repository, queue
from letstalk.core.clock import Clock
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.observability import metrics
from letstalk.worker import heartbeat as worker_storage

WORKER_PATIENCE = timedelta(seconds=15)
EVENT_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Health:
    """`checks` has for each part "ok" or a sentence that says what is wrong."""

    checks: dict[str, str]

    @property
    def is_ready(self) -> bool:
        return all(result == "ok" for result in self.checks.values())

    @property
    def first_problem(self) -> str:
        return next((result for result in self.checks.values() if result != "ok"), "")


@dataclass(frozen=True, slots=True)
class _Load:
    """What waits and what is live."""

    calls_waiting: int
    calls_live: int
    channels: int
    events_waiting: int
    longest_wait_seconds: float
    worker_seen_seconds: float  # -1 if none was ever seen


class HealthService:
    def __init__(self, db: Database, clock: Clock, *, channels: int, ping_queue: Callable[[], None]) -> None:
        """`ping_queue` raises when the task queue can't be reached."""
        self._db = db
        self._clock = clock
        self._channels = channels
        self._ping_queue = ping_queue

    def check(self) -> Health:
        checks = {"database": "ok", "migrations": "ok", "worker": "ok", "queue": "ok"}
        now = self._clock()
        try:
            with self._db.read() as connection:
                if not migrations.is_current(connection):
                    checks["migrations"] = "The database needs migrations: run `flask db upgrade`."
                    return Health(checks)
                seen_at = worker_storage.last_seen(connection)
                if seen_at is None or seen_at < now - WORKER_PATIENCE:
                    checks["worker"] = "No worker has been seen for 15 s."
                if event_repository.list_waiting_events(connection, now - EVENT_PATIENCE, limit=1):
                    checks["queue"] = "Events have waited for more than 30 s."
        except SQLAlchemyError:
            checks["database"] = "The database can't be reached."
        try:
            self._ping_queue()
        except Exception:  # whatever the client of the queue raises
            checks["queue"] = "The task queue can't be reached."
        return Health(checks)

    def metrics_page(self) -> bytes:
        """The page that Prometheus reads. Without the database, its gauges keep their last values."""
        try:
            load = self._load()
        except SQLAlchemyError:
            metrics.database_up.set(0)
        else:
            metrics.database_up.set(1)
            metrics.calls_waiting.set(load.calls_waiting)
            metrics.calls_live.set(load.calls_live)
            metrics.channels_total.set(load.channels)
            metrics.events_waiting.set(load.events_waiting)
            metrics.longest_wait_seconds.set(load.longest_wait_seconds)
            metrics.worker_seen_seconds.set(load.worker_seen_seconds)
        return metrics.render_metrics()

    def _load(self) -> _Load:
        with self._db.read() as connection:
            now = self._clock()
            waits_since = queue.find_longest_waiting(connection)
            seen_at = worker_storage.last_seen(connection)
            return _Load(
                calls_waiting=queue.count_waiting(connection),
                calls_live=queue.count_live(connection),
                channels=self._channels,
                events_waiting=event_repository.count_waiting_events(connection),
                longest_wait_seconds=0.0 if waits_since is None else _seconds_since(waits_since, now),
                worker_seen_seconds=-1.0 if seen_at is None else _seconds_since(seen_at, now),
            )


def _seconds_since(time: datetime, now: datetime) -> float:
    # The clocks of several machines differ.
    return max(0.0, (now - time).total_seconds())
