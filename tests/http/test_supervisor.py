"""WEB_PROCESSES: several processes behind one port, which come back when they die, and leave together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.apps import ServerProcess
from tests.support.stopwatches import Within
from tools.reliability.programs import count_error_lines

PROCESSES = 2
REQUESTS = 6
HELD_SECONDS = 2.0
PATIENCE_SECONDS = 30.0


@pytest.fixture
def server(tmp_path: Path, postgresql_url: str, redis_url: str) -> Iterator[ServerProcess]:
    settings = {
        "DATABASE_URL": postgresql_url,
        "REDIS_URL": redis_url,
        "WEB_PROCESSES": str(PROCESSES),
        "WEB_THREADS": str(REQUESTS),  # enough, should one process accept them all
    }
    with ServerProcess(tmp_path, **settings) as running:
        yield running


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def wait_for_children(pid: int, without: int = 0) -> set[int]:
    """The supervisor's processes, once there are as many as there should be and `without` is none of them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(children := children_of(pid)) != PROCESSES or without in children:
        assert time.monotonic() < deadline, children
        time.sleep(0.05)
    return children


def waiting_for_a_lock(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    assert row is not None
    return int(row[0])


def test_on_sigterm_the_requests_of_all_processes_are_answered_and_counted_and_nobody_is_left(
    server: ServerProcess, postgresql_url: str, within: Within
) -> None:
    supervisor = server.pid
    children = wait_for_children(supervisor)
    victim = min(children)
    token = server.issue_token()
    os.kill(victim, signal.SIGKILL)
    children = wait_for_children(supervisor, without=victim)

    def send(number: int) -> int:
        # Each with a connection of its own, so that the processes share them.
        with server.client(token) as http:
            return http.post("/calls/otp", json={"phone": f"+25670099100{number}"}).status_code

    with psycopg.connect(postgresql_url) as holding, psycopg.connect(postgresql_url, autocommit=True) as looking:
        holding.execute("LOCK TABLE verifications IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(REQUESTS + 1) as pool:
            answers = [pool.submit(send, number) for number in range(REQUESTS)]
            deadline = time.monotonic() + PATIENCE_SECONDS
            while waiting_for_a_lock(looking) < REQUESTS:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with within(10):
                stopping = pool.submit(server.stop)
                time.sleep(HELD_SECONDS)
                assert not any(answer.done() for answer in answers)
                holding.rollback()
                assert [answer.result() for answer in answers] == [202] * REQUESTS
                stopping.result()

        assert not any(Path(f"/proc/{pid}").exists() for pid in (supervisor, *children))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.base}/health")
        counted = looking.execute("SELECT sum(requests_total) FROM tokens").fetchone()
        accepted = looking.execute("SELECT count(*) FROM verifications").fetchone()
    assert (counted, accepted) == ((REQUESTS,), (REQUESTS,))
    # Of all that happened, the kill alone was an error.
    assert count_error_lines(server.log()) == server.log().count("server_process_died") == 1
