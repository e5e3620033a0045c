"""`flask doctor`: a line for each check, with its remedy, and an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from sqlalchemy import text

from letstalk.db.database import Database
from letstalk.operations.checks import TITLES
from tests.support.apps import make_app, working
from tests.support.commands import Installation, eventually, invoke


def is_well(result: Result) -> Result | None:
    return result if result.exit_code == 0 else None


def findings_of(output: str) -> dict[str, tuple[str, str]]:
    """(state, finding) by the name of the check. The lines with remedies are indented."""
    lines = [line.split(maxsplit=2) for line in output.splitlines() if not line.startswith(" ")]
    return {name: (state, finding) for state, name, finding in lines}


def test_without_a_worker_something_is_wrong(tmp_path: Path) -> None:
    alone = Installation(tmp_path).flask("doctor")
    assert (alone.returncode, alone.stderr) == (1, "")
    found = findings_of(alone.stdout)
    assert list(found) == list(TITLES)
    assert found["worker"] == ("failing", "No worker has been seen for 15 s.")
    assert "`flask worker`" in alone.stdout
    assert [name for name, (state, _) in found.items() if state == "failing"] == ["worker"]
    assert found["calls"] == ("warning", "The simulator: no phone rings. Its phone is the page /simulator.")


def test_with_a_worker_all_is_well(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with working(app):
        result = eventually(lambda: is_well(invoke(app, "doctor")), "the worker was not seen")
    assert result is not None
    assert {state for state, _ in findings_of(result.stdout).values()} <= {"ok", "off"}


def test_it_says_when_the_task_queue_cannot_be_reached(tmp_path: Path) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    result = invoke(app, "doctor")
    assert result.exit_code == 1
    assert findings_of(result.stdout)["queue"] == ("failing", "The task queue can't be reached.")
    assert findings_of(result.stdout)["database"][0] == "ok"


def test_it_says_when_migrations_are_missing(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    db: Database = app.extensions["letstalk_db"]
    with db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    result = invoke(app, "doctor")
    assert result.exit_code == 1
    assert findings_of(result.stdout)["migrations"][0] == "failing"
    assert "Run `flask db upgrade`." in result.stdout
