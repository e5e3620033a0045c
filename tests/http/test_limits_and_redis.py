"""Request limits with Redis: the fast path and ordinary routes count together, and go on counting without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from tests.support.apps import PHONE, issue_token, make_app
from tests.support.commands import eventually
from tests.support.services import needed, redis_binary
from tools.reliability.stores import running_redis

FAST, ORDINARY = "application/json", "application/json; charset=utf-8"


def checking(app: Flask, token: str | None = None) -> Callable[[str], TestResponse]:
    """A function that checks a wrong code with one token, on the fast path or on the ordinary one."""
    headers = {"Authorization": f"Bearer {issue_token(app) if token is None else token}"}
    body = f'{{"phone": "{PHONE}", "code": "123456"}}'
    return lambda kind: app.test_client().post("/calls/verify", data=body, headers={**headers, "Content-Type": kind})


def statuses(check: Callable[[str], TestResponse], *kinds: str) -> list[int]:
    return [check(kind).status_code for kind in kinds]


@pytest.fixture(params=["in this process", "in Redis", "in this process while Redis is away"])
def redis_setting(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "in Redis":
        return {"REDIS_URL": request.getfixturevalue("redis_url")}
    return {} if request.param == "in this process" else {"REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize("limit", ["3 per minute", "3 per hour; 9 per minute"])
@pytest.mark.parametrize(
    ("setting", "token", "status"), [("RATE_LIMIT_TOKEN", None, 404), ("RATE_LIMIT_ADDRESS", "lt_guess", 401)]
)
def test_both_paths_count_in_the_same_windows(
    tmp_path: Path, redis_setting: dict[str, str], setting: str, token: str | None, status: int, limit: str
) -> None:
    check = checking(make_app(tmp_path, utc_now, **redis_setting, **{setting: limit}), token)
    responses = [check(kind) for kind in (FAST, ORDINARY, FAST, ORDINARY, FAST)]
    assert [response.status_code for response in responses] == [status, status, status, 429, 429]
    left = [response.headers["RateLimit"].partition(";t=")[0] for response in responses]
    assert left == [f'"default";r={count}' for count in (2, 1, 0, 0, 0)]
    assert len({response.headers["RateLimit-Policy"] for response in responses}) == 1
    assert all(0 < int(response.headers["Retry-After"]) <= 3600 for response in responses[3:])


def test_many_threads_are_admitted_no_more_often_than_the_limit(tmp_path: Path, redis_setting: dict[str, str]) -> None:
    check = checking(make_app(tmp_path, utc_now, **redis_setting, RATE_LIMIT_TOKEN="20 per hour"))
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda number: check((FAST, ORDINARY)[number % 2]).status_code, range(60)))
    assert set(seen) == {404, 429}
    assert 15 <= seen.count(404) <= 20


def test_a_redis_that_drops_its_connections_and_scripts_goes_on_counting(tmp_path: Path, redis_url: str) -> None:
    check = checking(make_app(tmp_path, REDIS_URL=redis_url, RATE_LIMIT_TOKEN="4 per hour"))
    assert statuses(check, FAST, ORDINARY) == [404, 404]
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
        client.client_kill_filter(_type="normal", skipme=True)
    assert statuses(check, FAST, ORDINARY, FAST) == [404, 404, 429]


def counted_in(redis_url: str) -> int:
    """How many requests Redis has counted."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        return sum(int(client.get(key) or 0) for key in client.keys("*letstalk*token*"))


@pytest.fixture
def stoppable_redis(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The process id and the URL of a Redis of its own."""
    needed("Redis", redis_binary())
    with running_redis(tmp_path) as (program, port):
        yield program.pid, f"redis://127.0.0.1:{port}/0"


def test_while_redis_hangs_requests_are_answered_and_counted_here_and_afterwards_in_redis_again(
    tmp_path: Path, stoppable_redis: tuple[int, str]
) -> None:
    process_id, url = stoppable_redis
    check = checking(make_app(tmp_path, REDIS_URL=url, RATE_LIMIT_TOKEN="6 per hour"))
    assert statuses(check, FAST, ORDINARY) == [404, 404]
    os.kill(process_id, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda number: check((FAST, ORDINARY)[number % 2]).status_code, range(16)))
    finally:
        os.kill(process_id, signal.SIGCONT)
    assert set(seen) == {404, 429}
    assert 3 <= seen.count(404) <= 6
    counted = counted_in(url)

    def is_counted_again() -> bool:
        check(FAST)
        return counted_in(url) > counted

    eventually(is_counted_again, "Redis was not asked again")
