"""How often tokens are used: counted in memory, written in batches."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches
from letstalk.observability.logs import get_logger
from letstalk.tokens import repository as tokens
from letstalk.tokens import usage_repository as token_usage

log = get_logger(__name__)

FLUSH_INTERVAL_SECONDS = 0.5


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
    """Counts requests per token and UTC day. Between `start` and `stop` a thread writes them every half second, and
    the audit trail's waiting refusals with them; what is waiting at `stop` is written then.
    """

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock,
        audit: AuditTrail,
        interval_seconds: float = FLUSH_INTERVAL_SECONDS,
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
        """Write all counts in one transaction. Returns False when the database did not take them: they count on.

        Whoever calls while another flush is under way waits for it, and then reads numbers that include it.
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
        """End the thread, then write what is left. Safe without `start`, and more than once."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush()
        self._audit.flush()

    def daily_requests(self, token_id: str, days: int = 14) -> tuple[DailyRequests, ...]:
        """Requests on each of the last `days` UTC days, today last; a day without any has 0."""
        self.flush()
        today = self._clock().date()
        first = today - timedelta(days=days - 1)
        with self._db.read() as connection:
            found = token_usage.get_usage(connection, token_id, first)
        all_days = (first + timedelta(days=offset) for offset in range(days))
        return tuple(DailyRequests(day, found.get(day, 0)) for day in all_days)

    def erase_before(self, day: date) -> int:
        """Forget the days before `day` (the retention sweep); totals stay. Returns how many rows went."""
        return delete_in_batches(self._db, lambda connection: token_usage.erase_usage(connection, day))

    def _write(self, taken: dict[str, _Count]) -> None:
        counts = sorted(taken.items())
        with self._db.write() as connection:
            # Taken by every change of tokens too: two transactions that update the same rows in different orders
            # would end in a deadlock on PostgreSQL.
            self._db.lock(connection, "tokens")
            totals = [(token_id, sum(count.by_day.values()), count.last) for token_id, count in counts]
            tokens.add_requests(connection, totals)
            days = [(token_id, day, n) for token_id, count in counts for day, n in count.by_day.items()]
            token_usage.add_usage(connection, days)

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
            except Exception as error:  # the thread must outlive whatever happens once
                log.error("usage_thread_stumbled", error=type(error).__name__, exc_info=error)
