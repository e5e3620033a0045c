"""Copying SQLite's log into its file, in a thread of its own.

Left alone, SQLite does it in the commit that finds a thousand pages in the log (its documentation of WAL, section 2.1,
"Checkpointing"): several times a second one request would wait for all that, and those behind it with it.
"""

from __future__ import annotations

import threading

from sqlalchemy.exc import SQLAlchemyError

from letstalk.db.database import LONG_LOG_PAGES, Database
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

INTERVAL_SECONDS = 0.2
STOP_SECONDS = 1.0


class Checkpoints:
    def __init__(
        self, db: Database, *, interval_seconds: float = INTERVAL_SECONDS, long_log_pages: int = LONG_LOG_PAGES
    ) -> None:
        self._db = db
        self._long_log_pages = long_log_pages
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where there is a log to copy: PostgreSQL sees to its own."""
        if self._db.is_sqlite and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread once it has done what it is doing, unless the disk hangs. Safe without `start`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            try:
                self._db.checkpoint(long_log_pages=self._long_log_pages)
            except SQLAlchemyError as error:  # a disk that is full, for one: the log keeps everything meanwhile
                log.warning("checkpoint_failed", error=type(error).__name__)
