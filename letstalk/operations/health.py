"""Whether this installation works, and if not, why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from letstalk.calls import event_repository, queue
from letstalk.core.clock import Clock
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.observability import metrics
from letstalk.operations.checks import (
    EVENT_PATIENCE,
    READY_PARTS,
    CheckResult,
    CheckState,
    failing,
    judge_migrations,
    judge_queue,
    judge_worker,
    ok,
    pending,
)
from letstalk.worker import heartbeat as worker_storage


@dataclass(frozen=True, slots=True)
class Health:
    """What /health/ready asks about: a result for each of READY_PARTS."""

    results: tuple[CheckResult, ...]

    @property
    def is_ready(self) -> bool:
        return self.first_problem == ""

    @property
    def first_problem(self) -> str:
        """The first thing that is wrong, in sentences."""
        return next((result.sentence for result in self.results if result.state is CheckState.FAILING), "")


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Over all instances: `channels` is MAX_CONCURRENT_CALLS."""

    channels: int
    live: int
    waiting: int


class HealthService:
    def __init__(self, db: Database, clock: Clock, *, channels: int, ping_queue: Callable[[], None]) -> None:
        """`ping_queue` raises when the task queue can't be reached."""
        self._db = db
        self._clock = clock
        self._channels = channels
        self._ping_queue = ping_queue
        self._db_name = "SQLite" if db.is_sqlite else "PostgreSQL"

    def check(self) -> Health:
        started = time.perf_counter()
        results: dict[str, CheckResult] = {name: pending(name) for name in READY_PARTS}
        try:
            with self._db.read() as connection:
                revision = migrations.current_revision(connection)
                milliseconds = (time.perf_counter() - started) * 1000
                results["database"] = ok("database", f"{self._db_name} answered in {milliseconds:.1f} ms.")
                results["migrations"] = judge_migrations(revision, migrations.HEAD)
                if results["migrations"].state is CheckState.OK:
                    results |= self._check_work(connection)
        except SQLAlchemyError:
            remedy = "Is it running, is its disk full, and does DATABASE_URL name it?"
            results["database"] = failing("database", "The database can't be reached.", remedy)
        try:
            self._ping_queue()
        except Exception:  # whatever the client of the queue raises
            remedy = "Is Redis running, and does REDIS_URL name it? Until then each process does its own work."
            results["queue"] = failing("queue", "The task queue can't be reached.", remedy)
        return Health(tuple(results.values()))

    def _check_work(self, connection: Connection) -> dict[str, CheckResult]:
        now = self._clock()
        return {
            "worker": judge_worker(worker_storage.last_seen(connection), now),
            "queue": judge_queue(
                waiting=queue.count_waiting(connection),
                waits_since=queue.find_longest_waiting(connection),
                has_late_events=bool(event_repository.list_waiting_events(connection, now - EVENT_PATIENCE, limit=1)),
                now=now,
            ),
        }

    def count_calls(self) -> CallCounts:
        with self._db.read() as connection:
            return CallCounts(
                channels=self._channels, live=queue.count_live(connection), waiting=queue.count_waiting(connection)
            )

    def metrics_page(self) -> bytes:
        """The page that Prometheus reads. Without the database, its gauges keep their last values."""
        try:
            values = self._read_gauges()
        except SQLAlchemyError:
            metrics.database_up.set(0)
        else:
            metrics.database_up.set(1)
            for gauge, value in values.items():
                gauge.set(value)
        return metrics.render_metrics()

    def _read_gauges(self) -> dict[Gauge, float]:
        """The value of each gauge. `worker_seen_seconds` is -1 if no worker was ever seen."""
        with self._db.read() as connection:
            now = self._clock()
            waits_since = queue.find_longest_waiting(connection)
            seen_at = worker_storage.last_seen(connection)
            return {
                metrics.calls_waiting: queue.count_waiting(connection),
                metrics.calls_live: queue.count_live(connection),
                metrics.channels_total: self._channels,
                metrics.events_waiting: event_repository.count_waiting_events(connection),
                metrics.longest_wait_seconds: 0.0 if waits_since is None else _seconds_since(waits_since, now),
                metrics.worker_seen_seconds: -1.0 if seen_at is None else _seconds_since(seen_at, now),
            }


def _seconds_since(time: datetime, now: datetime) -> float:
    # The clocks of several machines differ.
    return max(0.0, (now - time).total_seconds())
