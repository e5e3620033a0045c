"""The probes: alive touches nothing, ready says what is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from letstalk.db import migrations
from letstalk.worker import heartbeat as workers
from tests.support.apps import TurnableClock, make_app, working


def ready(app: Flask) -> TestResponse:
    return app.test_client().get("/health/ready")


def wait_until_ready(app: Flask) -> TestResponse:
    deadline = time.monotonic() + 20
    while (answer := ready(app)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer


def assert_not_ready(app: Flask, reason: str) -> None:
    answer = ready(app)
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (503, "not_ready")
    assert body["error"].startswith(reason)
    assert len(body["error"]) > len(reason), "it says what to do"
    assert str(body["retry_after"]) == answer.headers["Retry-After"]
    assert set(body) == {"error", "code", "request_id", "retry_after"}


def test_alive_is_alive_whatever_else_is_not(tmp_path: Path) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    app.extensions["letstalk_db"].close()
    (tmp_path / "letstalk.db").unlink()
    answer = app.test_client().get("/health")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_a_marker_is_proven_by_this_installation_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours, again, other = make_app(tmp_path / "a"), make_app(tmp_path / "a"), make_app(tmp_path / "b")
    path = "/health?marker=0123456789abcdef&probe=kubernetes"
    proofs = [app.test_client().get(path).get_json()["proof"] for app in (ours, again, other)]
    assert proofs[0] == proofs[1] != proofs[2]
    for wrong in ("short", "x" * 65, "0123456789abcde\n", "%F0%9F%98%80" * 16):
        assert ours.test_client().get("/health", query_string={"marker": wrong}).status_code == 400


def test_ready_when_everything_is_well(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with working(app):
        answer = wait_until_ready(app)
    checks = dict.fromkeys(("database", "migrations", "worker", "queue"), "ok")
    assert answer.get_json() == {"status": "ready", "checks": checks}


def test_not_ready_without_a_worker(tmp_path: Path) -> None:
    assert_not_ready(make_app(tmp_path), "No worker has been seen for 15 s.")


def test_not_ready_when_the_worker_has_not_been_seen_for_a_while(tmp_path: Path) -> None:
    clock = TurnableClock()
    app = make_app(tmp_path, clock)
    with working(app):
        wait_until_ready(app)
    clock.move(16)
    assert_not_ready(app, "No worker has been seen for 15 s.")


def test_not_ready_when_the_database_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    app = make_app(tmp_path, DATABASE_URL=f"sqlite:///{folder}/letstalk.db")
    app.extensions["letstalk_db"].close()
    folder.rename(tmp_path / "away")
    assert_not_ready(app, "The database can't be reached.")


@pytest.mark.parametrize(
    ("statement", "found"),
    [("DELETE FROM alembic_version", "no migration"), ("UPDATE alembic_version SET version_num = '0001'", "0001")],
)
def test_not_ready_when_migrations_are_missing(statement: str, found: str, tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with app.extensions["letstalk_db"].write() as connection:
        connection.execute(text(statement))
    assert_not_ready(app, f"The database is at {found}, and needs {migrations.HEAD}. Run `flask db upgrade`.")


def test_not_ready_when_redis_is_away(tmp_path: Path) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    with app.extensions["letstalk_db"].write() as connection:
        workers.beat(connection, "a worker elsewhere", utc_now())
    assert_not_ready(app, "The task queue can't be reached.")


def test_a_probe_needs_no_credentials_and_takes_none(tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Host": "10.1.2.3:5000"}, {"Accept": "text/html"}):
        answer = client.get("/health", headers=headers, environ_overrides={"REMOTE_ADDR": "203.0.113.7"})
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
