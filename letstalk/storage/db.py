"""The database: connections, transactions and column types, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.types import TypeDecorator

BUSY_TIMEOUT_SECONDS = 10
# A machine that loses its power in the middle of a transaction leaves its locks behind; nobody else could dial.
IDLE_TIMEOUT_SECONDS = 30

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: aware in Python always, `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime must not reach the database")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """One engine, and the two ways to use it: `read()` and `write()`."""

    def __init__(self, url: str, *, sqlite_synchronous: str = "NORMAL", pool_size: int = 16) -> None:
        """`url` is `sqlite:///path` or `postgresql://…`; no connection is made before the first use."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _make_private(parsed.database)
            self.engine = create_engine(
                parsed,
                pool_size=pool_size,
                max_overflow=pool_size,
                hide_parameters=True,  # they would stand in the log of a failure, codes' digests and phones included
                connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            _prepare_sqlite(self.engine, sqlite_synchronous)
        else:
            self.engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"connect_timeout": BUSY_TIMEOUT_SECONDS},
            )
            _prepare_postgresql(self.engine)
        # SQLite has one writer. Queueing here costs nothing, while its own busy loop sleeps in growing steps:
        # a p99 of 86 ms became 23 (shared/costs.md).
        self._write_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading, in one snapshot."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back on any exception.

        On SQLite it holds the one write lock from its first statement on, so what it reads cannot change
        beneath it. On PostgreSQL use `lock` for the same promise about one thing.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        with self._write_lock, self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def lock(self, connection: Connection, kind: str, key: str = "") -> None:
        """Let no other transaction that locks the same (kind, key) run until this one ends.

        SQLite has nothing to do: a write transaction there is alone already.
        """
        if self.is_sqlite:
            return
        digest = hashlib.blake2b(f"{kind}\0{key}".encode(), digest_size=8).digest()
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": int.from_bytes(digest, "big", signed=True)}
        )

    def close(self) -> None:
        self.engine.dispose()


def _make_private(path: str | None) -> None:
    """Make the file ourselves where there is none: SQLite would let everyone on the machine read it."""
    if path and path != ":memory:" and not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'")
        connection.commit()


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Without this the driver opens transactions by its own rules, and never an IMMEDIATE one.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        # Erased means overwritten: otherwise a phone, or a sealed code, would stay readable in the file's free space.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another wrote meanwhile, whatever
        # the busy time-out; IMMEDIATE waits its turn.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
