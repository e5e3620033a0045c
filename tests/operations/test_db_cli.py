"""`flask db …`: copies that can be put back, and the shape of the database."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from letstalk.db import migrations
from letstalk.db.database import Database
from tests.support.apps import make_app
from tests.support.commands import Installation, invoke, only_line

PHONE = "+256700123456"


def test_a_journey_that_began_before_the_copy_ends_after_the_restore(tmp_path: Path) -> None:
    installation, copy = Installation(tmp_path), tmp_path / "copy.db"
    server = installation.server
    with server:
        with server.client(server.issue_token()) as client:
            verification_id = client.post("/calls/otp", json={"phone": PHONE}).json()["verification_id"]
            backup = installation.flask("db", "backup", str(copy))
            assert (backup.returncode, backup.stdout) == (0, f"Wrote {copy}.\n"), backup.stderr
            assert stat.S_IMODE(copy.stat().st_mode) == 0o600
            code = installation.code_of(verification_id)
            answer = {"verification_id": verification_id, "code": code}
            assert client.post("/calls/verify", json=answer).status_code == 200
            token = client.headers["Authorization"].removeprefix("Bearer ")
        server.stop()
        restored = installation.flask("db", "restore", "--yes", str(copy))
        assert (restored.returncode, restored.stdout) == (0, f"Restored {copy}.\n"), restored.stderr
        server.start()
        with server.client(token) as client:
            statuses = [client.post("/calls/verify", json=answer).status_code for _ in range(2)]
            assert statuses == [200, 410]
            assert client.post("/calls/otp", json={"phone": "+256700123457"}).status_code == 202


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def test_restore_asks_first_and_takes_no_for_an_answer(tmp_path: Path, app: Flask) -> None:
    copy = str(tmp_path / "copy.db")
    assert invoke(app, "db", "backup", copy).exit_code == 0
    invoke(app, "tokens", "create")
    result = invoke(app, "db", "restore", copy, typed="n\n")
    assert result.exit_code == 1
    assert "Has every server and worker been stopped?" in result.stdout
    assert len(invoke(app, "tokens", "list").stdout.splitlines()) == 2
    assert invoke(app, "db", "restore", copy, typed="y\n").exit_code == 0
    assert len(invoke(app, "tokens", "list").stdout.splitlines()) == 1


def test_what_cannot_be_done_is_one_line_on_standard_error(tmp_path: Path, app: Flask) -> None:
    (tmp_path / "there").write_text("mine")
    for words in (["backup", str(tmp_path / "there")], ["restore", "--yes", str(tmp_path / "there")]):
        result = invoke(app, "db", *words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(tmp_path / "there") in only_line(result.stderr)
    assert (tmp_path / "there").read_text() == "mine"


def test_a_copy_whose_keys_are_not_here_is_restored_and_said_to_be_useless_without(tmp_path: Path, app: Flask) -> None:
    copy = tmp_path / "copy.db"
    invoke(app, "tokens", "create")
    assert invoke(app, "db", "backup", str(copy)).exit_code == 0
    elsewhere = make_app(tmp_path / "elsewhere", ENCRYPTION_KEYS=Fernet.generate_key().decode())
    result = invoke(elsewhere, "db", "restore", "--yes", str(copy))
    assert result.exit_code == 1
    assert result.stdout == f"Restored {copy}.\n"
    assert "ENCRYPTION_KEYS no longer holds the key" in only_line(result.stderr)


def test_upgrade_applies_what_is_missing_and_current_says_where_it_is(app: Flask) -> None:
    db: Database = app.extensions["letstalk_db"]
    migrations.downgrade(db, "0001")
    assert invoke(app, "db", "current").stdout == f"database: 0001, expected: {migrations.HEAD}\n"
    assert invoke(app, "db", "upgrade").stdout == f"The database is at {migrations.HEAD}.\n"
    assert invoke(app, "db", "current").stdout == f"database: {migrations.HEAD}, expected: {migrations.HEAD}\n"
    migrations.downgrade(db, "base")
    assert invoke(app, "db", "current").stdout == f"database: none, expected: {migrations.HEAD}\n"
