"""Where the limiter counts: in this process, and in a real Redis."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import redis

from letstalk.http.limit_windows import Hit, SharedWindows, Windows
from tests.support.services import needed, redis_binary
from tools.reliability.stores import running_redis


def shared(redis_url: str) -> SharedWindows:
    return SharedWindows(f"letstalk+{redis_url}", socket_timeout=0.5)


def hit(key: str, amount: int) -> Hit:
    return Hit(key, 60, amount)


@pytest.fixture(params=["in this process", "in Redis"])
def windows(request: pytest.FixtureRequest) -> Windows | SharedWindows:
    return Windows() if request.param == "in this process" else shared(request.getfixturevalue("redis_url"))


def test_a_request_is_counted_in_all_its_windows_at_once(windows: Windows | SharedWindows) -> None:
    assert windows.count([hit("address", 9), hit("token", 9)]) == [1, 1]
    assert windows.count([hit("token", 9)]) == [2]
    assert windows.count([hit("address", 9), hit("token", 9)]) == [2, 3]


def test_what_follows_a_window_that_has_too_many_is_not_counted(windows: Windows | SharedWindows) -> None:
    both = [hit("address", 1), hit("token", 9)]
    assert [windows.count(both) for _ in range(3)] == [[1, 1], [2], [3]]
    assert windows.count([hit("token", 9)]) == [2]


def test_a_window_ends_when_it_began_and_its_length_not_when_it_was_asked_for_last(
    windows: Windows | SharedWindows,
) -> None:
    windows.count([Hit("key", 60, 9)])
    ends_at = windows.get_expiry("key")
    windows.count([Hit("key", 3_600, 9)])
    assert windows.get_expiry("key") == pytest.approx(ends_at, abs=2)


def test_many_threads_lose_no_count(windows: Windows | SharedWindows) -> None:
    threads = [
        threading.Thread(target=lambda: [windows.count([hit("a", 9_999), hit("b", 9_999)]) for _ in range(100)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert windows.count([hit("a", 9_999), hit("b", 9_999)]) == [801, 801]


def test_a_redis_that_forgot_the_script_or_dropped_the_connection_is_asked_again(redis_url: str) -> None:
    windows = shared(redis_url)
    assert windows.count([hit("a", 9)]) == [1]
    client = redis.Redis.from_url(redis_url)
    client.script_flush()
    assert windows.count([hit("a", 9)]) == [2]
    client.client_kill_filter(_type="normal", skipme=True)
    assert windows.count([hit("a", 9)]) == [3]
    client.close()


def test_an_answer_that_came_too_late_is_taken_for_no_other(tmp_path: Path) -> None:
    needed("Redis", redis_binary())
    with running_redis(tmp_path) as (program, port):
        windows = shared(f"redis://127.0.0.1:{port}/0")
        assert windows.count([hit("a", 9), hit("b", 9)]) == [1, 1]
        os.kill(program.pid, signal.SIGSTOP)
        with pytest.raises(redis.exceptions.TimeoutError):
            windows.count([hit("a", 9), hit("b", 9)])
        os.kill(program.pid, signal.SIGCONT)
        assert windows.count([hit("b", 9)])[0] in (2, 3)
        assert windows.count([hit("c", 9)]) == [1]
