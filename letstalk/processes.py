"""What runs beside the requests of one process: the worker, the counters' flushing, the loading of what is slow."""

from __future__ import annotations

import threading

from letstalk.services.registry import Services
from letstalk.storage.db import Database
from letstalk.tasks import Worker
from letstalk.telephony.base import CallProvider


class Process:
    """Started by a server or `flask worker`; never on import, nor by another command."""

    def __init__(self, *, db: Database, provider: CallProvider, services: Services, worker: Worker) -> None:
        self._db = db
        self._provider = provider
        self._services = services
        self._worker = worker

    def start(self) -> None:
        # The vendor's SDK takes a second or two to import, which no start and no request should wait for.
        threading.Thread(target=self._provider.load, name="provider-load", daemon=True).start()
        self._services.usage.start()
        self._worker.start()

    def stop(self) -> None:
        """Finish what is under way, write what is counted, let go of everything."""
        self._worker.stop()
        self._provider.stop()
        self._services.usage.stop()
        self.close()

    def close(self) -> None:
        """Let the database go, which a process that only supervises others does not need."""
        self._db.close()
