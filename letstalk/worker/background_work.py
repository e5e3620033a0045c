"""The background work of one process: the worker, SQLite's checkpoints, and what must be loaded and written."""

from __future__ import annotations

import gc
import threading
from typing import Protocol

from letstalk.db.database import Checkpoints, Database
from letstalk.worker.pool import Worker

FLUSH_SECONDS = 1.5


class SlowToLoad(Protocol):
    """A part, such as the telephony provider, that takes a second or two to load."""

    def load(self) -> None: ...

    def stop(self) -> None: ...


class Counter(Protocol):
    """A part that counts in memory and writes what it counted from time to time."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Sender(Protocol):
    """A part that sends what waits, in a thread of its own."""

    def start(self) -> None: ...

    def begin_stop(self) -> None: ...

    def stop(self) -> None: ...


class BackgroundWork:
    """Started by a server or by `flask worker`, never on import and by no other command."""

    def __init__(self, *, db: Database, worker: Worker, provider: SlowToLoad, usage: Counter, webhooks: Sender) -> None:
        self._db = db
        self._worker = worker
        self._provider = provider
        self._usage = usage
        self._webhooks = webhooks
        self._checkpoints = Checkpoints(db)

    def start(self) -> None:
        threading.Thread(target=self._load, name="provider-load", daemon=True).start()
        self._checkpoints.start()
        self._usage.start()
        self._webhooks.start()
        self._worker.start()

    def begin_stop(self) -> None:
        """Start no more work, and return at once: requests may still be in progress."""
        self._worker.begin_stop()
        self._webhooks.begin_stop()

    def stop(self) -> None:
        """Finish the work that was started, write what was counted, and close every connection."""
        self._worker.stop()
        self._webhooks.stop()
        self._provider.stop()
        # A database that hangs must not delay the stop: at most half a second's counts are lost.
        flushing = threading.Thread(target=self._usage.stop, name="last-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
        self._checkpoints.stop()
        self.close()

    def close(self) -> None:
        """Close the database, which a process that only supervises others does not need."""
        self._db.close()

    def _load(self) -> None:
        # The provider's SDK takes a second or two to import. No start and no request should wait for it.
        self._provider.load()
        # These objects live as long as the process. Otherwise each full garbage collection would examine them, and
        # stop all requests for 70 ms.
        gc.collect()
        gc.freeze()
