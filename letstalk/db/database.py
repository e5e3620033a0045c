"""The database: transactions, locks and what follows a commit, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, bindparam, delete, func, make_url, select, tuple_
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from letstalk.db.engines import make_postgresql_engine, make_sqlite_engine
from letstalk.db.schema import complete_for_postgresql
from letstalk.db.statements import Statement, execute_on_driver
from letstalk.observability.logs import get_logger, is_read_only

log = get_logger(__name__)

Action = Callable[[], None]

# Pages of SQLite's write-ahead log, 32 MB. Restarting the log makes writers wait for two or three syncs of the disk,
# some 12 ms. SQLite's own limit of a thousand pages would cause that twice a second under load.
MAX_LOG_PAGES = 8_000

_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"
_LOCK = Statement(select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)).label("locked")))
_ACTIONS_OPTION = "actions_after_commit"


class Database:
    """One engine and two ways to use it: `read()` and `write()`."""

    def __init__(self, url: str, *, sqlite_synchronous: str = "NORMAL", pool_size: int = 16) -> None:
        """`url` is `sqlite:///path` or `postgresql://…`. The first transaction opens the first connection."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._write_lock: AbstractContextManager[object]
        if self.is_sqlite:
            self.engine = make_sqlite_engine(parsed, pool_size, sqlite_synchronous)
            # SQLite has one writer. Waiting for this lock costs nothing, while SQLite's busy loop sleeps for longer
            # and longer: the p99 of a write went from 86 ms to 23 ms.
            self._write_lock = threading.Lock()
        else:
            complete_for_postgresql()
            self.engine = make_postgresql_engine(parsed, pool_size)
            self._write_lock = nullcontext()

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction for reading. On SQLite it sees one snapshot."""
        return self._transaction("BEGIN", nullcontext())

    def write(self) -> AbstractContextManager[Connection]:
        """A write transaction: committed at the end, rolled back on any exception.

        On SQLite it is the only writer from its first statement on, so nothing that it reads can change before it
        ends. On PostgreSQL use `lock` to get the same guarantee for one thing.
        """
        # A deferred transaction that turns into a writer fails at once when another connection has written since it
        # began, whatever the busy timeout is. An immediate one waits for the lock.
        return self._transaction("BEGIN IMMEDIATE", self._write_lock)

    def lock(self, connection: Connection, kind: str, key: str = "") -> None:
        """Make every other transaction that locks the same (kind, key) wait until this one ends.

        This does nothing on SQLite, where a write transaction is the only one.
        """
        if not self.is_sqlite:
            _LOCK.first(connection, {"key": _lock_key(kind, key)})

    def checkpoint(self, *, max_log_pages: int = MAX_LOG_PAGES) -> None:
        """Copy SQLite's log into its file while others read and write. Raises SQLAlchemyError and sqlite3.Error.

        A log that has grown longer than `max_log_pages` is restarted. Writers wait until the copy has caught up.
        """
        with closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            ((_, log_pages, _),) = cursor.execute(_CHECKPOINT).fetchall()
            if log_pages > max_log_pages:
                with self._write_lock:
                    cursor.execute(_CHECKPOINT).fetchall()

    def close(self) -> None:
        """Close every idle connection. Those in use are closed when their transactions end."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, begin: str, write_lock: AbstractContextManager[object]) -> Iterator[Connection]:
        actions: list[Action] = []
        pool = self.engine.pool
        with write_lock, self.engine.connect() as connection:
            connection.execution_options(**{_ACTIONS_OPTION: actions})
            try:
                with connection.begin():
                    if self.is_sqlite:
                        # Here and not in an event of the engine, which would cost more than the transaction itself.
                        execute_on_driver(connection, begin)
                    yield connection
            except DBAPIError as error:
                if is_read_only(error):
                    connection.invalidate()  # the next one may reach the server that has taken over
                raise
            finally:
                if self.engine.pool is not pool and not connection.invalidated:
                    connection.detach()  # `close` has replaced the pool, and nobody would close this connection
        for action in actions:
            try:
                action()
            except Exception as error:
                log.error("action_after_commit_failed", exc_info=error)


def after_commit(connection: Connection, action: Action) -> None:
    """Run `action` once the transaction of `connection` is committed and others may write. A rollback drops it.

    An exception that it raises is logged, because there is nothing left to roll back.
    """
    connection.get_execution_options()[_ACTIONS_OPTION].append(action)


def _lock_key(kind: str, key: str) -> int:
    digest = hashlib.blake2b(f"{kind}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


INTERVAL_SECONDS = 0.2
STOP_SECONDS = 1.0


class Checkpoints:
    def __init__(
        self, db: Database, *, interval_seconds: float = INTERVAL_SECONDS, max_log_pages: int = MAX_LOG_PAGES
    ) -> None:
        self._db = db
        self._max_log_pages = max_log_pages
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. On PostgreSQL this does nothing, because the server copies its own log."""
        if self._db.is_sqlite and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it, for STOP_SECONDS at most. Does nothing without `start`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            try:
                self._db.checkpoint(max_log_pages=self._max_log_pages)
            except (SQLAlchemyError, sqlite3.Error) as error:  # a full disk, for example: nothing is lost from the log
                log.warning("checkpoint_failed", error=type(error).__name__)


BATCH = 500  # rows in a transaction: other writers wait for some 10 ms
MAX_BATCHES = 50  # in one run, so that the first clean-up after years does not hold up its caller


def delete_oldest(connection: Connection, age: Column[Any], before: date | int, limit: int = BATCH) -> int:
    """Delete up to `limit` rows whose `age` is before that time or day, oldest first. Returns how many it deleted."""
    key = list(age.table.primary_key.columns)
    # Rows that another worker is deleting are skipped.
    oldest = select(*key).where(age < before).order_by(age).limit(limit).with_for_update(skip_locked=True)
    return connection.execute(delete(age.table).where(tuple_(*key).in_(oldest))).rowcount


def delete_in_batches(db: Database, delete_batch: Callable[[Connection], int]) -> int:
    """Call `delete_batch`, each time in its own transaction, until it deletes nothing. Returns how many it deleted."""
    total = 0
    for _ in range(MAX_BATCHES):
        with db.write() as connection:
            count = delete_batch(connection)
        total += count
        if count == 0:
            break
    return total
