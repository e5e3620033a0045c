"""How many calls come before a new one and how long each takes, without measuring both for each request."""

from __future__ import annotations

import threading
import time

from sqlalchemy import Connection

from letstalk.calls import queue as queue

COUNTED_SECONDS = 0.1
# More than all other processes together could accept while a count is believed.
MARGIN = 1000
MEAN_KEPT_SECONDS = 1.0


class QueueLength:
    """Counts exactly where it matters, and believes an older count where the queue is far from full.

    A queue may hold tens of thousands of calls; to count them takes a millisecond, which is more than all the rest of
    an accepted request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._estimate = 0

    def count(self, connection: Connection, turn: int, most: int) -> int:
        """How many calls, waiting or live, come before `turn`: exact near `most`, at least as many where it is more.

        While the last count, with all that this process has asked for since, is at least `MARGIN` below `most`, that
        estimate is returned.
        """
        with self._lock:
            is_fresh = time.monotonic() - self._counted_at < COUNTED_SECONDS
            if is_fresh and self._estimate + MARGIN <= most:
                self._estimate += 1
                return self._estimate
        counted = queue.count_ahead(connection, turn, at_most=most + 2)
        with self._lock:
            self._counted_at = time.monotonic()
            self._estimate = counted
        return counted


class MeanCall:
    """How long calls held their channels of late."""

    def __init__(self, *, assumed_seconds: float) -> None:
        """`assumed_seconds`: the answer before any call has finished."""
        self._assumed_seconds = assumed_seconds
        self._lock = threading.Lock()
        self._measured: tuple[float, float] | None = None

    def measure_seconds(self, connection: Connection) -> float:
        """The mean over the last finished calls, at most `MEAN_KEPT_SECONDS` old."""
        with self._lock:
            now = time.monotonic()
            if self._measured is None or now - self._measured[0] > MEAN_KEPT_SECONDS:
                mean = queue.mean_duration_seconds(connection)
                self._measured = (now, self._assumed_seconds if mean is None else mean)
            return self._measured[1]
