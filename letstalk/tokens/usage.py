"""Counts the requests of tokens: in memory first, then in batches in the database."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, CheckConstraint, Column, Connection, Date, ForeignKey, Index, String, Table, select
from sqlalchemy.exc import SQLAlchemyError

from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.db.schema import metadata
from letstalk.db.statements import insert_into
from letstalk.observability.logs import get_logger
from letstalk.tokens import repository as tokens

log = get_logger(__name__)

FLUSH_INTERVAL_SECONDS = 0.5

token_usage = Table(
    "token_usage",
    metadata,
    Column("token_id", String(36), ForeignKey("tokens.token_id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    CheckConstraint("requests > 0", name="requests_positive"),
    Index(None, "day"),
)


@dataclass(frozen=True, slots=True)
class DailyRequests:
    day: date
    requests: int


@dataclass(slots=True)
class _Count:
    last: datetime
    by_day: defaultdict[date, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: _Count) -> None:
        self.last = max(self.last, other.last)
        for day, requests in other.by_day.items():
            self.by_day[day] += requests


class UsageCounter:
    """Counts requests per token and UTC day.

    Between `start` and `stop`, a thread writes the counts and the audit trail's buffered events every half second.
    `stop` writes what is left.
    """

    def __init__(
        self, db: Database, *, clock: Clock, audit: AuditTrail, interval_seconds: float = FLUSH_INTERVAL_SECONDS
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._interval_seconds = interval_seconds
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, token_id: str, now: datetime | None = None) -> None:
        """Count one request of `token_id`. Touches no database."""
        now = now or self._clock()
        with self._lock:
            count = self._counts.get(token_id)
            if count is None:
                count = self._counts[token_id] = _Count(now)
            count.last = max(count.last, now)
            count.by_day[now.date()] += 1

    def flush(self) -> bool:
        """Write all counts in one transaction. Returns False, and keeps the counts, if the database did not take them.

        A call during another flush waits for it, so that what the caller reads next includes all counts.
        """
        with self._flush_lock:
            with self._lock:
                taken, self._counts = self._counts, {}
            if not taken:
                return True
            try:
                self._write(taken)
            except SQLAlchemyError as error:
                log.warning("usage_not_flushed", error=type(error).__name__, tokens=len(taken))
                self._give_back(taken)
                return False
            return True

    def start(self) -> None:
        """Flush in the background from now on. A second call changes nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, then write what is left. Can be called without `start`, and more than once."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush()
        self._audit.flush()

    def daily_requests(self, token_id: str, days: int = 14) -> tuple[DailyRequests, ...]:
        """The number of requests on each of the last `days` UTC days, today last."""
        self.flush()
        today = self._clock().date()
        first = today - timedelta(days=days - 1)
        with self._db.read() as connection:
            found = get_usage(connection, token_id, first)
        all_days = (first + timedelta(days=offset) for offset in range(days))
        return tuple(DailyRequests(day, found.get(day, 0)) for day in all_days)

    def erase_before(self, day: date) -> int:
        """Delete the counts of the days before `day`. Totals stay. Returns how many rows it deleted."""
        return delete_in_batches(self._db, lambda connection: erase_usage(connection, day))

    def _write(self, taken: dict[str, _Count]) -> None:
        counts = sorted(taken.items())
        with self._db.write() as connection:
            # Every change of tokens takes this lock as well. Two transactions that update the same rows in different
            # orders would deadlock on PostgreSQL.
            self._db.lock(connection, "tokens")
            totals = [(token_id, sum(count.by_day.values()), count.last) for token_id, count in counts]
            tokens.add_requests(connection, totals)
            days = [(token_id, day, n) for token_id, count in counts for day, n in count.by_day.items()]
            add_usage(connection, days)

    def _give_back(self, taken: dict[str, _Count]) -> None:
        with self._lock:
            for token_id, count in taken.items():
                newer = self._counts.get(token_id)
                if newer is not None:
                    count.add(newer)
                self._counts[token_id] = count

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            try:
                self.flush()
                self._audit.flush()
            except Exception as error:  # the thread must survive any error
                log.error("usage_thread_failed", error=type(error).__name__, exc_info=error)


def add_usage(connection: Connection, counts: Iterable[tuple[str, date, int]]) -> None:
    """Add numbers of requests to days. `counts` has (token_id, day in UTC, requests) for each."""
    rows = [{"token_id": token_id, "day": day, "requests": requests} for token_id, day, requests in counts]
    statement = insert_into(token_usage, connection.dialect.name)
    total = token_usage.c.requests + statement.excluded.requests
    connection.execute(statement.on_conflict_do_update(token_usage.primary_key, set_={"requests": total}), rows)


def get_usage(connection: Connection, token_id: str, since: date) -> dict[date, int]:
    """Requests by day from `since` on, without the days that have none."""
    of_token = (token_usage.c.token_id == token_id) & (token_usage.c.day >= since)
    rows = connection.execute(select(token_usage.c.day, token_usage.c.requests).where(of_token))
    return {row.day: row.requests for row in rows}


def erase_usage(connection: Connection, before: date) -> int:
    """Delete some counts of the days before `before`, oldest first. Returns how many rows it deleted."""
    return delete_oldest(connection, token_usage.c.day, before)
