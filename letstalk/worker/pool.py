"""The worker of one process: threads that handle wake-ups, from this process or through Redis, and the sweeps.

While Redis is away each process handles its own wake-ups. A wake-up that is lost all the same is found by a sweep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import (
    queue_away_total,
    task_failures_total,
    wakeups_ignored_total,
    wakeups_lost_total,
)
from letstalk.worker.local_queue import MAX_WAITING, LocalQueue
from letstalk.worker.sweeper import Sweeper
from letstalk.worker.wakeups import Wakeup, read_message

log = get_logger(__name__)

STOP_SECONDS = 6.5  # a command to the provider takes 5 s at most
AWAY_SECONDS = 1.0  # before a Redis that could not be reached is asked again
QUIET_SECONDS = 10.0  # between two log lines about the same trouble


class SharedQueue(Protocol):
    """Where the processes share wake-ups. Each method may raise whatever its client raises."""

    def push(self, wakeup: Wakeup, priority: int) -> None: ...

    def take(self) -> bytes | None:
        """The next message, waited for; None when none has come for a while."""

    def ping(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Handler:
    run: Callable[[str], object]
    priority: int


class Worker:
    """Register handlers and sweeps, then `start`. `wake` works before that and after the stop as well: through Redis
    for other processes, and for nobody without it, because a first sweep finds what waits.
    """

    def __init__(self, *, threads: int, shared: SharedQueue | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._shared = shared
        self._local = LocalQueue(max_waiting)
        self._handlers: dict[str, _Handler] = {}
        self._sweeper = Sweeper()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(threads)
        ]
        if shared is not None:
            listener = threading.Thread(target=self._listen, args=[shared], name="wakeup-listener", daemon=True)
            self._threads.append(listener)
        self._stopping = threading.Event()
        self._stop_by: float | None = None
        self._away_until = 0.0
        self._said_at: dict[str, float] = {}

    def handle(self, topic: str, run: Callable[[str], object], *, priority: int = 0) -> None:
        """Have `run` called with the key of each wake-up of `topic`. Of those that wait, a higher priority goes first.

        The key may be forged by anybody who can write to Redis: `run` must check in the database what is to be done.
        """
        self._handlers[topic] = _Handler(run, priority)

    def every(self, seconds: float, name: str, run: Callable[[], object]) -> None:
        """Have `run` called at the start, and again `seconds` after each time it ended."""
        self._sweeper.every(seconds, name, run)

    def wake(self, topic: str, key: str = "", *, delay_seconds: float = 0.0) -> None:
        """See `Wakeups`. What has a delay waits in this process."""
        handler = self._handlers.get(topic)
        if handler is None:
            self._ignore("unknown topic")
            return
        wakeup = Wakeup(topic, key)
        if delay_seconds > 0 or not self._push(wakeup, handler.priority):
            self._put(wakeup, handler.priority, delay_seconds)

    def ping(self) -> None:
        """Raises what the Redis client raises when Redis can't be reached."""
        if self._shared is not None:
            self._shared.ping()

    def start(self) -> None:
        """Begin to work. What waited before is found by the first sweep, at once."""
        self._local.open()
        for thread in self._threads:
            thread.start()
        self._sweeper.start()

    def begin_stop(self) -> None:
        """Start nothing more, and return at once. What is claimed and not begun is left for others, free to take."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + STOP_SECONDS
            self._stopping.set()
            self._sweeper.begin_stop()
            self._local.close()

    def stop(self) -> None:
        """Finish what is being done. Returns within `STOP_SECONDS` of `begin_stop`, whether it is done or not."""
        self.begin_stop()
        deadline = self._stop_by or 0.0
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._sweeper.join(max(0.0, deadline - time.monotonic()))
        if self._shared is not None:
            self._shared.close()

    def _push(self, wakeup: Wakeup, priority: int) -> bool:
        """Hand a wake-up to all processes. False without Redis, or while it is away."""
        if self._shared is None or time.monotonic() < self._away_until:
            return False
        try:
            self._shared.push(wakeup, priority)
        except Exception as error:  # whatever the client raises: it must never cost the caller its response
            self._away_until = time.monotonic() + AWAY_SECONDS
            self._note_away(error)
            return False
        return True

    def _put(self, wakeup: Wakeup, priority: int, delay_seconds: float = 0.0) -> None:
        if not self._local.put(wakeup, priority, delay_seconds):
            wakeups_lost_total.inc()
            self._warn_seldom("wakeup_lost", topic=wakeup.topic)

    def _work(self) -> None:
        while (wakeup := self._local.take()) is not None:
            try:
                self._handlers[wakeup.topic].run(wakeup.key)
            except Exception as error:  # must not end this thread: the next wake-up needs it
                task_failures_total.inc()
                log.error("task_failed", topic=wakeup.topic, exc_info=error)

    def _listen(self, shared: SharedQueue) -> None:
        # Only what a thread can begin at once is taken: everything else another process may begin sooner.
        while self._local.wait_for_free_thread():
            try:
                message = shared.take()
            except Exception as error:
                self._note_away(error)
                self._stopping.wait(AWAY_SECONDS)
                continue
            if message is not None:
                self._receive(message)

    def _receive(self, message: bytes) -> None:
        try:
            wakeup = read_message(message)
        except ValueError:
            self._ignore("unreadable")
            return
        handler = self._handlers.get(wakeup.topic)
        if handler is None:
            self._ignore("unknown topic")
        elif self._stopping.is_set():
            self._push(wakeup, handler.priority)  # it came while this process began to stop: others can take it
        else:
            self._put(wakeup, handler.priority)

    def _ignore(self, reason: str) -> None:
        wakeups_ignored_total.inc()
        self._warn_seldom("wakeup_ignored", reason=reason)

    def _note_away(self, error: Exception) -> None:
        queue_away_total.inc()
        self._warn_seldom("queue_away", error=type(error).__name__)

    def _warn_seldom(self, event: str, **fields: str) -> None:
        now = time.monotonic()
        if now - self._said_at.get(event, float("-inf")) >= QUIET_SECONDS:
            self._said_at[event] = now
            log.warning(event, **fields)
