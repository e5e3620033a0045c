"""Fixed windows counted in this process: what `limits` calls a storage.

Its own in-memory storage starts a thread up to a hundred times a second to drop what has expired, which under load
costs more than the counting.
"""

from __future__ import annotations

import threading
import time

from limits.storage import Storage

SWEEP_SECONDS = 30.0


class Windows(Storage):
    """Counts by key, each for as long as its window lasts. Everything is forgotten with the process."""

    STORAGE_SCHEME: list[str] | None = ["letstalk"]  # noqa: RUF012  # declared so by the class that it is of

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}
        self._sweep_at = time.time() + SWEEP_SECONDS

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The count of the window that is open now; the first one opens it, for `expiry` seconds."""
        now = time.time()
        with self._lock:
            count, ends_at = self._windows.get(key, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + expiry
                self._sweep(now)
            self._windows[key] = (count + amount, ends_at)
            return count + amount

    def get(self, key: str) -> int:
        count, ends_at = self._windows.get(key, (0, 0.0))
        return count if ends_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the key's window ends, in Unix seconds; now, where none is open."""
        return max(time.time(), self._windows.get(key, (0, 0.0))[1])

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        """Forget everything. Returns how many windows there were."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
            return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)

    def _sweep(self, now: float) -> None:
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self._windows = {key: window for key, window in self._windows.items() if window[1] > now}
