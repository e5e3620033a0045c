"""Background work: Huey tasks, each one line into a service, and the sweeps that make every nudge dispensable.

The queue is only a nudge. Without Redis it lives in this process's memory and dies with it; the sweeps find in the
database whatever was waiting.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from letstalk.observability.logs import get_logger

if TYPE_CHECKING:
    from letstalk.services.registry import Services

log = get_logger(__name__)

SWEEP_SECONDS = 2.0
SLOW_SWEEP_SECONDS = 60.0
STOP_SECONDS = 8.0


class WorkQueue:
    """The tasks, and the nudges that enqueue them. `bind` it to the services before anything runs."""

    def __init__(self, redis_url: str | None = None) -> None:
        # Results are kept by nobody: the rows say what became of everything.
        if redis_url:
            self.huey = importlib.import_module("huey").PriorityRedisHuey("letstalk", url=redis_url, results=False)
        else:
            with _hidden("redis", "psycopg"):
                self.huey = importlib.import_module("huey").MemoryHuey("letstalk", results=False)
        self._services: Services | None = None
        task = self.huey.task
        self._dispatch = task(name="dispatch")(lambda: self._bound.dispatch.dispatch())
        self._dial = task(name="dial")(lambda call_id: self._bound.dispatch.dial(call_id))
        self._apply_event = task(name="apply_event", priority=2)(
            lambda event_id: self._bound.events.apply_event(event_id)
        )
        self._carry_out = task(name="carry_out", priority=1)(lambda call_id: self._bound.commands.carry_out(call_id))
        self._offer_code = task(name="offer_code", priority=1)(lambda call_id: self._bound.events.offer_code(call_id))

    @property
    def _bound(self) -> Services:
        if self._services is None:
            raise RuntimeError("the work queue has no services yet")
        return self._services

    def bind(self, services: Services) -> None:
        self._services = services

    def dispatch(self) -> None:
        self._enqueue(self._dispatch)

    def dispatch_later(self, seconds: float) -> None:
        self._enqueue(self._dispatch, delay=seconds)

    def dial(self, call_id: str) -> None:
        self._enqueue(self._dial, call_id)

    def apply_event(self, event_id: str) -> None:
        self._enqueue(self._apply_event, event_id)

    def carry_out(self, call_id: str) -> None:
        self._enqueue(self._carry_out, call_id)

    def offer_code(self, call_id: str, *, in_seconds: float = 0.0) -> None:
        self._enqueue(self._offer_code, call_id, delay=in_seconds)

    def ping(self) -> None:
        """Raises whatever the queue's client raises when the queue can't be reached."""
        self.huey.storage.queue_size()

    def _enqueue(self, task: Any, *args: str, delay: float | None = None) -> None:
        """A nudge that gets lost costs two seconds, so it must never cost the caller its answer."""
        try:
            task.schedule(args, delay=delay) if delay else task(*args)
        except Exception as error:  # whichever client the queue uses
            log.warning("nudge_lost", task=task.task_class.__name__, error=type(error).__name__)


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Keep `packages` from being imported meanwhile, where they are not yet.

    Huey imports each client that it could use: 17 MB for two that a queue in memory never asks.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python spells "not to be had"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _make_consumer(huey: Any, threads: int) -> Any:
    """Huey's consumer, made fit for a server, which must keep its own signal handlers."""
    consumer = importlib.import_module("huey.consumer").Consumer(
        huey, workers=threads, periodic=False, initial_delay=0.005, max_delay=0.01, backoff=1.15
    )
    consumer._set_signal_handlers = lambda: None
    return consumer


class Worker:
    """The consumer's threads and the sweeping thread of one process."""

    def __init__(self, queue: WorkQueue, services: Services, *, threads: int) -> None:
        self._queue = queue
        self._services = services
        self._threads = threads
        self._consumer: Any = None
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work. What was waiting before is found by the first sweep, at once."""
        self._consumer = _make_consumer(self._queue.huey, self._threads)
        self._consumer.start()
        self._sweeper = threading.Thread(target=self._sweep_until_stopped, name="sweeper", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """Finish what is being done and start nothing more. Returns within `STOP_SECONDS`, done or not."""
        self._stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        if self._consumer is not None:
            self._consumer.stop_flag.set()
            for _, thread in self._consumer.worker_threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._sweeper is not None:
            self._sweeper.join(max(0.0, deadline - time.monotonic()))

    def _sweep_until_stopped(self) -> None:
        next_slow_sweep = time.monotonic()
        while True:
            self._try("sweep", self._services.sweeps.sweep)
            if time.monotonic() >= next_slow_sweep:
                self._try("slow sweep", self._services.sweeps.sweep_slowly)
                next_slow_sweep = time.monotonic() + SLOW_SWEEP_SECONDS
            if self._stopping.wait(SWEEP_SECONDS):
                return

    def _try(self, name: str, sweep: Callable[[], None]) -> None:
        try:
            sweep()
        except Exception as error:  # a sweep that dies would leave everything that waits waiting
            log.error("sweep_failed", sweep=name, exc_info=error)
