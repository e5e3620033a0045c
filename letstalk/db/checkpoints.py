"""A thread that copies SQLite's write-ahead log into its file.

Without it SQLite does so in the commit that finds a thousand pages in the log (SQLite's documentation of WAL, section
2.1, "Checkpointing"). Several times a second a request, and those behind it, would wait for the copy.
"""

from __future__ import annotations

import sqlite3
import threading

from sqlalchemy.exc import SQLAlchemyError

from letstalk.db.database import MAX_LOG_PAGES, Database
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

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
