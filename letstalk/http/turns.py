"""Turns: how many requests are worked on at once, beside those that wait for slow work.

A password takes 70 ms to hash, and an identity provider may take seconds to respond. A request gives its turn to
another one meanwhile, so that neither many sign-ins nor a provider that hangs can keep other requests waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

# As many requests may be in slow work: `accounts/passwords.py` and `sso/provider_client.py` have so many places.
WAITING_THREADS = 14

_mine = threading.local()


class Turns:
    """Middleware that lets `count` requests through at a time. The server needs `WAITING_THREADS` threads more."""

    def __init__(self, wsgi_app: Any, count: int) -> None:
        self._app = wsgi_app
        self.free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self.free.put(None)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.free.get()
        _mine.turns = self
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        finally:
            _mine.turns = None
            self.free.put(None)


@contextmanager
def without_turn() -> Iterator[None]:
    """Slow work within a request, whose turn another request has meanwhile. Elsewhere this does nothing."""
    turns: Turns | None = getattr(_mine, "turns", None)
    if turns is None:
        yield
        return
    _mine.turns = None
    turns.free.put(None)
    try:
        yield
    finally:
        turns.free.get()
        _mine.turns = turns
