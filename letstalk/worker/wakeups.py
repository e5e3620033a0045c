"""Wake-ups tell a worker that something waits. They are only hints: the sweeps find the same in the database.

A wake-up has a topic and a key, which is usually the id of a row. Nothing else travels through Redis.
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from dataclasses import dataclass
from typing import Protocol

MAX_MESSAGE_BYTES = 400
MAX_KEY_LENGTH = 100
MAX_WAITING = 10_000


class Wakeups(Protocol):
    def wake(self, topic: str, key: str = "", *, delay_seconds: float = 0.0) -> None:
        """Have a worker handle `topic` for `key` soon, or after a delay. Raises nothing.

        Two equal wake-ups that wait become one, at the earlier time. A wake-up may get lost: nothing may depend on it.
        """


@dataclass(frozen=True, slots=True)
class Wakeup:
    topic: str
    key: str = ""


def write_message(wakeup: Wakeup) -> bytes:
    """`wakeup` as stored in Redis. Equal wake-ups have the same bytes."""
    return json.dumps([wakeup.topic, wakeup.key]).encode("ascii")


def read_message(message: bytes) -> Wakeup:
    """The wake-up in `message`, which anybody may have written. Raises ValueError if it is not one."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError("too long")
    try:
        content = json.loads(message)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    match content:
        case [str(topic), str(key)] if len(key) <= MAX_KEY_LENGTH and (topic + key).isascii():
            if (topic + key).isprintable():
                return Wakeup(topic, key)
    raise ValueError("not a topic and a key")


class LocalQueue:
    """The wake-ups that wait in this process for a thread, by priority. It keeps none before `open` and after `close`.

    Threads wait for a condition, so that an idle process uses no processor time and a wake-up is handled at once.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._is_filled = threading.Condition(self._lock)
        self._is_thread_free = threading.Condition(self._lock)
        self._order = itertools.count()
        self._ready: list[tuple[int, int, Wakeup]] = []
        self._delayed: list[tuple[float, int, int, Wakeup]] = []
        self._due: dict[Wakeup, float] = {}  # when each waiting wake-up is due; the only entry that counts for it
        self._free_threads = 0
        self._is_open = False

    def __len__(self) -> int:
        return len(self._due)

    def open(self) -> None:
        with self._lock:
            self._is_open = True

    def close(self) -> None:
        """Drop what waits, and end every wait of a thread."""
        with self._lock:
            self._is_open = False
            self._ready.clear()
            self._delayed.clear()
            self._due.clear()
            self._is_filled.notify_all()
            self._is_thread_free.notify_all()

    def put(self, wakeup: Wakeup, priority: int, delay_seconds: float = 0.0) -> bool:
        """Add a wake-up, unless an equal one is due no later. Returns False if too many wait."""
        with self._lock:
            due = time.monotonic() + max(0.0, delay_seconds)
            if not self._is_open or self._due.get(wakeup, due + 1.0) <= due:
                return True
            if wakeup not in self._due and len(self._due) >= self._max_waiting:
                return False
            self._due[wakeup] = due
            entry = (-priority, next(self._order), wakeup)
            if delay_seconds > 0:
                heapq.heappush(self._delayed, (due, *entry))
            else:
                heapq.heappush(self._ready, entry)
            self._is_filled.notify()
            return True

    def take(self) -> Wakeup | None:
        """Wait for a wake-up that is due, the most urgent first. None when the queue is closed."""
        with self._lock:
            self._free_threads += 1
            self._is_thread_free.notify()
            try:
                while self._is_open:
                    seconds_to_next = self._move_due()
                    if self._ready:
                        wakeup = heapq.heappop(self._ready)[-1]
                        del self._due[wakeup]
                        if self._ready or self._delayed:
                            # This thread may have been the one that watched the time. Another takes over.
                            self._is_filled.notify()
                        return wakeup
                    self._is_filled.wait(seconds_to_next)
                return None
            finally:
                self._free_threads -= 1

    def wait_for_free_thread(self) -> bool:
        """Wait until a thread has nothing to do. Returns False when the queue is closed."""
        with self._lock:
            self._is_thread_free.wait_for(lambda: not self._is_open or self._free_threads > len(self._ready))
            return self._is_open

    def _move_due(self) -> float | None:
        """Make ready what is due. Returns the seconds until the next wake-up is due, None without one."""
        now = time.monotonic()
        while self._delayed:
            due, rank, order, wakeup = self._delayed[0]
            is_replaced = self._due.get(wakeup) != due
            if due > now and not is_replaced:
                return due - now
            heapq.heappop(self._delayed)
            if not is_replaced:
                heapq.heappush(self._ready, (rank, order, wakeup))
        return None
