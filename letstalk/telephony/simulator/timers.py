"""One thread that runs short actions when they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from letstalk.observability.logs import get_logger

log = get_logger(__name__)

Action = Callable[[], None]
IsWanted = Callable[[], bool]

# Due time, order among equal due times, attempt, action, and whether it is still wanted.
_Timer = tuple[float, int, int, Action, IsWanted | None]

_TRIES = 5


class Timers:
    """A heap of actions by due time. The thread starts with the first action and does not keep the process alive."""

    def __init__(self, thread_name: str, *, first_retry_seconds: float = 0.05) -> None:
        """An action that raises is retried after `first_retry_seconds`, then after four times that, and so on."""
        self._thread_name = thread_name
        self._first_retry_seconds = first_retry_seconds
        self._wakeable = threading.Condition()
        self._heap: list[_Timer] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def after(self, seconds: float, action: Action, is_wanted: IsWanted | None = None) -> None:
        """Run `action` in `seconds`. An action that raises is logged and retried up to four times.

        An action that is no longer wanted may be dropped, and does not wake the thread. After `stop` nothing is run.
        """
        self._push(time.monotonic() + seconds, 1, action, is_wanted)

    def at_once(self, action: Action) -> None:
        """Run `action` now if this is the timers' thread, else soon in that thread. It is retried like any other."""
        if threading.current_thread() is self._thread:
            self._try(action, 1)
        else:
            self.after(0, action)

    def stop(self) -> None:
        """Drop the actions that are not due, and wait up to 5 s for one that is running."""
        with self._wakeable:
            self._stopped = True
            self._heap.clear()
            thread = self._thread
            self._wakeable.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def __len__(self) -> int:
        return len(self._heap)

    def _push(self, due: float, attempt: int, action: Action, is_wanted: IsWanted | None = None) -> None:
        with self._wakeable:
            if self._stopped:
                return
            heapq.heappush(self._heap, (due, next(self._order), attempt, action, is_wanted))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._thread_name, daemon=True)
                self._thread.start()
            elif self._heap[0][0] == due and threading.current_thread() is not self._thread:
                self._wakeable.notify()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            _, _, attempt, action, _ = item
            self._try(action, attempt)

    def _try(self, action: Action, attempt: int) -> None:
        try:
            action()
        except Exception:
            if attempt >= _TRIES:
                log.exception("timer_action_given_up", attempt=attempt)
                return
            log.warning("timer_action_failed", attempt=attempt, exc_info=True)
            self._push(time.monotonic() + self._first_retry_seconds * 4.0 ** (attempt - 1), attempt + 1, action)

    def _next(self) -> _Timer | None:
        with self._wakeable:
            while not self._stopped:
                self._drop_unwanted()
                if not self._heap:
                    self._wakeable.wait()
                elif (wait_seconds := self._heap[0][0] - time.monotonic()) > 0:
                    self._wakeable.wait(wait_seconds)
                else:
                    return heapq.heappop(self._heap)
            return None

    def _drop_unwanted(self) -> None:
        while self._heap and (is_wanted := self._heap[0][4]) is not None and not is_wanted():
            heapq.heappop(self._heap)
