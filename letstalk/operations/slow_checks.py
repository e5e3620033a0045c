"""Checks that ask other services. They run at the same time, each in a thread, and nobody has to wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from letstalk.core.clock import Clock
from letstalk.observability.logs import get_logger
from letstalk.operations.checks import CheckResult, failing, pending

log = get_logger(__name__)

Job = Callable[[], tuple[CheckResult, ...]]

# How long a job that hangs prevents another run. Every job has time-outs of its own, which are shorter.
ABANDONED_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`started_at` is when the checks were started. `is_complete` is false while one of them is `pending`."""

    results: tuple[CheckResult, ...]
    started_at: datetime
    is_complete: bool


@dataclass(slots=True)
class _Run:
    started_at: datetime
    monotonic: float
    unfinished: int
    results: dict[str, CheckResult] = field(default_factory=dict)


class SlowChecks:
    """Keeps the results of its last run, for this process."""

    def __init__(self, jobs: Mapping[tuple[str, ...], Job], clock: Clock) -> None:
        """`jobs` are by the names of the results that each of them returns."""
        self._jobs = jobs
        self._clock = clock
        self._changed = threading.Condition()
        self._run: _Run | None = None

    def look(self, *, max_age_seconds: float, wait_seconds: float) -> Snapshot:
        """The results of a run that is at most `max_age_seconds` old, for which it waits for at most `wait_seconds`.

        What has not answered by then is `pending`, and goes on. Raises nothing of what a check raises.
        """
        with self._changed:
            run = self._run
            if run is None or self._is_outdated(run, max_age_seconds):
                run = self._run = self._start()
            started = run
            self._changed.wait_for(lambda: not started.unfinished, wait_seconds)
            names = (name for names in self._jobs for name in names)
            results = tuple(started.results.get(name) or pending(name) for name in names)
            return Snapshot(results, started.started_at, is_complete=not started.unfinished)

    def _is_outdated(self, run: _Run, max_age_seconds: float) -> bool:
        age_seconds = time.monotonic() - run.monotonic
        return age_seconds > ABANDONED_AFTER_SECONDS if run.unfinished else age_seconds >= max_age_seconds

    def _start(self) -> _Run:
        run = _Run(self._clock(), time.monotonic(), len(self._jobs))
        for names, job in self._jobs.items():
            threading.Thread(target=self._do, args=(run, names, job), name=f"check-{names[0]}", daemon=True).start()
        return run

    def _do(self, run: _Run, names: tuple[str, ...], job: Job) -> None:
        try:
            found = job()
        except Exception as error:  # a page about what is wrong must not fail because of what is wrong
            log.warning("check_failed", check=names[0], error=type(error).__name__)
            measure = f"The check itself failed ({type(error).__name__})."
            found = tuple(failing(name, measure, "Look at the log of the server.") for name in names)
        with self._changed:
            run.results |= {result.name: result for result in found}
            run.unfinished -= 1
            self._changed.notify_all()
