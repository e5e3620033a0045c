"""SQLite's log is copied into its file beside the requests, not by them."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from letstalk.db.database import Checkpoints, Database
from letstalk.worker.heartbeat import beat

PAGE_BYTES = 4096
MAX_LOG_PAGES = 1_000  # fewer than in life, which would be hundreds of megabytes here
DISK_ERROR = sqlite3.OperationalError("disk I/O error")
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def log_file(db: Database) -> Path:
    return Path(f"{db.engine.url.database}-wal")


def write_pages(db: Database, count: int) -> None:
    """So many pages at least, two hundred in each transaction."""
    for number in range(count // 200):
        with db.write() as connection:
            for row in range(10):
                beat(connection, f"{number}-{row}-" + "x" * 20 * PAGE_BYTES, NOON)
        time.sleep(0.005)  # as between requests


def test_the_log_of_a_busy_service_is_begun_anew(sqlite_db: Database) -> None:
    checkpoints = Checkpoints(sqlite_db, interval_seconds=0.02, max_log_pages=MAX_LOG_PAGES)
    checkpoints.start()
    write_pages(sqlite_db, 20 * MAX_LOG_PAGES)
    checkpoints.stop()
    assert log_file(sqlite_db).stat().st_size < 10 * MAX_LOG_PAGES * PAGE_BYTES


def test_no_commit_of_a_request_copies_the_log(sqlite_db: Database) -> None:
    write_pages(sqlite_db, 3 * MAX_LOG_PAGES)
    path = sqlite_db.engine.url.database
    assert path is not None
    before = Path(path).stat().st_size
    assert before < MAX_LOG_PAGES * PAGE_BYTES, "what was written stands in the log alone"
    sqlite_db.checkpoint()
    assert Path(path).stat().st_size > 3 * MAX_LOG_PAGES * PAGE_BYTES


def test_it_reads_as_before_while_it_is_copied_and_afterwards(sqlite_db: Database) -> None:
    over = threading.Event()

    def copy_all_the_time() -> None:
        while not over.is_set():
            sqlite_db.checkpoint(max_log_pages=MAX_LOG_PAGES)

    copying = threading.Thread(target=copy_all_the_time)
    copying.start()
    write_pages(sqlite_db, 4 * MAX_LOG_PAGES)
    over.set()
    copying.join()
    sqlite_db.close()
    with sqlite3.connect(str(sqlite_db.engine.url.database)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert plain.execute("SELECT count(*) FROM workers").fetchone() == (4 * MAX_LOG_PAGES // 200 * 10,)
    plain.close()


@pytest.mark.parametrize(
    "error", [OperationalError("PRAGMA", {}, DISK_ERROR), DISK_ERROR], ids=["SQLAlchemy", "driver"]
)
def test_after_a_failure_the_next_time_comes(sqlite_db: Database, error: Exception) -> None:
    asked = []

    @event.listens_for(sqlite_db.engine, "checkout")
    def refuse(*_: object) -> None:
        asked.append(1)
        raise error

    checkpoints = Checkpoints(sqlite_db, interval_seconds=0.01)
    checkpoints.start()
    deadline = time.monotonic() + 30
    while len(asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    checkpoints.stop()
    assert len(asked) >= 3


def test_postgresql_is_left_alone(postgresql_db: Database) -> None:
    checkpoints = Checkpoints(postgresql_db, interval_seconds=0.01)
    checkpoints.start()
    time.sleep(0.05)
    assert not any(thread.name == "checkpoints" for thread in threading.enumerate())
    checkpoints.stop()
