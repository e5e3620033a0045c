"""Engines, and what each of their connections is told when it is opened."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from letstalk.db.drivers import run_on_driver, run_waiting

BUSY_TIMEOUT_SECONDS = 10
# A machine that loses its power in the middle of a transaction leaves its locks behind; nobody else could dial.
IDLE_TIMEOUT_SECONDS = 30
# Of SQLite's log, 64 MB: beyond that a commit copies it into the file, should nothing else have done so before.
MOST_LOG_PAGES = 16_000


def make_sqlite_engine(url: URL, pool_size: int, synchronous: str) -> Engine:
    """An engine for an SQLite file, which is made where there is none."""
    _make_private(url.database)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,  # they would stand in the log of a failure, codes' digests and phones included
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    _prepare_sqlite(engine, synchronous)
    return engine


def begin_within(connection: Connection, words: str, patience_seconds: float) -> bool:
    """Run `words` that begin a transaction on SQLite. Returns whether they did: not where another process writes
    for longer. Raises DBAPIError.
    """
    run_on_driver(connection, f"PRAGMA busy_timeout = {round(patience_seconds * 1000)}")
    try:
        run_on_driver(connection, words)
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    finally:
        run_on_driver(connection, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    return True


def make_postgresql_engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,
        # What psycopg prepares by itself it drops at a roll-back, and ours with it (`prepared_statements.py`).
        connect_args={"connect_timeout": BUSY_TIMEOUT_SECONDS, "prepare_threshold": None},
    )
    _prepare_postgresql(engine)
    return engine


def _make_private(path: str | None) -> None:
    """Make the file ourselves where there is none: SQLite would let everyone on the machine read it."""
    if path and path != ":memory:" and not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'")
        connection.commit()

    @event.listens_for(engine, "before_cursor_execute")
    def run_what_waits(connection: Connection, *_: Any) -> None:
        run_waiting(connection)


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Without this the driver opens transactions by its own rules, and never an IMMEDIATE one.
        connection.isolation_level = None
        cursor = connection.cursor()
        _switch_to_wal(cursor)
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOG_PAGES}")
        # Erased means overwritten: otherwise a phone, or a sealed code, would stay readable in the file's free space.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("borrowed"):
            connection.exec_driver_sql("BEGIN")


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Several processes may open one new file at once, and here SQLite does not wait as it does everywhere else: it
    says that the database is locked (its documentation of WAL, "Sometimes Queries Return SQLITE_BUSY").
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
