"""Wake-ups through a real Redis: shared by processes, forged by others, away and back."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from letstalk.worker import pool, redis_queue
from letstalk.worker.pool import Worker
from letstalk.worker.redis_queue import KEY, RedisQueue
from letstalk.worker.wakeups import Wakeup, write_message
from tests.support.services import needed, redis_binary
from tests.worker.parts import PATIENCE_SECONDS, Held, count, eventually, waits_of, worker_with
from tools.reliability.stores import running_redis

NOBODY = "redis://127.0.0.1:1/0"


class Stack(ExitStack):
    """Workers that are stopped in the end, and a client of the test's own."""

    def started(self, worker: Worker) -> Worker:
        worker.start()
        self.callback(worker.stop)
        return worker

    def client(self, url: str) -> redis.Redis:
        client: redis.Redis = self.enter_context(redis.Redis.from_url(url))
        return client


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as made:
        yield made


def test_a_process_without_a_worker_wakes_another(redis_url: str, stack: Stack) -> None:
    handler = Held()
    stack.started(worker_with(handler, shared=RedisQueue(redis_url)))
    other = worker_with(Held(), shared=RedisQueue(redis_url))
    stack.callback(other.stop)
    other.wake("dial", "a call")
    eventually(lambda: handler.keys == ["a call"])


def test_each_wake_up_goes_to_one_worker_and_a_busy_one_takes_none(redis_url: str, stack: Stack) -> None:
    busy, free = Held(is_open=False), Held()
    first = stack.started(worker_with(busy, threads=1, shared=RedisQueue(redis_url)))
    first.wake("dial", "0")
    assert busy.begun.wait(PATIENCE_SECONDS)
    stack.started(worker_with(free, threads=1, shared=RedisQueue(redis_url)))
    for number in range(1, 20):
        first.wake("dial", str(number))
    eventually(lambda: len(free.keys) == 19)
    busy.may_go_on.set()
    assert busy.keys == ["0"]
    assert sorted(free.keys, key=int) == [str(number) for number in range(1, 20)]


def test_the_most_urgent_goes_first_and_of_those_alike_one_waits(redis_url: str, stack: Stack) -> None:
    queue = RedisQueue(redis_url)
    stack.callback(queue.close)
    for topic, priority in (("mail", -1), ("dial", 0), ("event", 2), ("dial", 0), ("command", 1)):
        queue.push(Wakeup(topic), priority)
        time.sleep(0.001)
    taken = [queue.take() for _ in range(5)]
    assert taken == [*(write_message(Wakeup(topic)) for topic in ("event", "command", "dial", "mail")), None]


def test_of_too_many_the_least_urgent_are_dropped(
    redis_url: str, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_queue, "MAX_WAITING", 2)
    queue = RedisQueue(redis_url)
    stack.callback(queue.close)
    for topic, priority in (("mail", -1), ("dial", 0), ("event", 2)):
        queue.push(Wakeup(topic), priority)
    assert [queue.take() for _ in range(3)] == [write_message(Wakeup("event")), write_message(Wakeup("dial")), None]


def test_an_idle_worker_is_woken_at_once_and_uses_little_processor_time(redis_url: str, stack: Stack) -> None:
    handled_at: list[float] = []
    queue = RedisQueue(redis_url)
    worker = stack.started(worker_with(lambda _: handled_at.append(time.monotonic()), threads=8, shared=queue))
    # Far more than it takes, for a busy machine; a poll each second would make it half of one.
    assert waits_of(worker, handled_at)[50] < 0.1
    before = time.process_time()
    time.sleep(2)
    assert time.process_time() - before < 0.05


class Exploit:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_what_is_no_wake_up_of_ours_does_nothing_but_count(redis_url: str, stack: Stack, tmp_path: Path) -> None:
    ignored, handler, failures = count("wakeups_ignored"), Held(), count("task_failures")
    client = stack.client(redis_url)
    trap = tmp_path / "was-here"
    pickle.loads(pickle.dumps(Exploit(trap)))  # noqa: S301  # to see that the trap works
    trap.unlink()
    forged = [
        pickle.dumps(Exploit(trap)),
        b"not JSON",
        json.dumps({"topic": "dial", "key": "x"}).encode(),
        json.dumps(["dial", 1]).encode(),
        json.dumps([["dial"], "x"]).encode(),
        json.dumps(["unheard of", "x"]).encode(),
        json.dumps(["__class__", "x"]).encode(),
        b'["dial", "' + b"x" * 10_000_000 + b'"]',
    ]
    for message in forged:
        client.zadd(KEY, {message: 0})
    worker = stack.started(worker_with(handler, shared=RedisQueue(redis_url)))
    eventually(lambda: count("wakeups_ignored") == ignored + len(forged))
    worker.wake("dial", "a call")
    eventually(lambda: handler.keys == ["a call"])
    assert not trap.exists()
    assert count("task_failures") == failures


def test_a_key_of_another_type_is_as_if_redis_were_away(redis_url: str, stack: Stack) -> None:
    handler = Held()
    stack.client(redis_url).set(KEY, "in the way")
    worker = stack.started(worker_with(handler, shared=RedisQueue(redis_url)))
    worker.wake("dial", "a call")
    eventually(lambda: handler.keys == ["a call"])


def test_while_redis_is_away_each_process_handles_its_own(stack: Stack) -> None:
    away, handler = count("queue_away"), Held()
    worker = stack.started(worker_with(handler, shared=RedisQueue(NOBODY)))
    for number in range(20):
        worker.wake("dial", str(number))
    eventually(lambda: len(handler.keys) == 20)
    assert count("queue_away") > away
    with pytest.raises(redis.ConnectionError):
        worker.ping()


def test_a_process_that_does_no_background_work_loses_it_and_raises_nothing() -> None:
    handler = Held()
    worker = worker_with(handler, shared=RedisQueue(NOBODY))
    worker.wake("dial", "a call")
    worker.stop()
    assert handler.keys == []


def test_a_redis_that_was_killed_is_used_again_once_it_is_back(tmp_path: Path, stack: Stack) -> None:
    needed("Redis", redis_binary())
    program, port = stack.enter_context(running_redis(tmp_path))
    url = f"redis://127.0.0.1:{port}/0"
    here, elsewhere = Held(), Held()
    worker = stack.started(worker_with(here, shared=RedisQueue(url)))
    worker.wake("dial", "with it")
    eventually(lambda: here.keys == ["with it"])
    program.kill()
    for number in range(5):
        worker.wake("dial", f"without it {number}")
    eventually(lambda: len(here.keys) == 6)
    program.start()
    other = stack.started(worker_with(elsewhere, shared=RedisQueue(url)))
    # A worker whose threads are all busy, so that what it hands over is taken by the other.
    here.may_go_on.clear()
    worker.wake("dial", "busy 1")
    worker.wake("dial", "busy 2")
    eventually(lambda: "busy 1" in here.keys + elsewhere.keys and "busy 2" in here.keys + elsewhere.keys)

    def is_handed_over() -> bool:
        worker.wake("dial", "with it again")
        return "with it again" in elsewhere.keys

    eventually(is_handed_over)
    here.may_go_on.set()
    other.ping()


def test_a_redis_that_hangs_does_not_hang_the_caller(tmp_path: Path, stack: Stack) -> None:
    needed("Redis", redis_binary())
    program, port = stack.enter_context(running_redis(tmp_path))
    handler = Held()
    worker = stack.started(worker_with(handler, shared=RedisQueue(f"redis://127.0.0.1:{port}/0")))
    os.kill(program.pid, signal.SIGSTOP)
    asked_at = time.monotonic()
    worker.wake("dial", "first")
    assert time.monotonic() - asked_at < 10  # it does not wait for ever
    worker.wake("dial", "second")
    eventually(lambda: handler.keys == ["first", "second"])


def test_a_stop_comes_within_bounds_and_gives_back_what_it_took_meanwhile(redis_url: str, stack: Stack) -> None:
    handler = Held()
    worker = worker_with(handler, shared=RedisQueue(redis_url))
    worker.start()
    time.sleep(0.1)
    worker.begin_stop()
    client = stack.client(redis_url)
    client.zadd(KEY, {write_message(Wakeup("dial", "late")): 0})  # its blocking pop is still under way
    asked_at = time.monotonic()
    worker.stop()
    assert time.monotonic() - asked_at < pool.STOP_SECONDS / 2
    assert handler.keys == []
    assert client.zrange(KEY, 0, -1) == [write_message(Wakeup("dial", "late"))]


def test_a_full_redis_counts_as_away(redis_url: str, stack: Stack) -> None:
    client, handler = stack.client(redis_url), Held()
    worker = stack.started(worker_with(handler, shared=RedisQueue(redis_url)))
    client.config_set("maxmemory", "1")
    try:
        worker.wake("dial", "a call")
        eventually(lambda: handler.keys == ["a call"])
    finally:
        client.config_set("maxmemory", "0")
