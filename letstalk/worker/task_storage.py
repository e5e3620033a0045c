"""Huey as we use it: its tasks in Redis, or in this process's memory, which wakes its workers; a consumer that is fit
for a server.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from typing import Any

REDIS_SECONDS = 2.0  # to connect, and beyond the 1 s that a worker waits for a task, to answer
WAKING_SECONDS = 1.0  # after which a worker whom nobody woke looks by itself, as it does with Redis


def make_huey(redis_url: str | None) -> Any:
    """A Huey with its tasks in that Redis, else in memory. It keeps no results: the rows say what became of all."""
    if redis_url:
        # Without time-outs a Redis that hangs would hang every request that nudges.
        pool = importlib.import_module("redis").ConnectionPool.from_url(
            redis_url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=1.0 + REDIS_SECONDS
        )
        return importlib.import_module("huey").PriorityRedisHuey("letstalk", connection_pool=pool, results=False)
    huey = importlib.import_module("huey").MemoryHuey("letstalk", results=False)
    huey.storage = WakingStorage(huey.storage)
    return huey


class WakingStorage:
    """Huey's queue in memory, save that a worker with nothing to do is woken by the next task.

    Huey's own workers would look at it a hundred times a second each: that took a fiftieth of a core from a server with
    nothing to do, and a person waits in silence for some of what is handed over.
    """

    blocking = True

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._filled = threading.Condition()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        self._memory.enqueue(data, priority)
        with self._filled:
            self._filled.notify()

    def dequeue(self) -> bytes | None:
        """The next task, waited for; None when none has come for a while, or `wake_all` was called."""
        with self._filled:
            data: bytes | None = self._memory.dequeue()
            if data is None:
                self._filled.wait(WAKING_SECONDS)
                data = self._memory.dequeue()
            return data

    def wake_all(self) -> None:
        """Let every worker look about: it may have been told to stop."""
        with self._filled:
            self._filled.notify_all()


def make_consumer(huey: Any, threads: int) -> Any:
    """Huey's consumer, made fit for a server, which must keep its own signal handlers."""
    for name in ("huey.consumer.Worker", "huey.consumer.Scheduler"):
        logging.getLogger(name).addFilter(_say_once_in_a_while)
    consumer = importlib.import_module("huey.consumer").Consumer(
        # It waits at the queue until a task comes, and sleeps only when that can't be reached.
        huey,
        workers=threads,
        periodic=False,
        initial_delay=0.2,
        max_delay=1.0,
        backoff=1.15,
    )
    consumer._set_signal_handlers = lambda: None
    return consumer


_said_at: dict[str, float] = {}


def _say_once_in_a_while(record: logging.LogRecord) -> bool:
    """Of a queue that is away each thread would say so each second, with a traceback: once in ten is enough."""
    if not record.getMessage().startswith(("Error reading", "Error enqueueing")):
        return True
    last, now = _said_at.get(record.name), time.monotonic()
    if last is not None and now - last < 10:
        return False
    _said_at[record.name] = now
    record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True
