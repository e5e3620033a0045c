"""A server on SQLite that is killed under load: what it has answered, and logged, is so."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.flows.installations import NO_PHONE_LIMITS
from tests.support.apps import ServerProcess, code_of

CLIENTS = 12
KILLS = 3


@dataclass
class Told:
    """The ids of the verifications that the server said it had started, and of those that it said were approved."""

    started: set[str] = field(default_factory=set)
    approved: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)


def use(server: ServerProcess, folder: Path, token: str, client: int, round_number: int, told: Told) -> None:
    """Send and check, one phone after the other, until the server is gone."""
    key = server.environment["ENCRYPTION_KEYS"]
    with server.client(token) as http:
        for number in range(10_000):
            phone = f"+2567{round_number}{client:02}{number:05}"
            try:
                answer = http.post("/calls/otp", json={"phone": phone, "expires_in": 600})
                if answer.status_code != 202:
                    told.refusals.append(answer.text)
                    return
                verification_id = answer.json()["verification_id"]
                told.started.add(verification_id)
                code = code_of(folder, key, verification_id)
                answer = http.post("/calls/verify", json={"verification_id": verification_id, "code": code})
                if answer.status_code != 200:
                    told.refusals.append(answer.text)
                    return
                told.approved.add(verification_id)
            except httpx.TransportError:
                return


def test_what_was_answered_and_logged_before_a_kill_is_so_afterwards(tmp_path: Path) -> None:
    told = Told()
    settings = {"SIMULATOR_SPEED": "1000", "MAX_CONCURRENT_CALLS": "50", **NO_PHONE_LIMITS}
    with ServerProcess(tmp_path, **settings) as server, ThreadPoolExecutor(CLIENTS) as pool:
        token = server.issue_token()
        for round_number in range(KILLS):
            before = len(told.approved)
            clients = [
                pool.submit(use, server, tmp_path, token, client, round_number, told) for client in range(CLIENTS)
            ]
            while len(told.approved) < before + 5 * CLIENTS and not told.refusals:
                time.sleep(0.01)
            server.kill()
            for client in clients:
                client.result()
            assert not told.refusals
            server.start()
        logged = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        started = {line["verification_id"] for line in logged if line["event"] == "verification_started"}
        ended = {line["verification_id"] for line in logged if line.get("ended_as") == "approved"}
        assert ended
        with server.client(token) as http:
            for verification_id in told.started | started:
                assert http.get(f"/calls/{verification_id}").status_code == 200
            for verification_id in told.approved | ended:
                assert http.get(f"/calls/{verification_id}").json()["status"] == "approved"
                again = http.post("/calls/verify", json={"verification_id": verification_id, "code": "000000"})
                assert (again.status_code, again.json()["code"]) == (410, "code_used")
    assert len(told.approved) >= 5 * CLIENTS * KILLS
    assert not [line for line in logged if line["level"] == "error"]
