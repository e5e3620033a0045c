"""Counts the requests of tokens: in memory first, then in batches in the database."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Date,
    ForeignKey,
    Index,
    String,
    Table,
    func,
    select,
)
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

# What requests are counted as, in the order in which they are shown: a fixed list, whatever is called.
SEND, CHECK, REPLAY, CANCEL, READ, TOKENS, OTHER = ENDPOINTS = (
    *("send", "check", "replay", "cancel", "read", "tokens", "other"),
)
_EXACT = {"/calls/otp": SEND, "/calls/verify": CHECK, "/calls/replay": REPLAY}
_OF_TWILIO = {"Verifications": SEND, "VerificationCheck": CHECK}  # by the last part of a route

token_usage = Table(
    "token_usage",
    metadata,
    Column("token_id", String(36), ForeignKey("tokens.token_id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    CheckConstraint("requests > 0", name="requests_positive"),
    Index(None, "day"),
)

# Beside the totals of `token_usage`, which are older: what was requested on each day.
token_endpoint_usage = Table(
    "token_endpoint_usage",
    metadata,
    Column("token_id", String(36), ForeignKey("tokens.token_id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("endpoint", String(16), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    CheckConstraint("requests > 0", name="requests_positive"),
    Index(None, "day"),
)


@dataclass(frozen=True, slots=True)
class DailyRequests:
    day: date
    requests: int


@dataclass(frozen=True, slots=True)
class EndpointRequests:
    """`endpoint` is one of ENDPOINTS."""

    endpoint: str
    requests: int


@dataclass(slots=True)
class _Count:
    """The requests of one token that wait for the next flush, by day and route."""

    last: datetime
    requests: defaultdict[tuple[date, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: _Count) -> None:
        self.last = max(self.last, other.last)
        for key, requests in other.requests.items():
            self.requests[key] += requests

    def by_day(self) -> Counter[date]:
        found: Counter[date] = Counter()
        for (day, _), requests in self.requests.items():
            found[day] += requests
        return found

    def by_endpoint(self) -> Counter[tuple[date, str]]:
        found: Counter[tuple[date, str]] = Counter()
        for (day, route), requests in self.requests.items():
            found[day, endpoint_of(route)] += requests
        return found


def endpoint_of(route: str) -> str:
    """What a request to `route`, a rule such as `/calls/<uuid:verification_id>`, is counted as."""
    if route in _EXACT:
        return _EXACT[route]
    if route.startswith("/calls"):
        return CANCEL if route.endswith("/cancel") else READ
    if route.startswith("/twilio/"):
        return _OF_TWILIO.get(route.rpartition("/")[2], OTHER)
    return TOKENS if route.startswith("/api/tokens") else OTHER


class UsageCounter:
    """Counts requests per token, UTC day and endpoint.

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

    def count(self, token_id: str, route: str, now: datetime | None = None) -> None:
        """Count one request of `token_id` to `route`. Touches no database."""
        now = now or self._clock()
        with self._lock:
            count = self._counts.get(token_id)
            if count is None:
                count = self._counts[token_id] = _Count(now)
            count.last = max(count.last, now)
            count.requests[now.date(), route] += 1

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

    def requests_by_endpoint(self, token_id: str, days: int = 14) -> tuple[EndpointRequests, ...]:
        """What was requested in the last `days` UTC days, in the order of ENDPOINTS, without what was not."""
        self.flush()
        first = self._clock().date() - timedelta(days=days - 1)
        with self._db.read() as connection:
            found = get_endpoint_usage(connection, token_id, first)
        return tuple(EndpointRequests(name, found[name]) for name in ENDPOINTS if name in found)

    def erase_before(self, day: date) -> int:
        """Delete the counts of the days before `day`. Totals stay. Returns how many rows it deleted."""
        return delete_in_batches(self._db, lambda connection: erase_usage(connection, day))

    def _write(self, taken: dict[str, _Count]) -> None:
        counts = sorted(taken.items())
        with self._db.write() as connection:
            # Every change of tokens takes this lock as well. Two transactions that update the same rows in different
            # orders would deadlock on PostgreSQL.
            self._db.lock(connection, "tokens")
            totals = [(token_id, sum(count.requests.values()), count.last) for token_id, count in counts]
            tokens.add_requests(connection, totals)
            add_usage(
                connection, [(token_id, day, n) for token_id, count in counts for day, n in count.by_day().items()]
            )
            add_endpoint_usage(
                connection,
                [
                    (token_id, day, endpoint, n)
                    for token_id, count in counts
                    for (day, endpoint), n in count.by_endpoint().items()
                ],
            )

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


def add_endpoint_usage(connection: Connection, counts: Iterable[tuple[str, date, str, int]]) -> None:
    """Add numbers of requests to endpoints. `counts` has (token_id, day in UTC, endpoint, requests) for each."""
    names = ("token_id", "day", "endpoint", "requests")
    statement = insert_into(token_endpoint_usage, connection.dialect.name)
    total = token_endpoint_usage.c.requests + statement.excluded.requests
    upsert = statement.on_conflict_do_update(token_endpoint_usage.primary_key, set_={"requests": total})
    connection.execute(upsert, [dict(zip(names, count, strict=True)) for count in counts])


def get_endpoint_usage(connection: Connection, token_id: str, since: date) -> dict[str, int]:
    """Requests by endpoint from `since` on."""
    table = token_endpoint_usage.c
    query = select(table.endpoint, func.sum(table.requests).label("total")).group_by(table.endpoint)
    rows = connection.execute(query.where(table.token_id == token_id, table.day >= since))
    return {row.endpoint: int(row.total) for row in rows}


def get_usage(connection: Connection, token_id: str, since: date) -> dict[date, int]:
    """Requests by day from `since` on, without the days that have none."""
    of_token = (token_usage.c.token_id == token_id) & (token_usage.c.day >= since)
    rows = connection.execute(select(token_usage.c.day, token_usage.c.requests).where(of_token))
    return {row.day: row.requests for row in rows}


def erase_usage(connection: Connection, before: date) -> int:
    """Delete some counts of the days before `before`, oldest first. Returns how many rows it deleted."""
    return sum(delete_oldest(connection, table.c.day, before) for table in (token_usage, token_endpoint_usage))
