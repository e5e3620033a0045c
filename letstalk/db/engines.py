"""SQLAlchemy engines for SQLite and PostgreSQL, and the settings of each of their connections."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

BUSY_TIMEOUT_SECONDS = 10
# A machine that loses power during a transaction leaves its locks behind, and no other instance could place a call.
IDLE_TIMEOUT_SECONDS = 30
# Pages of SQLite's write-ahead log, 64 MB. Above it a commit copies the log itself, if `checkpoints` has not.
MAX_LOG_PAGES = 16_000
# A connection to PostgreSQL that was used this recently is not tested again: the test is a round trip.
TRUSTED_SECONDS = 1.0

_RETURNED_AT = "letstalk_returned_at"


def make_sqlite_engine(url: URL, pool_size: int, synchronous: str) -> Engine:
    """An engine for an SQLite file. The file is created when there is none."""
    _create_private_file(url.database)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_use_lifo=True,
        hide_parameters=True,  # they hold phone numbers and code digests, which must not reach the logs
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    _configure_sqlite(engine, synchronous)
    return engine


def make_postgresql_engine(url: URL, pool_size: int) -> Engine:
    """An engine for PostgreSQL by way of psycopg, which prepares the statements that are run often."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"connect_timeout": BUSY_TIMEOUT_SECONDS},
    )
    _configure_postgresql(engine)
    return engine


def _create_private_file(path: str | None) -> None:
    """Create the file before SQLite does, which would let every user of the machine read it."""
    if path and path != ":memory:" and not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def _configure_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'")
        connection.commit()

    @event.listens_for(engine, "checkin")
    def note_time(_connection: Any, record: Any) -> None:
        record.info[_RETURNED_AT] = time.monotonic()

    # `pool_pre_ping` would test the connection before each transaction, however short.
    @event.listens_for(engine, "checkout")
    def ping_if_idle(connection: Any, record: Any, _fairy: Any) -> None:
        returned_at = record.info.get(_RETURNED_AT)
        if returned_at is None or time.monotonic() - returned_at < TRUSTED_SECONDS:
            return
        try:
            connection.execute("SELECT 1")
            connection.commit()
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _configure_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Otherwise the driver begins transactions itself, and never immediate ones. `Database` begins each of ours.
        connection.isolation_level = None
        cursor = connection.cursor()
        _switch_to_wal(cursor)
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        # What RETURNING returns waits in a temporary table: a file for it took longer than the statement.
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {MAX_LOG_PAGES}")
        # Deleted data is overwritten. Otherwise phone numbers and sealed codes would stay in the file's free pages.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to write-ahead logging, and wait for other processes that do the same.

    Several processes may open a new file at once. For this statement SQLite ignores the busy timeout and reports that
    the database is locked (SQLite's documentation of WAL, "Sometimes Queries Return SQLITE_BUSY").
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
