"""How many threads serve requests: a few, and one more for each request that is in slow work.

A password takes 70 ms to hash, and an identity provider may take seconds to respond. Neither many sign-ins nor a
provider that hangs can keep other requests waiting, because each such request lets the server start a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_mine = threading.local()


class RequestThreads:
    """Middleware that knows in which request `slow_work` is called."""

    def __init__(self, wsgi_app: Any, count: int) -> None:
        """`count` is the number of threads while no request is in slow work."""
        self._app = wsgi_app
        self._count = count
        self._slow = 0
        self._lock = threading.Lock()
        self._set_count: Callable[[int], None] | None = None

    def start(self, set_count: Callable[[int], None]) -> None:
        """Call `set_count` with the number of threads that the server should have, whenever that changes."""
        self._set_count = set_count

    def stop(self) -> None:
        """Change it no more."""
        with self._lock:
            self._set_count = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _mine.threads = self
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        finally:
            _mine.threads = None

    @contextmanager
    def slow_work(self) -> Iterator[None]:
        self._add_slow(1)
        try:
            yield
        finally:
            self._add_slow(-1)

    def _add_slow(self, number: int) -> None:
        with self._lock:
            self._slow += number
            if self._set_count is not None:
                self._set_count(self._count + self._slow)


@contextmanager
def slow_work() -> Iterator[None]:
    """Slow work within a request, while another thread serves requests in its place. Elsewhere this does nothing."""
    threads: RequestThreads | None = getattr(_mine, "threads", None)
    if threads is None:
        yield
        return
    _mine.threads = None  # slow work within slow work is no more of it
    try:
        with threads.slow_work():
            yield
    finally:
        _mine.threads = threads
