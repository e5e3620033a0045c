"""`flask doctor`: a line for each part, and an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from sqlalchemy import text

from letstalk.db.database import Database
from tests.support.apps import make_app, working
from tests.support.commands import Installation, eventually, invoke


def is_well(result: Result) -> Result | None:
    return result if result.exit_code == 0 else None


def parts_of(output: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in output.splitlines())


def test_without_a_worker_something_is_wrong(tmp_path: Path) -> None:
    alone = Installation(tmp_path).flask("doctor")
    assert (alone.returncode, alone.stderr) == (1, "")
    assert parts_of(alone.stdout) == {
        "database": "ok",
        "migrations": "ok",
        "worker": "No worker has been seen for 15 s.",
        "queue": "ok",
    }


def test_with_a_worker_all_is_well(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with working(app):
        result = eventually(lambda: is_well(invoke(app, "doctor")), "the worker was not seen")
    assert result is not None
    assert set(parts_of(result.stdout).values()) == {"ok"}


def test_it_says_when_the_task_queue_cannot_be_reached(tmp_path: Path) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    result = invoke(app, "doctor")
    assert result.exit_code == 1
    assert parts_of(result.stdout)["queue"] == "The task queue can't be reached."
    assert parts_of(result.stdout)["database"] == "ok"


def test_it_says_when_migrations_are_missing(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    db: Database = app.extensions["letstalk_db"]
    with db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    result = invoke(app, "doctor")
    assert result.exit_code == 1
    assert parts_of(result.stdout)["migrations"] == "The database needs migrations: run `flask db upgrade`."
