"""What the log says of a request, of a start and a stop, and of a database that is away."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from letstalk.core.clock import utc_now
from letstalk.observability.logs import configure_logs, log_stream
from tests.support.apps import PASSWORD, PHONE, ROOT, Api, issue_token, make_app, services_of, working
from tests.support.commands import Installation, eventually
from tests.support.fixtures.logs import LogOutput

STRANGER = "203.0.113.7"


def watch(monkeypatch: pytest.MonkeyPatch) -> LogOutput:
    """What is logged from here on, as in production. For after the application, which configures the logs too."""
    configure_logs(as_json=True)
    output = LogOutput()
    monkeypatch.setattr(log_stream, "stream", output)
    return output


def entries(output: LogOutput, event: str = "request") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_the_line_of_a_request_says_which_token_for_whom_and_from_where(
    fast_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, FAST_PATH=fast_path, TRUSTED_PROXIES="1")
    token = issue_token(app, owner_id="acme")
    output = watch(monkeypatch)
    api = Api(app.test_client(), token)
    api.post("/calls/otp", {"phone": PHONE}, X_Forwarded_For=STRANGER)
    api.post("/calls/verify", {"phone": PHONE, "code": "000000"}, X_Forwarded_For=STRANGER)
    api.post("/calls/verify", {"phone": PHONE, "code": []}, X_Forwarded_For=STRANGER)
    api.get("/calls")
    api.get("/api/tokens")  # without the scope
    lines = entries(output)
    assert [line["status"] for line in lines] == [202, 400, 400, 200, 403]
    assert [line["address"] for line in lines] == [STRANGER] * 3 + ["127.0.0.1"] * 2
    prefix = token[: token.rindex("_")]
    assert {(line["token_prefix"], line["user_id"]) for line in lines} == {(prefix, "acme")}
    assert token not in output.getvalue()
    assert PHONE not in output.getvalue()


def test_the_line_of_a_stranger_s_request_says_only_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(tmp_path)
    token = issue_token(app)
    output = watch(monkeypatch)
    wrong = Api(app.test_client(), f"{token}x")
    wrong.get("/calls")
    wrong.post("/calls/verify", {"phone": PHONE, "code": "000000"})
    app.test_client().get("/calls", environ_overrides={"REMOTE_ADDR": STRANGER})
    assert [line["address"] for line in entries(output)] == ["127.0.0.1", "127.0.0.1", STRANGER]
    assert not any({"token_prefix", "user_id", "account_id"} & line.keys() for line in entries(output))


def test_the_line_of_a_person_s_request_names_the_account_and_a_phone_as_owner_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    client = app.test_client()
    csrf = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/sign-in").text)[0]
    client.post("/sign-in", data={"csrf_token": csrf, "password": PASSWORD})
    owned = issue_token(app, owner_id=PHONE)
    output = watch(monkeypatch)
    assert client.get("/api/tokens/dashboard").status_code == 200
    Api(client, owned).get("/calls")
    page, call = entries(output)
    assert page["user_id"] == "default_user"
    assert call["user_id"] == "+2567…56"
    assert PHONE not in output.getvalue()


def test_a_worker_s_first_and_last_lines_are_json_too(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "flask", "worker"]
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(program, cwd=ROOT, env=Installation(tmp_path).environment, stdout=file, stderr=file)
        try:
            eventually(lambda: b"worker_started" in log.read_bytes(), "the worker did not start")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            process.wait()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert (events[0], events[-1]) == ("worker_started", "worker_stopped")


def hide_database(app: Flask, folder: Path) -> None:
    app.extensions["letstalk_db"].close()
    folder.rename(folder.with_name("hidden"))


def test_while_the_database_is_away_each_failure_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    app = make_app(tmp_path, utc_now, DATABASE_URL=f"sqlite:///{folder}/letstalk.db")
    api = Api(app.test_client(), issue_token(app))
    output = watch(monkeypatch)
    with working(app):
        assert api.post("/calls/otp", {"phone": PHONE}).status_code == 202  # the simulator goes on meanwhile
        hide_database(app, folder)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            assert api.get("/calls").status_code == 503
            time.sleep(0.1)
    assert "Traceback" not in output.getvalue()
    failures = [line for event in ("sweep_failed", "database_away") for line in entries(output, event)]
    assert {line["event"] for line in failures} == {"sweep_failed", "database_away"}
    assert {line["error"] for line in failures} == {"OperationalError"}
    assert any("unable to open database file" in line["reason"] for line in failures)
    assert all(len(line) < 600 for line in output.getvalue().splitlines())


def test_where_no_file_is_left_each_failure_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(tmp_path)
    output = watch(monkeypatch)

    def fail() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setitem(app.extensions, "letstalk_openapi", fail)
    assert app.test_client().get("/openapi.json").status_code == 500
    (line,) = entries(output, "unexpected_error")
    assert (line["error"], "Too many open files" in line["reason"]) == ("OSError", True)
    assert "Traceback" not in output.getvalue()


def test_a_fault_of_ours_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(tmp_path)
    output = watch(monkeypatch)

    def fail() -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(services_of(app).sweeps, "sweep", fail)
    worker = app.extensions["letstalk_background_work"]._worker
    worker.every(0.01, "broken", fail)
    with working(app):
        eventually(lambda: entries(output, "sweep_failed"), "no sweep failed")
    assert "Traceback" in entries(output, "sweep_failed")[0]["exception"]
