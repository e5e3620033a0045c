"""Background work: Huey tasks, each one line into a service, and the sweeps that make every nudge dispensable.

The queue is only a nudge. Without Redis it lives in this process's memory and dies with it; the sweeps find in the
database whatever was waiting. While Redis is away, each process carries out its own nudges.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import (
    nudges_lost_total,
    queue_away_total,
    sweep_failures_total,
    sweep_seconds,
    task_failures_total,
)
from letstalk.worker.task_storage import WakingStorage, make_consumer, make_huey

if TYPE_CHECKING:
    from letstalk.services import Services

log = get_logger(__name__)

SWEEP_SECONDS = 2.0
SLOW_SWEEP_SECONDS = 60.0
STOP_SECONDS = 6.5  # a command to the provider takes 5 s at most
AWAY_SECONDS = 1.0  # before a queue that could not be reached is tried again
SPARE_TASKS = 500
ASKED_SECONDS = 0.5  # for so long a look at the queue that was asked for is expected to come
FULL_SECONDS = 0.5  # for so long it is believed that all channels are taken, unless someone says that one is free


class WorkQueue:
    """The tasks, and the nudges that enqueue them. `bind` it to the services before anything runs."""

    def __init__(self, redis_url: str | None = None) -> None:
        self.huey = make_huey(redis_url)
        self._services: Services | None = None
        self._is_local = redis_url is None
        self._dispatch_asked_at = float("-inf")
        self._looks = 0
        self._full_until = float("-inf")
        self._offers_due_at = float("-inf")
        self._spare_hands: SpareHands | None = None
        self._away_until = 0.0
        self.huey.signal("error")(lambda *_: task_failures_total.inc())
        task = self.huey.task
        self._dispatch = task(name="dispatch")(lambda is_channel_free=False: self._run_dispatch(is_channel_free))
        self._dial = task(name="dial")(lambda call_id: self._bound.dispatch.dial(call_id))
        self._apply_event = task(name="apply_event", priority=2)(
            lambda event_id: self._bound.events.apply_event(event_id)
        )
        self._carry_out = task(name="carry_out", priority=1)(lambda call_id: self._bound.commands.carry_out(call_id))
        self._hang_up_stray = task(name="hang_up_stray", priority=1)(
            lambda call_id, provider_call_id: self._bound.commands.hang_up_stray(call_id, provider_call_id)
        )
        self._offer_code = task(name="offer_code", priority=1)(lambda call_id: self._bound.events.offer_code(call_id))
        self._offer_codes = task(name="offer_codes", priority=1)(lambda: self._bound.sweeps.offer_codes())
        # Calls first: a mail can wait for a while.
        self._deliver_mail = task(name="deliver_mail", priority=-1)(
            lambda mail_id: self._bound.accounts.mails.deliver(mail_id)
        )

    @property
    def _bound(self) -> Services:
        if self._services is None:
            raise RuntimeError("the work queue has no services yet")
        return self._services

    def _run_dispatch(self, is_channel_free: bool) -> None:
        self._dispatch_asked_at = float("-inf")
        self._looks = look = self._looks + 1
        self._full_until = float("-inf")

        def note_full() -> None:
            if look == self._looks:  # what a later look has found counts for more
                self._full_until = time.monotonic() + FULL_SECONDS

        self._bound.dispatch.dispatch(is_channel_free=is_channel_free, note_full=note_full)

    def bind(self, services: Services) -> None:
        self._services = services

    def dispatch(self, *, is_channel_free: bool = False) -> None:
        now = time.monotonic()
        # One look at the queue serves whatever came before it, and none is needed while all channels are taken: whoever
        # lets go of one says so. Through Redis nobody here sees when others look.
        is_vain = now - self._dispatch_asked_at < ASKED_SECONDS or (now < self._full_until and not is_channel_free)
        if self._is_local and is_vain:
            return
        self._dispatch_asked_at = now
        self._enqueue(self._dispatch, is_channel_free)

    def dispatch_here(self) -> None:
        # Before the workers start, and once they are to stop, this process begins nothing: others may.
        if self._spare_hands is None:
            self.dispatch(is_channel_free=True)
            return
        try:
            self._run_dispatch(is_channel_free=True)
        except Exception as error:  # what this thread did before is done, and the sweeps find what waits
            task_failures_total.inc()
            log.error("task_failed", exc_info=error)

    def dispatch_later(self, seconds: float) -> None:
        self._enqueue(self._dispatch, delay=seconds)

    def dial(self, call_id: str) -> None:
        self._enqueue(self._dial, call_id)

    def apply_event(self, event_id: str) -> None:
        self._enqueue(self._apply_event, event_id)

    def carry_out(self, call_id: str) -> None:
        self._enqueue(self._carry_out, call_id)

    def hang_up_stray(self, call_id: str, provider_call_id: str) -> None:
        self._enqueue(self._hang_up_stray, call_id, provider_call_id)

    def offer_code(self, call_id: str) -> None:
        self._enqueue(self._offer_code, call_id)

    def offer_codes_later(self, seconds: float) -> None:
        now = time.monotonic()
        # A look that is still to come sees this call too, and comes again when its time is up.
        if now < self._offers_due_at <= now + seconds:
            return
        self._offers_due_at = now + seconds
        self._enqueue(self._offer_codes, delay=seconds)

    def deliver_mail(self, mail_id: str) -> None:
        self._enqueue(self._deliver_mail, mail_id)

    def ping(self) -> None:
        """Raises whatever the queue's client raises when the queue can't be reached."""
        self.huey.storage.queue_size()

    def wake_workers(self) -> None:
        """Have those that wait for a task see that they are to stop. Redis wakes its own each second."""
        if isinstance(self.huey.storage, WakingStorage):
            self.huey.storage.wake_all()

    def lend(self, hands: SpareHands | None) -> None:
        """Give what the queue does not take to `hands`; to nobody, from None on."""
        self._spare_hands = hands

    def _enqueue(self, task: Any, *args: Any, delay: float | None = None) -> None:
        """Hand a nudge over. One that gets lost costs two seconds, so it must never cost the caller its answer."""
        if time.monotonic() >= self._away_until:
            try:
                task.schedule(args, delay=delay) if delay else task(*args)
                return
            except Exception as error:  # whichever client the queue uses
                self._away_until = time.monotonic() + AWAY_SECONDS
                queue_away_total.inc()
                log.warning("queue_away", task=task.task_class.__name__, error=type(error).__name__)
        # What should wait is left to the sweeps, which find it in the rows when its time has come.
        if self._spare_hands is not None and not delay:
            self._spare_hands.take(lambda: task.call_local(*args))


class SpareHands:
    """Threads that carry out this process's own nudges while the queue can't be reached; none until then."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue(SPARE_TASKS)
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many tasks nobody has begun."""
        return self._tasks.qsize()

    def take(self, task: Callable[[], None]) -> None:
        """Have `task` done soon. One too many is dropped: the sweeps will find it again."""
        with self._guard:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._work, name="spare-hand", daemon=True) for _ in range(self._count)
                ]
                for thread in self._threads:
                    thread.start()
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            nudges_lost_total.inc()
            log.warning("nudge_lost")

    def stop(self, deadline: float) -> None:
        """Finish what is being done and start nothing more, until `deadline` on the monotonic clock."""
        with self._guard:
            threads, self._threads = self._threads, []
        while not self._tasks.empty():
            self._tasks.get_nowait()
        for _ in threads:
            self._tasks.put(None)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception as error:  # the next task has a right to this thread
                task_failures_total.inc()
                log.error("task_failed", exc_info=error)


class Worker:
    """The consumer's threads and the sweeping thread of one process."""

    def __init__(self, queue: WorkQueue, services: Services, *, threads: int) -> None:
        self._queue = queue
        self._services = services
        self._threads = threads
        self._spare_hands = SpareHands(threads)
        self._consumer: Any = None
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._stop_by: float | None = None

    def start(self) -> None:
        """Begin to work. What was waiting before is found by the first sweep, at once."""
        self._queue.lend(self._spare_hands)
        self._consumer = make_consumer(self._queue.huey, self._threads)
        self._consumer.start()
        self._sweeper = threading.Thread(target=self._sweep_until_stopped, name="sweeper", daemon=True)
        self._sweeper.start()

    def begin_stop(self) -> None:
        """Start nothing more, and return at once. What is claimed and not begun is left for others, free to take."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + STOP_SECONDS
            self._queue.lend(None)
            self._stopping.set()
            if self._consumer is not None:
                self._consumer.stop_flag.set()
                self._queue.wake_workers()

    def stop(self) -> None:
        """Finish what is being done. Returns within `STOP_SECONDS` of the first word of a stop, done or not."""
        self.begin_stop()
        deadline = self._stop_by or 0.0
        if self._consumer is not None:
            for _, thread in self._consumer.worker_threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._spare_hands.stop(deadline)
        if self._sweeper is not None:
            self._sweeper.join(max(0.0, deadline - time.monotonic()))

    def _sweep_until_stopped(self) -> None:
        next_slow_sweep = time.monotonic()
        while True:
            self._try("fast", self._services.sweeps.sweep)
            if time.monotonic() >= next_slow_sweep:
                self._try("slow", self._services.sweeps.sweep_slowly)
                next_slow_sweep = time.monotonic() + SLOW_SWEEP_SECONDS
            if self._stopping.wait(SWEEP_SECONDS):
                return

    def _try(self, name: str, sweep: Callable[[], None]) -> None:
        try:
            with sweep_seconds.labels(name).time():
                sweep()
        except Exception as error:  # a sweep that dies would leave everything that waits waiting
            sweep_failures_total.labels(name).inc()
            log.error("sweep_failed", sweep=name, exc_info=error)
