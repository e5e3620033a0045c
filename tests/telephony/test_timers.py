from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from letstalk.telephony.simulator.timers import Timers
from tests.telephony.lines import wait_until


def test_actions_run_in_the_order_of_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, done = Timers("test-timers"), []
    # The clock does not move until all three are scheduled, so that a pause between two of them changes no order.
    now = [0.0]
    monkeypatch.setattr("letstalk.telephony.simulator.timers.time", SimpleNamespace(monotonic=lambda: now[0]))
    for seconds, name in [(0.2, "third"), (0.05, "first"), (0.1, "second")]:
        timers.after(seconds, lambda name=name: done.append(name))  # type: ignore[misc]  # a bound default
    now[0] = 1.0
    assert wait_until(lambda: len(done) == 3)
    timers.stop()

    assert done == ["first", "second", "third"]


def test_actions_of_one_moment_keep_their_order() -> None:
    timers, done = Timers("test-timers"), []
    for number in range(100):
        timers.after(0, lambda number=number: done.append(number))  # type: ignore[misc]
    assert wait_until(lambda: len(done) == 100)
    timers.stop()

    assert done == list(range(100))


def test_an_action_that_fails_is_tried_five_times_and_stops_no_other() -> None:
    timers, tries, others = Timers("test-timers", first_retry_seconds=0.002), [], []

    def fail() -> None:
        tries.append(time.monotonic())
        raise OSError("not now")

    timers.after(0, fail)
    timers.after(0.01, lambda: others.append(1))
    assert wait_until(lambda: len(tries) == 5)
    time.sleep(0.2)
    timers.stop()

    assert (len(tries), others) == (5, [1])


def test_after_the_stop_nothing_runs() -> None:
    timers, done = Timers("test-timers"), []
    begun, may_end = threading.Event(), threading.Event()

    def keep_the_next_waiting() -> None:
        begun.set()
        may_end.wait(30)

    timers.after(0, keep_the_next_waiting)
    assert begun.wait(30)
    timers.after(0, lambda: done.append(1))
    stopping = threading.Thread(target=timers.stop)
    stopping.start()
    assert wait_until(lambda: len(timers) == 0), "what waits is dropped"
    may_end.set()
    stopping.join()
    timers.after(0, lambda: done.append(2))
    time.sleep(0.1)

    assert done == []
    assert not any(thread.name == "test-timers" for thread in threading.enumerate())


def test_an_action_may_stop_its_own_timers() -> None:
    # Nobody waits for the end of its thread, which another test must not meet.
    timers, stopped = Timers("test-timers-to-the-end"), threading.Event()

    def stop() -> None:
        timers.stop()
        stopped.set()

    timers.after(0, stop)
    assert stopped.wait(30)


def test_what_is_to_be_done_at_once_is_done_by_the_timers_thread_and_tried_again() -> None:
    timers, ran_by, after_it = Timers("test-timers", first_retry_seconds=0.002), [], []

    def fail_once() -> None:
        ran_by.append(threading.current_thread().name)
        if len(ran_by) == 1:
            raise OSError("not now")

    def within() -> None:
        timers.at_once(fail_once)
        after_it.append(len(ran_by))

    timers.after(0, within)
    assert wait_until(lambda: len(ran_by) == 2)
    timers.at_once(fail_once)
    assert wait_until(lambda: len(ran_by) == 3)
    timers.stop()

    assert after_it == [1]
    assert set(ran_by) == {"test-timers"}


def test_what_is_no_longer_wanted_is_not_done_and_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, done, is_wanted = Timers("test-timers"), [], True
    taken: list[object] = []
    take_next = timers._next

    def take() -> object:
        taken.append(None)
        return take_next()

    monkeypatch.setattr(timers, "_next", take)
    timers.after(0.3, lambda: done.append("unwanted"), lambda: is_wanted)
    timers.after(0.31, lambda: done.append("wanted"), lambda: True)

    def end() -> None:
        nonlocal is_wanted
        is_wanted = False
        done.append("end")

    timers.after(0, end)
    assert wait_until(lambda: len(done) == 2)
    timers.stop()

    assert done == ["end", "wanted"]
    assert len(taken) == 3  # twice for what was done, once to wait for more
