"""The database: connections, transactions and column types, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    MetaData,
    bindparam,
    func,
    make_url,
    select,
)
from sqlalchemy.types import TypeDecorator

from letstalk.db.drivers import each_alone, run_on_driver
from letstalk.db.engines import make_postgresql_engine, make_sqlite_engine
from letstalk.db.partial_indexes import complete_for_postgresql
from letstalk.db.shared_commits import SharedCommit
from letstalk.db.statements import Statement
from letstalk.db.transactions import NO_TURN, Transaction, Turn

# For so long a connection to PostgreSQL is believed to be alive without asking.
TRUSTED_SECONDS = 1.0
# Of SQLite's log, 32 MB. To begin it anew has writers wait for two or three syncs of the disk, some 12 ms: with the
# thousand pages that SQLite itself takes for many, twice a second under load.
LONG_LOG_PAGES = 8_000

_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_LOCK = Statement(select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)).label("locked")))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: aware in Python always, `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _moment_to_text if dialect.name == "sqlite" else _moment_to_driver

    def result_processor(self, dialect: Dialect, _coltype: object) -> Callable[[Any], Any]:
        # A row of a call has eleven moments: SQLAlchemy's own chain of functions took longer than SQLite.
        return _moment_from_text if dialect.name == "sqlite" else _moment_from_driver


def _moment_to_driver(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive datetime must not reach the database")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


# A request writes one moment, its own, into many columns.
@lru_cache(maxsize=64)
def _moment_to_text(value: datetime | None) -> str | None:
    moment = _moment_to_driver(value)
    return None if moment is None else moment.isoformat(" ", "microseconds").removesuffix("+00:00")


def _moment_from_driver(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _moment_from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class Database:
    """One engine, and the two ways to use it: `read()` and `write()`."""

    def __init__(self, url: str, *, sqlite_synchronous: str = "NORMAL", pool_size: int = 16) -> None:
        """`url` is `sqlite:///path` or `postgresql://…`; no connection is made before the first use."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = make_sqlite_engine(parsed, pool_size, sqlite_synchronous)
        else:
            complete_for_postgresql(metadata)
            self.engine = make_postgresql_engine(parsed, pool_size)
        # SQLite has one writer. Queueing here costs nothing, while its own busy loop sleeps in growing steps:
        # a p99 of 86 ms became 23 (shared/costs.md).
        self._write_turn: Turn = threading.Lock() if self.is_sqlite else NO_TURN
        # Connections that nobody uses, the one used last on top: opening SQLAlchemy's for each transaction, and asking
        # PostgreSQL each time whether it still lives, costs more than a whole short transaction.
        self._idle: list[tuple[Connection, float]] = []
        self._pool_size = pool_size
        self._opened = 0
        self._generation = 1  # of connections: those of before the last `close` are not kept
        self._counting = threading.Lock()
        self._of_thread = _OfThread()

    def read(self) -> Transaction:
        """A connection for reading, in one snapshot."""
        return Transaction(self, "BEGIN", NO_TURN)

    def write(self) -> Transaction:
        """A write transaction: committed at the end, rolled back on any exception.

        On SQLite it holds the one write lock from its first statement on, so what it reads cannot change
        beneath it. On PostgreSQL use `lock` for the same promise about one thing.
        """
        shared = self._of_thread.shared_commit
        if shared is not None:
            shared.commit_so_far()  # its turn is held by this very thread
        return self._write_alone()

    def write_together(self) -> AbstractContextManager[Connection]:
        """The same, save that within `share_commit` it is committed together with the thread's others.

        Between it and the end of that, nothing may be waited for but this database. What is raised here, once
        something was written, takes back the others too.
        """
        shared = self._of_thread.shared_commit
        return self._write_alone() if shared is None else shared.begin_part()

    @contextmanager
    def share_commit(self, patience_seconds: float | None = None) -> Iterator[SharedCommit]:
        """Until the end of the block let all that this thread writes together be one transaction: see `SharedCommit`.

        Raises what the commit raises, and before the block `OthersWrite`, where others do for longer than the patience.
        SQLite only: on PostgreSQL, who holds one lock while waiting for another may be waited for in turn.
        """
        shared = SharedCommit(self._write_alone)
        shared.open(self._write_alone(patience_seconds))
        self._of_thread.shared_commit = shared
        try:
            with shared:
                yield shared
        finally:
            self._of_thread.shared_commit = None

    @contextmanager
    def each_alone(self) -> Iterator[Connection]:
        """A connection to PostgreSQL on which each `Statement` is a transaction of its own: one that asks for no other
        spares `BEGIN`, `COMMIT` and a way there and back.
        """
        connection = self.borrow()
        try:
            with each_alone(connection):
                yield connection
        finally:
            self.give_back(connection)

    def once_committed(self, action: Callable[[], None]) -> None:
        """Have `action` done when all that this thread has written together is committed: now, where nothing waits for
        that; never, if it is not.
        """
        shared = self._of_thread.shared_commit
        if shared is None:
            action()
        else:
            shared.once_committed(action)

    def _write_alone(self, patience_seconds: float | None = None) -> Transaction:
        # A deferred transaction that turns into a writer fails at once when another wrote meanwhile, whatever the
        # busy time-out; IMMEDIATE waits its turn.
        return Transaction(self, "BEGIN IMMEDIATE", self._write_turn, patience_seconds)

    def lock(self, connection: Connection, kind: str, key: str = "") -> None:
        """Let no other transaction that locks the same (kind, key) run until this one ends.

        SQLite has nothing to do: a write transaction there is alone already.
        """
        if not self.is_sqlite:
            _LOCK.one(connection, {"key": _key_of(kind, key)})

    def lock_with_next(self, connection: Connection, kind: str, key: str = "") -> None:
        """The same before the next statement, together with which it goes to PostgreSQL."""
        if not self.is_sqlite:
            _LOCK.run_with_next(connection, {"key": _key_of(kind, key)})

    def checkpoint(self, *, long_log_pages: int = LONG_LOG_PAGES) -> None:
        """Copy SQLite's log into its file while others read and write. Raises DBAPIError.

        One that has grown longer is then begun anew, for which writers wait while the copy catches up with them.
        """
        connection = self.borrow()
        try:
            ((_, log_pages, _),) = run_on_driver(connection, _CHECKPOINT).fetchall()
            if log_pages > long_log_pages:
                self._write_turn.acquire()
                try:
                    run_on_driver(connection, _CHECKPOINT).fetchall()
                finally:
                    self._write_turn.release()
        finally:
            self.give_back(connection)

    def close(self) -> None:
        """Close every connection: those that are in use, once they are given back."""
        self._generation += 1
        self._close_idle()
        self.engine.dispose()

    def borrow(self) -> Connection:
        """A connection that nobody else has, outside any transaction."""
        try:
            connection, idle_since = self._idle.pop()
        except IndexError:
            return self._open()
        if self.is_sqlite or time.monotonic() - idle_since < TRUSTED_SECONDS:
            return connection
        self._close(connection)  # the pool asks the server, when it is taken from there again, whether it still lives
        return self._open()

    def give_back(self, connection: Connection) -> None:
        """Keep a borrowed connection, whose transaction has ended, for the next."""
        is_wanted = self._opened >= self._pool_size  # someone may wait for it at the pool
        if not connection.closed and connection.get_execution_options()["borrowed"] != self._generation:
            connection.invalidate()  # the pool that it came from is gone, and would keep it open
        if connection.invalidated:
            # What it was connected to has gone, and with it the others: each would cost somebody a request.
            self._close_idle()
        if is_wanted or connection.closed or connection.invalidated:
            self._close(connection)
        else:
            self._idle.append((connection, time.monotonic()))

    def _close_idle(self) -> None:
        with suppress(IndexError):  # another thread may take the last one
            while True:
                self._close(self._idle.pop()[0])

    def _open(self) -> Connection:
        # Read first: of a connection that is opened while `close` runs, nobody knows whose pool it came from.
        generation = self._generation
        connection = self.engine.connect().execution_options(borrowed=generation)
        with self._counting:
            self._opened += 1
        return connection

    def _close(self, connection: Connection) -> None:
        with self._counting:
            self._opened -= 1
        connection.close()


class _OfThread(threading.local):
    shared_commit: SharedCommit | None = None


def _key_of(kind: str, key: str) -> int:
    digest = hashlib.blake2b(f"{kind}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
