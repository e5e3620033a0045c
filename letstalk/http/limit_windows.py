"""Where the limiter counts: fixed windows, in this process or in Redis. Each is what `limits` calls a storage.

A request belongs to several windows, which are asked for at once (`count`): one way to Redis instead of several.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from limits.storage import RedisStorage, Storage

SWEEP_SECONDS = 30.0


class Hit(NamedTuple):
    """One request more in the window of `key`, which lasts `window_seconds` and takes `amount` of them."""

    key: str
    window_seconds: int
    amount: int


class Windows(Storage):
    """Counts by key, each for as long as its window lasts. Everything is forgotten with the process.

    In place of `limits`' own, which starts a thread up to a hundred times a second to drop what has expired: under load
    that costs more than the counting.
    """

    STORAGE_SCHEME: list[str] | None = ["letstalk"]  # noqa: RUF012  # declared so by the class that it is of

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}
        self._sweep_at = time.time() + SWEEP_SECONDS

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def count(self, hits: Sequence[Hit]) -> list[int]:
        """The count of each window with this one, as far as the first with too many: what follows is not counted."""
        counts = []
        for key, window_seconds, amount in hits:
            counts.append(self.incr(key, window_seconds))
            if counts[-1] > amount:
                break
        return counts

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


# What `Windows.count` does. A window begins with its first request.
_COUNT = """
local counts = {}
for i = 1, #KEYS do
  counts[i] = redis.call('INCR', KEYS[i])
  if counts[i] == 1 then redis.call('EXPIRE', KEYS[i], ARGV[2 * i - 1]) end
  if counts[i] > tonumber(ARGV[2 * i]) then break end
end
return counts
"""


class SharedWindows(RedisStorage):
    """Counts in Redis, for all servers together."""

    STORAGE_SCHEME = ["letstalk+redis", "letstalk+rediss"]  # noqa: RUF012  # declared so by the class that it is of

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix("letstalk+"), **options)
        self._digest: str = self.storage.register_script(_COUNT).sha
        self._of_thread = threading.local()

    def count(self, hits: Sequence[Hit]) -> list[int]:
        """As `Windows.count`. Raises whatever the Redis client raises."""
        keys = [self.prefixed_key(hit.key) for hit in hits]
        limits = [number for hit in hits for number in (hit.window_seconds, hit.amount)]
        try:
            return self._ask("EVALSHA", self._digest, len(keys), *keys, *limits)
        except self.dependency.exceptions.NoScriptError:  # it has just started
            return self._ask("EVAL", _COUNT, len(keys), *keys, *limits)

    def _ask(self, *command: str | int) -> list[int]:
        """By a connection that the thread keeps: to lend one from the pool for each takes three times as long."""
        connection: Any = getattr(self._of_thread, "connection", None)
        is_new = connection is None
        if is_new:
            connection = self._of_thread.connection = self.storage.connection_pool.get_connection()
        try:
            try:
                return self._ask_by(connection, command)
            except self.dependency.exceptions.ConnectionError:
                if is_new:
                    raise
                return self._ask_by(connection, command)  # it was gone since its last use, and connects anew
        except self.dependency.exceptions.ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # half an answer may be on its way
            raise

    @staticmethod
    def _ask_by(connection: Any, command: Sequence[str | int]) -> list[int]:
        connection.send_command(*command)
        answer: list[int] = connection.read_response()
        return answer
