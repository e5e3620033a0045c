"""The database: transactions, locks and what follows a commit, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext

from sqlalchemy import BigInteger, Connection, bindparam, func, make_url, select

from letstalk.db.engines import make_postgresql_engine, make_sqlite_engine
from letstalk.db.schema import complete_for_postgresql
from letstalk.db.statements import Statement, execute_on_driver
from letstalk.observability.logs import get_logger

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
