"""How much of a busy process webhooks may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

MOST_SHARE = 0.06  # of what all other threads take together
BUSY = 0.85  # of a core: Python runs one thread at a time
WINDOW_SECONDS = 1.0
REST_SECONDS = 0.02

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Pace:
    """Says when the deliverer should rest, by the processor time that it and the whole process have used.

    A webhook costs several times what a check does. Without rests, a backlog would take most of the process from
    requests. Where the process has time left, there are none.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        process_time: Callable[[], float] = time.process_time,
        thread_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._monotonic = monotonic
        self._process_time = process_time
        self._thread_time = thread_time
        self._begin()

    def run(self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """What `call` returns. Use it for what another thread does for the deliverer."""
        began = self._thread_time()
        try:
            return call(*args, **kwargs)
        finally:
            self._in_threads += self._thread_time() - began

    def must_rest(self) -> bool:
        """Whether nothing should be sent for REST_SECONDS. Call it in the thread that sends."""
        elapsed = self._monotonic() - self._began_at
        used = self._process_time() - self._process_began_at
        own = self._thread_time() - self._thread_began_at + self._in_threads
        is_busy = used > BUSY * elapsed
        takes_too_much = own > MOST_SHARE * (used - own)
        if elapsed > WINDOW_SECONDS and not (is_busy and takes_too_much):
            self._begin()
        return is_busy and takes_too_much

    def _begin(self) -> None:
        self._began_at = self._monotonic()
        self._process_began_at = self._process_time()
        self._thread_began_at = self._thread_time()
        self._in_threads = 0.0
