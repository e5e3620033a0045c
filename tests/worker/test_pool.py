"""The worker of one process without Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from letstalk.worker import pool
from letstalk.worker.pool import Worker
from tests.worker.parts import PATIENCE_SECONDS, Held, count, eventually, waits_of, worker_with


@contextmanager
def started(worker: Worker) -> Iterator[Worker]:
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def test_a_wake_up_is_handled_with_its_key() -> None:
    handler = Held()
    with started(worker_with(handler)) as worker:
        worker.wake("dial", "a call")
        eventually(lambda: handler.keys == ["a call"])


def test_an_idle_worker_is_woken_at_once() -> None:
    handled_at: list[float] = []
    with started(worker_with(lambda _: handled_at.append(time.monotonic()), threads=8)) as worker:
        waits = waits_of(worker, handled_at)
    assert waits[50] < 0.1  # on a busy machine; nothing in the queue looks by itself


def test_an_idle_worker_uses_no_processor_time() -> None:
    worker = worker_with(Held(), threads=8)
    worker.every(60, "fast", lambda: None)
    with started(worker):
        worker.wake("dial", "later", delay_seconds=60)
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1)
        assert time.process_time() - before < 0.02


def test_the_most_urgent_goes_first_and_then_the_oldest() -> None:
    first, handled = Held(is_open=False), Held()
    worker = worker_with(first, threads=1)
    worker.handle("event", lambda key: handled(f"event {key}"), priority=2)
    worker.handle("command", lambda key: handled(f"command {key}"), priority=1)
    worker.handle("mail", lambda key: handled(f"mail {key}"), priority=-1)
    with started(worker):
        worker.wake("dial", "keeps the thread")
        assert first.begun.wait(PATIENCE_SECONDS)
        for topic, key in (("mail", "1"), ("command", "1"), ("event", "1"), ("command", "2")):
            worker.wake(topic, key)
        first.may_go_on.set()
        eventually(lambda: len(handled.keys) == 4)
    assert handled.keys == ["event 1", "command 1", "command 2", "mail 1"]


def test_a_delayed_wake_up_comes_after_its_delay() -> None:
    handled_at: list[float] = []
    with started(worker_with(lambda _: handled_at.append(time.monotonic()))) as worker:
        woken_at = time.monotonic()
        worker.wake("dial", "later", delay_seconds=0.3)
        eventually(lambda: handled_at)
    assert handled_at[0] - woken_at >= 0.3


def test_a_delayed_wake_up_comes_in_time_although_the_thread_that_watched_the_clock_is_busy() -> None:
    busy, later = Held(is_open=False), Held()
    worker = worker_with(busy, threads=3)
    worker.handle("later", later)
    with started(worker):
        time.sleep(0.1)  # all threads wait, and none of them for a time
        worker.wake("later", "a", delay_seconds=0.3)
        worker.wake("dial", "1")
        worker.wake("dial", "2")
        eventually(lambda: later.keys == ["a"])
        busy.may_go_on.set()


def test_wake_ups_alike_that_wait_are_one_and_come_at_the_earlier_time() -> None:
    busy, handled = Held(is_open=False), Held()
    worker = worker_with(busy, threads=1)
    worker.handle("dispatch", handled)
    with started(worker):
        worker.wake("dispatch", delay_seconds=PATIENCE_SECONDS)
        worker.wake("dial", "keeps the thread")
        assert busy.begun.wait(PATIENCE_SECONDS)
        for _ in range(1_000):
            worker.wake("dispatch")
        worker.wake("dispatch", delay_seconds=PATIENCE_SECONDS)
        worker.wake("dispatch", "another key")
        busy.may_go_on.set()
        eventually(lambda: len(handled.keys) == 2)
        time.sleep(0.1)
    assert handled.keys == ["", "another key"]


def test_a_wake_up_that_comes_while_one_alike_is_handled_is_handled_too() -> None:
    handler = Held(is_open=False)
    with started(worker_with(handler, threads=1)) as worker:
        worker.wake("dial", "a call")
        assert handler.begun.wait(PATIENCE_SECONDS)
        worker.wake("dial", "a call")
        handler.may_go_on.set()
        eventually(lambda: handler.keys == ["a call", "a call"])


def test_a_handler_that_fails_is_counted_and_does_not_end_its_thread() -> None:
    failures, handler = count("task_failures"), Held()
    with started(worker_with(handler, threads=1)) as worker:
        worker.wake("dial", "fails")
        worker.wake("dial", "a call")
        eventually(lambda: handler.keys == ["fails", "a call"])
    assert count("task_failures") == failures + 1


def test_what_nobody_handles_is_counted_and_raises_nothing() -> None:
    ignored = count("wakeups_ignored")
    with started(worker_with(Held())) as worker:
        worker.wake("unheard of", "a call")
    assert count("wakeups_ignored") == ignored + 1


def test_one_too_many_is_dropped_and_counted() -> None:
    lost, handler = count("nudges_lost"), Held(is_open=False)
    worker = Worker(threads=1, max_waiting=3)
    worker.handle("dial", handler)
    with started(worker):
        worker.wake("dial", "first")
        assert handler.begun.wait(PATIENCE_SECONDS)
        for number in range(5):
            worker.wake("dial", str(number))
        assert count("nudges_lost") == lost + 2
        handler.may_go_on.set()
        eventually(lambda: handler.keys == ["first", "0", "1", "2"])


def test_before_the_start_and_after_the_stop_nothing_is_kept() -> None:
    handler = Held()
    worker = worker_with(handler)
    worker.wake("dial", "early")
    worker.start()
    worker.wake("dial", "in time")
    eventually(lambda: handler.keys)
    worker.stop()
    worker.wake("dial", "late")
    time.sleep(0.1)
    assert handler.keys == ["in time"]


def test_stopping_drops_what_has_not_begun_and_waits_for_what_has() -> None:
    handler = Held(is_open=False)
    worker = worker_with(handler, threads=1)
    worker.start()
    worker.wake("dial", "begun")
    assert handler.begun.wait(PATIENCE_SECONDS)
    worker.wake("dial", "waits")
    worker.begin_stop()
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    handler.may_go_on.set()
    stopping.join(PATIENCE_SECONDS)
    assert not stopping.is_alive()
    assert handler.keys == ["begun"]


def test_a_stop_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 0.3)
    handler = Held(is_open=False)
    worker = worker_with(handler, threads=2)
    worker.every(60, "fast", lambda: handler("sweep"))
    worker.start()
    worker.wake("dial", "hangs")
    eventually(lambda: len(handler.keys) == 2)
    asked_at = time.monotonic()
    worker.stop()
    assert 0.3 <= time.monotonic() - asked_at < 2
    handler.may_go_on.set()


def test_idle_threads_end_with_the_stop() -> None:
    worker = worker_with(Held(), threads=8)
    worker.every(60, "fast", lambda: None)
    before = set(threading.enumerate())
    worker.start()
    started = set(threading.enumerate()) - before
    assert len(started) == 9
    asked_at = time.monotonic()
    worker.stop()
    assert not any(thread.is_alive() for thread in started)
    assert time.monotonic() - asked_at < pool.STOP_SECONDS / 2


def test_a_worker_that_never_started_can_be_stopped() -> None:
    worker_with(Held()).stop()
