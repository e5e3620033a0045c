"""What runs beside the requests of one process: the worker, the counters' flushing, the loading of what is slow."""

from __future__ import annotations

import gc
import threading

from letstalk.db.checkpoints import Checkpoints
from letstalk.db.database import Database
from letstalk.services import Services
from letstalk.telephony.provider import CallProvider
from letstalk.worker.pool import Worker

FLUSH_SECONDS = 1.5


class Process:
    """Started by a server or `flask worker`; never on import, nor by another command."""

    def __init__(self, *, db: Database, provider: CallProvider, services: Services, worker: Worker) -> None:
        self._db = db
        self._provider = provider
        self._services = services
        self._worker = worker
        self._checkpoints = Checkpoints(db)

    def start(self) -> None:
        """Begin the background work."""
        threading.Thread(target=self._load, name="provider-load", daemon=True).start()
        self._checkpoints.start()
        self._services.usage.start()
        self._worker.start()

    def _load(self) -> None:
        # The vendor's SDK takes a second or two to import, which no start and no request should wait for.
        self._provider.load()
        # What stands now stays for as long as the process. To look at it again with each full collection of garbage
        # would stop all requests for 70 ms.
        gc.collect()
        gc.freeze()

    def begin_stop(self) -> None:
        """Begin nothing more in the background, and return at once: requests may still be under way."""
        self._worker.begin_stop()

    def stop(self) -> None:
        """Finish what is under way, write what is counted, let go of everything."""
        self._worker.stop()
        self._provider.stop()
        # A database that hangs must not hold the process: what is not written by then is half a second's counts.
        flushing = threading.Thread(target=self._services.usage.stop, name="last-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
        self._checkpoints.stop()
        self.close()

    def close(self) -> None:
        """Let the database go, which a process that only supervises others does not need."""
        self._db.close()
