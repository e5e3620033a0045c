"""What runs beside the requests of one process: the worker, the counters' flushing, the loading of what is slow."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from letstalk.db.checkpoints import Checkpoints
from letstalk.db.database import Database
from letstalk.services import Services
from letstalk.telephony.provider import CallProvider
from letstalk.worker.pool import Worker

_M_ARENA_MAX = -8  # of glibc's <malloc.h>
HEAPS = 2

FLUSH_SECONDS = 1.5
# Lower by so much than requests, for whom somebody waits. More helps them further, and has a call's steps wait; with as
# much as Linux knows (`SCHED_IDLE`) another program may keep the core from a thread that all others wait for.
NICENESS = 3


def share_heaps() -> None:
    """Let all threads share two heaps of the C library. Call it before threads are started.

    Left alone, glibc gives each thread a heap of its own, most of which stays unused: 112 MB after 1,000 verifications
    where two need 103. Other C libraries have no such setting, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, HEAPS)


def _give_way() -> None:
    """Lower the priority of this thread and of those that it will start (setpriority(2), NOTES), if that is allowed."""
    thread = threading.get_native_id()
    with suppress(OSError):  # a sandbox may forbid it
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


class Process:
    """Started by a server or `flask worker`; never on import, nor by another command."""

    def __init__(self, *, db: Database, provider: CallProvider, services: Services, worker: Worker) -> None:
        self._db = db
        self._provider = provider
        self._services = services
        self._worker = worker
        self._checkpoints = Checkpoints(db)

    def start(self, *, requests_first: bool = False) -> None:
        """Begin what runs beside. With `requests_first` it gives way, on Linux, to the threads that there are now."""
        if requests_first and sys.platform == "linux":
            with ThreadPoolExecutor(1, initializer=_give_way) as low:  # whose threads' threads are as it is
                low.submit(self._start).result()
        else:
            self._start()

    def _start(self) -> None:
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
