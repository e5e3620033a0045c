"""`flask worker`: it does what a server's background threads do, and leaves in good order."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from letstalk.calls.repository import calls
from letstalk.db.database import Database
from tests.support.apps import ROOT, Api, issue_token, make_app
from tests.support.commands import Installation, eventually, invoke, only_line
from tests.support.ports import free_port
from tests.support.stopwatches import Within

PHONES = [f"+2567001234{number:02}" for number in range(6)]


@contextmanager
def worker_of(installation: Installation) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "worker"],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_address_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = make_app(tmp_path, WORKER_METRICS=f"127.0.0.1:{taken.getsockname()[1]}")
        result = invoke(app, "worker")
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr) == "Error: WORKER_METRICS requires an address that is free: Address already in use"


def statuses(installation: Installation) -> list[str]:
    with closing(Database(installation.environment["DATABASE_URL"])) as db, db.read() as connection:
        return list(connection.execute(select(calls.c.status)).scalars())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda stop: stop.name)
def test_it_places_the_calls_that_wait_and_stops_when_told(
    tmp_path: Path, stop: signal.Signals, within: Within
) -> None:
    port = free_port()
    installation = Installation(tmp_path, {"WORKER_METRICS": f"127.0.0.1:{port}"})
    # A server that only accepts: nothing runs in its background.
    app = make_app(tmp_path, ENCRYPTION_KEYS=installation.key)
    api = Api(app.test_client(), issue_token(app))
    for phone in PHONES:
        assert api.post("/calls/otp", {"phone": phone}).status_code == 202
    assert statuses(installation) == ["queued"] * len(PHONES)

    with worker_of(installation) as worker:
        eventually(lambda: statuses(installation) == ["completed"] * len(PHONES), "the calls were not placed")
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert f'letstalk_calls_ended_total{{status="completed"}} {len(PHONES)}.0' in page
        assert "letstalk_database_up 1.0" in page
        assert httpx.get(f"http://127.0.0.1:{port}/calls").status_code == 404
        with within(10):
            worker.send_signal(stop)
            output, log = worker.communicate(timeout=60)
    assert (worker.returncode, output) == (0, "")

    lines = [line for line in log.splitlines() if line.startswith("{")]
    ended = [entry for entry in map(json.loads, lines) if entry["event"] == "call_ended"]
    assert len(ended) == len(PHONES)
    assert all(entry["call_id"] and entry["verification_id"] for entry in ended)
    assert "Traceback" not in log
    assert not any(phone in log for phone in PHONES)
