"""The storage in which a process counts requests where there is no Redis."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from letstalk.http.rate_limits import FEWEST_TO_SWEEP, ProcessStorage, make_limiter

LONG_SECONDS = 3600


@pytest.fixture
def storage() -> ProcessStorage:
    return ProcessStorage()


def test_an_application_without_redis_counts_without_a_thread_of_its_own() -> None:
    before = set(threading.enumerate())
    limiter = make_limiter(Flask(__name__), None)
    assert limiter.storage.incr("window", LONG_SECONDS) == 1
    assert set(threading.enumerate()) == before


def test_a_window_counts_until_it_ends_and_another_counts_for_itself(storage: ProcessStorage) -> None:
    assert [storage.incr("one", LONG_SECONDS), storage.incr("one", LONG_SECONDS, 2)] == [1, 3]
    ends_at = storage.get_expiry("one")
    assert storage.incr("one", 2 * LONG_SECONDS) == 4
    assert storage.get_expiry("one") == ends_at  # a later request does not move the end
    assert storage.get("other") == 0
    assert [storage.incr("ended", 0), storage.incr("ended", 0)] == [1, 1]
    assert storage.get("ended") == 0
    storage.clear("one")
    assert storage.get("one") == 0


def test_parallel_requests_are_all_counted(storage: ProcessStorage) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: storage.incr("window", LONG_SECONDS), range(4000)))
    assert sorted(counts) == list(range(1, 4001))


def test_windows_that_have_ended_do_not_pile_up_and_live_ones_are_kept(storage: ProcessStorage) -> None:
    storage.incr("alive", LONG_SECONDS)
    for number in range(10 * FEWEST_TO_SWEEP):
        storage.incr(f"ended {number}", 0)
    assert storage.get("alive") == 1
    assert storage.reset() <= FEWEST_TO_SWEEP
    assert storage.get("alive") == 0
