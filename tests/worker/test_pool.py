"""The queue of background work while Redis is away: nudges are carried out by the process that gave them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from letstalk.observability.metrics import task_failures_total
from letstalk.services import Services
from letstalk.worker import pool as tasks
from letstalk.worker import task_storage
from letstalk.worker.pool import FULL_SECONDS, STOP_SECONDS, SpareHands, Worker, WorkQueue
from letstalk.worker.task_storage import _say_once_in_a_while
from tests.support.stopwatches import Within

NOBODY = "redis://127.0.0.1:1/0"
PATIENCE_SECONDS = 20.0


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Dispatching:
    """Stands where the dispatcher stands, and notes what it is asked for."""

    def __init__(self) -> None:
        self.dialed: list[str] = []
        self.done = threading.Event()
        self.fails = False
        self.failures = 0
        self.looks: list[bool] = []
        self.is_full = False

    def dispatch(self, *, is_channel_free: bool, note_full: Callable[[], None]) -> None:
        self.looks.append(is_channel_free)
        if self.is_full:
            note_full()
        self.done.set()

    def dial(self, call_id: str) -> None:
        if self.fails:
            self.failures += 1
            raise RuntimeError("it did not work")
        self.dialed.append(call_id)
        self.done.set()


class Everything:
    def __init__(self, dispatch: Dispatching) -> None:
        self.dispatch: Any = dispatch


class Idle(Everything):
    """Services whose sweeps find nothing."""

    @property
    def sweeps(self) -> Any:
        return self

    def sweep(self) -> None: ...

    def sweep_slowly(self) -> None: ...


@pytest.fixture
def dispatching() -> Dispatching:
    return Dispatching()


@pytest.fixture
def queue(dispatching: Dispatching) -> WorkQueue:
    made = WorkQueue(NOBODY)
    made.bind(cast(Services, Everything(dispatching)))
    return made


@pytest.fixture
def hands() -> Iterator[SpareHands]:
    made = SpareHands(2)
    yield made
    made.stop(time.monotonic() + PATIENCE_SECONDS)


def test_a_nudge_that_redis_does_not_take_is_carried_out_here(
    queue: WorkQueue, dispatching: Dispatching, hands: SpareHands
) -> None:
    queue.lend(hands)
    queue.dial("a call")
    assert dispatching.done.wait(PATIENCE_SECONDS)
    assert dispatching.dialed == ["a call"]


def test_a_process_that_does_no_background_work_loses_it_and_says_nothing(
    queue: WorkQueue, dispatching: Dispatching
) -> None:
    queue.dial("a call")
    assert not dispatching.done.wait(0.2)


def test_what_should_wait_is_left_to_the_sweeps(queue: WorkQueue, dispatching: Dispatching, hands: SpareHands) -> None:
    queue.lend(hands)
    queue.dispatch_later(0.01)
    assert not dispatching.done.wait(0.2)


def test_a_task_that_fails_does_not_stop_the_next(
    queue: WorkQueue, dispatching: Dispatching, hands: SpareHands
) -> None:
    queue.lend(hands)
    dispatching.fails = True
    for _ in range(4):
        queue.dial("one that fails")
    eventually(lambda: dispatching.failures == 4)
    dispatching.fails = False
    queue.dial("a call")
    assert dispatching.done.wait(PATIENCE_SECONDS)


def test_stopping_drops_what_has_not_begun_and_waits_for_what_has() -> None:
    hands = SpareHands(1)
    begun, may_end, ended, second = (threading.Event() for _ in range(4))

    def work() -> None:
        begun.set()
        may_end.wait(PATIENCE_SECONDS)
        ended.set()

    hands.take(work)
    assert begun.wait(PATIENCE_SECONDS)
    hands.take(second.set)
    stopping = threading.Thread(target=hands.stop, args=(time.monotonic() + PATIENCE_SECONDS,))
    stopping.start()
    # From the stop on, a word to stop is all that waits for the thread.
    eventually(lambda: not hands._threads and hands.waiting == 1 and hands._tasks.queue[0] is None)
    may_end.set()
    stopping.join()
    assert ended.is_set()
    assert not second.is_set()


def test_a_queue_that_is_away_does_not_fill_the_log() -> None:
    def complaint() -> logging.LogRecord:
        return logging.LogRecord(
            "test.huey",
            logging.ERROR,
            __file__,
            1,
            "Error reading from queue",
            None,
            (RuntimeError, RuntimeError(), None),
        )

    first, second = complaint(), complaint()
    assert _say_once_in_a_while(first)
    assert (first.levelname, first.exc_info) == ("WARNING", None)
    assert not _say_once_in_a_while(second)
    other = logging.LogRecord("test.huey", logging.ERROR, __file__, 1, "Unhandled exception in task", None, None)
    assert _say_once_in_a_while(other)
    assert other.levelname == "ERROR"


def test_a_worker_with_nothing_to_do_is_woken_by_a_task_and_by_a_stop(
    dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch, within: Within
) -> None:
    monkeypatch.setattr(task_storage, "WAKING_SECONDS", 4 * STOP_SECONDS)  # nobody wakes by themselves
    queue, services = WorkQueue(), cast(Services, Idle(dispatching))
    queue.bind(services)
    worker = Worker(queue, services, threads=8)
    worker.start()
    time.sleep(0.1)  # until all of them wait
    dispatching.done.clear()
    with within(STOP_SECONDS):
        queue.dial("a call")
        assert dispatching.done.wait(PATIENCE_SECONDS)
    worker.stop()
    assert not any(thread.is_alive() for _, thread in worker._consumer.worker_threads), "it gave some of them up"


@pytest.fixture
def local(dispatching: Dispatching) -> Iterator[WorkQueue]:
    """A queue in memory, with a worker."""
    queue, services = WorkQueue(), cast(Services, Idle(dispatching))
    queue.bind(services)
    worker = Worker(queue, services, threads=1)
    worker.start()
    yield queue
    worker.stop()


def looks_after(queue: WorkQueue, dispatching: Dispatching, *, is_channel_free: bool, wanted: int = 1) -> list[bool]:
    """What was looked for, once there have been as many looks as are `wanted`, and a moment later."""
    before = len(dispatching.looks)
    queue.dispatch(is_channel_free=is_channel_free)
    eventually(lambda: len(dispatching.looks) >= before + wanted)
    time.sleep(0.1)
    return dispatching.looks[before:]


def test_while_all_channels_are_taken_nobody_looks_until_one_is_let_go(
    local: WorkQueue, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "FULL_SECONDS", PATIENCE_SECONDS)  # however long the machine pauses between two looks
    assert looks_after(local, dispatching, is_channel_free=False) == [False]
    dispatching.is_full = True
    assert looks_after(local, dispatching, is_channel_free=False) == [False]
    assert looks_after(local, dispatching, is_channel_free=False, wanted=0) == []
    dispatching.is_full = False
    assert looks_after(local, dispatching, is_channel_free=True) == [True]
    assert looks_after(local, dispatching, is_channel_free=False) == [False]


def test_that_all_channels_are_taken_is_not_believed_for_long(local: WorkQueue, dispatching: Dispatching) -> None:
    dispatching.is_full = True
    looks_after(local, dispatching, is_channel_free=False)
    time.sleep(FULL_SECONDS)
    assert looks_after(local, dispatching, is_channel_free=False) == [False]


def test_a_channel_that_came_free_is_looked_at_in_the_thread_that_says_so(dispatching: Dispatching) -> None:
    queue = WorkQueue()
    queue.bind(cast(Services, Everything(dispatching)))
    queue.lend(SpareHands(1))
    queue.dispatch_here()
    assert dispatching.looks == [True]
    assert queue.huey.storage.queue_size() == 0


def test_before_the_start_and_after_the_stop_it_is_left_to_others(dispatching: Dispatching) -> None:
    queue = WorkQueue()
    queue.bind(cast(Services, Idle(dispatching)))
    queue.dispatch_here()
    assert queue.huey.storage.queue_size() == 1
    queue.huey.storage.flush_queue()
    worker = Worker(queue, cast(Services, Idle(dispatching)), threads=1)
    worker.start()
    worker.stop()
    queue._dispatch_asked_at = float("-inf")
    queue.dispatch_here()
    assert queue.huey.storage.queue_size() == 1
    assert dispatching.looks == []


def test_a_look_that_fails_spoils_nothing_for_who_said_that_a_channel_is_free(dispatching: Dispatching) -> None:
    queue = WorkQueue()
    queue.bind(cast(Services, Everything(dispatching)))
    queue.lend(SpareHands(1))
    failures = task_failures_total._value.get()
    dispatching.looks = cast(Any, None)  # so that it raises
    queue.dispatch_here()
    assert task_failures_total._value.get() == failures + 1
