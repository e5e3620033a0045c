"""The worker of one process: threads that handle wake-ups, from this process or through Redis, and the sweeps.

While Redis is away each process handles its own wake-ups. A sweep finds what a lost wake-up was about.
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
    sweep_failures_total,
    sweep_seconds,
    task_failures_total,
    wakeups_ignored_total,
    wakeups_lost_total,
)
from letstalk.worker.wakeups import MAX_WAITING, LocalQueue, Wakeup, read_message

log = get_logger(__name__)


@dataclass(slots=True)
class _Sweep:
    name: str
    pause_seconds: float
    run: Callable[[], object]
    due: float = 0.0  # on the monotonic clock


class Sweeper:
    """One thread that runs each registered function at the start and then periodically."""

    def __init__(self) -> None:
        self._sweeps: list[_Sweep] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_until_stopped, name="sweeper", daemon=True)

    def every(self, seconds: float, name: str, run: Callable[[], object]) -> None:
        """Register a sweep, before the start. The pause begins when it ends. A sweep that fails is logged."""
        sweep_failures_total.labels(name)  # shown as 0 before the first failure
        self._sweeps.append(_Sweep(name, seconds, run))

    def start(self) -> None:
        self._thread.start()

    def begin_stop(self) -> None:
        """Start no further sweep, and return at once."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the sweep that is running, `seconds` at most."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run_until_stopped(self) -> None:
        while not self._stopping.is_set():
            for sweep in self._sweeps:
                if time.monotonic() >= sweep.due and not self._stopping.is_set():
                    self._run(sweep)
            next_due = min((sweep.due for sweep in self._sweeps), default=None)
            self._stopping.wait(None if next_due is None else max(0.0, next_due - time.monotonic()))

    def _run(self, sweep: _Sweep) -> None:
        try:
            with sweep_seconds.labels(sweep.name).time():
                sweep.run()
        except Exception as error:  # must not end this thread, or nothing would find what waits
            sweep_failures_total.labels(sweep.name).inc()
            log.error("sweep_failed", sweep=sweep.name, exc_info=error)
        sweep.due = time.monotonic() + sweep.pause_seconds


STOP_SECONDS = 6.5  # a command to the provider takes 5 s at most
AWAY_SECONDS = 1.0  # before Redis is tried again
QUIET_SECONDS = 10.0  # between two log lines about the same trouble


class SharedQueue(Protocol):
    """Wake-ups that all processes share. Each method may raise whatever its client raises."""

    def push(self, wakeup: Wakeup, priority: int) -> None: ...

    def take(self) -> bytes | None:
        """Wait for the next message. None if none came for a while."""

    def ping(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Handler:
    run: Callable[[str], object]
    priority: int


class Worker:
    """Register handlers and sweeps, then `start`.

    Before that and after the stop, `wake` reaches only other processes, through Redis. The first sweep finds the rest.
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
        """Call `run` with the key of each wake-up of `topic`. A higher priority goes first.

        Anybody who can write to Redis can forge a key: `run` must check in the database what is to be done.
        """
        self._handlers[topic] = _Handler(run, priority)

    def every(self, seconds: float, name: str, run: Callable[[], object]) -> None:
        """Call `run` at the start, and again `seconds` after each end."""
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
        """Begin to work. The first sweep finds at once what waited before."""
        self._local.open()
        for thread in self._threads:
            thread.start()
        self._sweeper.start()

    def begin_stop(self) -> None:
        """Start nothing more, and return at once. Other processes can take what waits."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + STOP_SECONDS
            self._stopping.set()
            self._sweeper.begin_stop()
            self._local.close()

    def stop(self) -> None:
        """Finish what was started. Returns within `STOP_SECONDS` of `begin_stop` in any case."""
        self.begin_stop()
        deadline = self._stop_by or 0.0
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._sweeper.join(max(0.0, deadline - time.monotonic()))
        if self._shared is not None:
            self._shared.close()

    def _push(self, wakeup: Wakeup, priority: int) -> bool:
        """Give a wake-up to all processes. Returns False without Redis, or while it is away."""
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
        # It takes only what a thread can start at once: another process may start the rest sooner.
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
            self._push(wakeup, handler.priority)  # it arrived during the stop: others can take it
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
