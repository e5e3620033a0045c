"""Two servers and a worker on one PostgreSQL and one Redis, which together are one service."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from letstalk.core.secret_files import make_encryption_key
from tests.flows.installations import NO_PHONE_LIMITS, Owner
from tests.support.apps import ROOT, ServerProcess, heard_code
from tests.support.fake_telnyx import StandaloneTelnyx

CHANNELS = 3


@dataclass
class Pair:
    """`owner(n, token)` is a client that holds `token` and talks to server number n."""

    servers: list[ServerProcess]
    telnyx: StandaloneTelnyx
    stack: ExitStack

    def owner(self, number: int, token: str) -> Owner:
        return Owner(self.stack.enter_context(self.servers[number].client(token)), token)


@pytest.fixture
def pair(tmp_path: Path, migrated_postgresql_url: str, redis_url: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        telnyx = stack.enter_context(StandaloneTelnyx(speed=8))
        shared = {
            "DATABASE_URL": migrated_postgresql_url,
            "REDIS_URL": redis_url,
            "ENCRYPTION_KEYS": make_encryption_key(),
            "MAX_CONCURRENT_CALLS": str(CHANNELS),
            "RATE_LIMIT_TOKEN": "100000 per minute",
            **NO_PHONE_LIMITS,
            **telnyx.environment,
        }
        servers = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            server = ServerProcess(folder, **shared)
            server.environment["PUBLIC_URL"] = server.base
            stack.callback(server.stop)
            servers.append(server)
        with ThreadPoolExecutor(2) as pool:  # both migrate the empty database at once
            list(pool.map(lambda server: server.start(), servers))
        yield Pair(servers, telnyx, stack)
        assert telnyx.state()["violations"] == []


@contextmanager
def worker_of(server: ServerProcess) -> Iterator[subprocess.Popen[bytes]]:
    """`flask worker`, with the settings of `server`."""
    with server.log_path.with_name("worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "worker"], cwd=ROOT, env=server.environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_two_servers_and_a_worker_share_calls_channels_keys_limits_and_revocations(pair: Pair) -> None:
    admin = pair.owner(0, pair.servers[0].issue_token("admin", owner_id="admin"))
    created = admin.post("/api/tokens", {"user_id": "acme"}).json()
    acme = [pair.owner(number, created["token"]) for number in (0, 1)]

    with worker_of(pair.servers[1]) as worker:
        _check_one_idempotent_send(pair, acme)
        _check_channels(pair, acme, worker)
    _check_token_limit(pair, admin)

    assert acme[1].get("/calls").status_code == 200
    assert admin.http.delete(f"/api/tokens/{created['token_id']}").status_code == 200
    _check_refused_after_a_second(acme[1])


def _check_refused_after_a_second(revoked: Owner) -> None:
    """What is asked a second or more after a revocation is refused, though not by the server that was told of it."""
    revoked_at = time.monotonic()
    while True:
        asked_at = time.monotonic()
        status = revoked.get("/calls").status_code
        if status == 401:
            return
        assert (status, asked_at - revoked_at < 1.0) == (200, True), "the revoked token lives on"
        time.sleep(0.02)


def _check_one_idempotent_send(pair: Pair, acme: list[Owner]) -> None:
    def send(number: int) -> httpx.Response:
        return acme[number % 2].post("/calls/otp", {"phone": "+256700700100"}, Idempotency_Key="both servers")

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(send, range(12)))
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({(answer["verification_id"], answer["call_id"]) for answer in accepted}) == 1
    acme[1].ended_call(accepted[0]["verification_id"])
    assert sum(call["to"] == "+256700700100" for call in pair.telnyx.state()["calls"]) == 1


def _check_channels(pair: Pair, acme: list[Owner], worker: subprocess.Popen[bytes]) -> None:
    """Calls asked for at both servers are placed once each, never too many at a time, though the worker dies."""
    phones = [f"+256700701{number:03}" for number in range(14)]

    def send(number: int) -> str:
        return acme[number % 2].send(phones[number])

    pair.telnyx.configure(speed=2)
    with ThreadPoolExecutor(14) as pool:
        verifications = list(pool.map(send, range(14)))
    # Slowly, until all channels are in use: on a busy machine quick calls could be over before the next is placed.
    pair.telnyx.wait_until(lambda state: state["max_live"] == CHANNELS)
    pair.telnyx.configure(speed=8)
    pair.telnyx.wait_until(lambda state: len(state["calls"]) >= 5)
    worker.kill()
    for number, verification_id in enumerate(verifications):
        # What one server accepted, the other one shows.
        assert acme[(number + 1) % 2].ended_call(verification_id, seconds=60)["status"] == "completed"
    state = pair.telnyx.wait_until(lambda state: state["live"] == 0)
    calls = [call for call in state["calls"] if call["to"] in phones]
    assert Counter(call["to"] for call in calls) == Counter(phones)
    assert state["max_live"] == CHANNELS
    for call in calls:
        (payload,) = call["heard"]
        answers = [acme[number].verify(call["to"], heard_code(payload)) for number in (0, 1)]
        assert [answer.status_code for answer in answers] == [200, 410]


def _check_token_limit(pair: Pair, admin: Owner) -> None:
    token = admin.post("/api/tokens", {"user_id": "bounded", "rate_limit": "10 per hour"}).json()["token"]
    bounded = [pair.owner(number, token) for number in (0, 1)]
    statuses = Counter(bounded[number % 2].get("/calls").status_code for number in range(16))
    assert statuses == {200: 10, 429: 6}
