"""What runs periodically: one thread that runs each registered function at the start and then every so many seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sweep_failures_total, sweep_seconds

log = get_logger(__name__)


@dataclass(slots=True)
class _Sweep:
    name: str
    pause_seconds: float
    run: Callable[[], object]
    due: float = 0.0  # on the monotonic clock


class Sweeper:
    def __init__(self) -> None:
        self._sweeps: list[_Sweep] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_until_stopped, name="sweeper", daemon=True)

    def every(self, seconds: float, name: str, run: Callable[[], object]) -> None:
        """Register a sweep before the start. The pause begins when it has ended; a sweep that fails is logged."""
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
        except Exception as error:  # an error that ended this thread would leave everything that waits waiting
            sweep_failures_total.labels(sweep.name).inc()
            log.error("sweep_failed", sweep=sweep.name, exc_info=error)
        sweep.due = time.monotonic() + sweep.pause_seconds
