"""The migrations make what the code expects, forwards and backwards, in any order of starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert, inspect, text

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import list_calls
from letstalk.core.numbering import canonical_e164
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.db.schema import metadata
from tests.support.fixtures.databases import all_tables
from tests.support.world import BUSY, NO_ANSWER, NOON, PHONE, World, at_once

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """DATABASE_URL of a database without tables."""
    return f"sqlite:///{tmp_path}/new.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")


@pytest.fixture
def empty_db(empty_url: str) -> Iterator[Database]:
    db = Database(empty_url)
    yield db
    db.close()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    return ScriptDirectory.from_config(config)


def tables_of(db: Database) -> set[str]:
    with db.read() as connection:
        return set(inspect(connection).get_table_names())


def checks_of(db: Database) -> dict[str, set[str | None]]:
    with db.read() as connection:
        inspector = inspect(connection)
        return {
            table.name: {check["name"] for check in inspector.get_check_constraints(table.name)}
            for table in all_tables()
        }


def conditions_of(db: Database) -> dict[str, str]:
    """The condition of each index over part of a table only, without the ways in which databases write it."""
    with db.read() as connection:
        inspector = inspect(connection)
        found = {}
        for table in all_tables():
            for index in inspector.get_indexes(table.name):
                options = index.get("dialect_options", {})
                condition = next((str(value) for name, value in options.items() if name.endswith("where")), "")
                found[str(index["name"])] = condition.replace("::text", "").replace("(", "").replace(")", "")
        return found


def test_the_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    assert scripts().get_heads() == [migrations.HEAD]


def test_migrations_are_numbered_one_after_the_other() -> None:
    revisions = [script.revision for script in scripts().walk_revisions()][::-1]
    assert revisions == [f"{number:04d}" for number in range(1, len(revisions) + 1)]


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    expected = {table.name for table in all_tables()}
    assert tables_of(empty_db) == expected | {"alembic_version"}
    with empty_db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, metadata) == []


def test_constraints_and_partial_indexes_are_those_of_the_code_too(empty_db: Database, tmp_path: Path) -> None:
    migrations.upgrade(empty_db)
    if not empty_db.is_sqlite:
        made = checks_of(empty_db)
        wanted = {
            table.name: {str(check.name) for check in table.constraints if type(check).__name__ == "CheckConstraint"}
            for table in all_tables()
        }
        assert made == wanted
        return
    direct = Database(f"sqlite:///{tmp_path}/direct.db")
    all_tables()
    metadata.create_all(direct.engine)
    assert checks_of(empty_db) == checks_of(direct)
    assert conditions_of(empty_db) == conditions_of(direct)
    direct.close()


def test_an_upgrade_can_be_taken_back_and_done_again(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    migrations.downgrade(empty_db, "base")
    assert tables_of(empty_db) == {"alembic_version"}
    migrations.upgrade(empty_db)
    with empty_db.read() as connection:
        assert migrations.is_current(connection)


def test_each_migration_can_be_taken_back_alone(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    for script in list(scripts().walk_revisions()):
        migrations.downgrade(empty_db, str(script.down_revision or "base"))
        with empty_db.read() as connection:
            assert migrations.current_revision(connection) == script.down_revision
            assert not migrations.is_current(connection)


def test_a_database_that_is_current_is_left_alone(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    with empty_db.write() as connection:
        connection.execute(text("INSERT INTO workers (worker_id, seen_at) VALUES ('one', '2026-11-20 12:00:00')"))
    migrations.upgrade(empty_db)
    with empty_db.read() as connection:
        assert connection.execute(text("SELECT worker_id FROM workers")).scalars().all() == ["one"]


def test_an_empty_database_is_at_no_revision(empty_db: Database) -> None:
    with empty_db.read() as connection:
        assert migrations.current_revision(connection) is None
        assert not migrations.is_current(connection)


def test_instances_that_start_at_once_migrate_once(empty_url: str) -> None:
    instances = [Database(empty_url) for _ in range(4)]
    assert at_once([lambda db=db: migrations.upgrade(db) for db in instances]) == ["ok"] * 4  # type: ignore[misc]
    with instances[0].read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [migrations.HEAD]
    for db in instances:
        db.close()


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    program = (
        "import sys; from letstalk.db.database import Database; from letstalk.db import migrations; "
        "db = Database(sys.argv[1]); migrations.upgrade(db); db.close()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, empty_url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
    db = Database(empty_url)
    with db.read() as connection:
        assert migrations.is_current(connection)
    db.close()


def test_a_migration_that_fails_leaves_nothing_behind(empty_db: Database) -> None:
    with empty_db.write() as connection:
        connection.execute(text("CREATE TABLE calls (hindrance INTEGER)"))
    with pytest.raises(Exception, match="calls"):
        migrations.upgrade(empty_db)
    assert tables_of(empty_db) <= {"calls", "alembic_version"}
    with empty_db.read() as connection:
        assert not migrations.is_current(connection)


def test_waiting_and_live_calls_go_on_after_a_migration_down_and_up(empty_db: Database) -> None:
    """Down to the revision before and up again, with a waiting, a live and a finished call."""
    migrations.upgrade(empty_db)
    world = World(empty_db, channels=2)
    finished = world.send(BUSY)
    world.pass_time(10)
    live, waiting = world.send(NO_ANSWER), world.send()
    code = world.code_of(waiting.verification_id)
    told = {one.call_id: world.events_of(one.call_id) for one in (finished, live, waiting)}
    world.change_call(waiting.call_id, not_before=world.clock() + timedelta(seconds=20))
    world.work()
    before = {one.call_id: world.call(one.call_id) for one in (finished, live, waiting)}
    assert [call.status for call in before.values()] == [CallStatus.BUSY, CallStatus.RINGING, CallStatus.QUEUED]
    told[live.call_id] = world.events_of(live.call_id)

    migrations.downgrade(empty_db, "0006")
    with empty_db.read() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns("calls")}
        assert columns & {"subject_id", "script_sealed", "locale", "speak_before"} == set()
        foreign_keys = inspect(connection).get_foreign_keys("calls")
        assert [key["referred_table"] for key in foreign_keys] == ["verifications"]
        rows = connection.execute(text("SELECT call_id, verification_id FROM calls"))
        assert {row.call_id: row.verification_id for row in rows} == {
            call_id: call.subject_id for call_id, call in before.items()
        }
    migrations.upgrade(empty_db)

    assert {call_id: world.call(call_id) for call_id in before} == {
        call_id: replace(call, rang_at=None) for call_id, call in before.items()
    }
    assert {call_id: world.events_of(call_id) for call_id in before} == told
    world.crash()
    world.pass_time(60)
    assert world.heard() == [code]
    assert world.call(live.call_id).status is CallStatus.NO_ANSWER
    world.check(waiting.verification_id, code)


def test_rows_of_the_revision_before_get_their_script_language_and_deadline(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    migrations.downgrade(empty_db, "0006")
    verification = {
        "verification_id": "v",
        "user_id": "acme",
        "phone": PHONE,
        "status": "pending",
        "locale": "sw",
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=5),
        "last_spoken_for_at": NOON,
        "attempts_used": 0,
        "replays_used": 0,
        "code_digest": "0",
        "digest_key_id": "k",
        "speech_sealed": "sealed",
    }
    call = {
        "verification_id": "v",
        "user_id": "acme",
        "phone": PHONE,
        "created_at": NOON,
        "not_before": NOON,
        "turn": 0,
        "dial_round": 0,
        "dial_attempts": 0,
        "is_uncertain": False,
        "spoken": "nothing",
        "repeats": 0,
        "command_seq": 0,
        "command_attempts": 0,
    }
    with empty_db.write() as connection:
        tables = MetaData()
        tables.reflect(connection, only=["verifications", "calls"])
        connection.execute(insert(tables.tables["verifications"]).values(verification))
        for status, ended_at, holds_channel in (
            ("queued", None, False),
            ("unknown", NOON, True),
            ("busy", NOON, False),
        ):
            own = {"call_id": status, "status": status, "ended_at": ended_at, "holds_channel": holds_channel}
            connection.execute(insert(tables.tables["calls"]).values(call | own))
    migrations.upgrade(empty_db)
    with empty_db.read() as connection:
        calls = list_calls(connection, "v")
    scripts = {call.call_id: call.script_sealed for call in calls}
    assert scripts == {"queued": "sealed", "unknown": "sealed", "busy": None}
    assert {call.locale for call in calls} == {"sw"}
    assert {call.speak_before for call in calls} == {NOON + timedelta(minutes=5)}


def test_verifications_from_before_are_found_by_both_numbers(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    migrations.downgrade(empty_db, "0008")
    one, other = "+390549886377", "+3780549886377"
    row = {
        "user_id": "acme",
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=5),
        "last_spoken_for_at": NOON,
        "attempts_used": 0,
        "replays_used": 0,
        "code_digest": "0",
        "digest_key_id": "k",
    }
    kept = {"1": (one, "pending"), "2": (other, "pending"), "3": (one, "expired"), "4": ("+256700123456", "expired")}
    with empty_db.write() as connection:
        tables = MetaData()
        tables.reflect(connection, only=["verifications"])
        for key, (phone, status) in kept.items():
            values = {"verification_id": key, "phone": phone, "status": status}
            connection.execute(insert(tables.tables["verifications"]).values(row | values))
    migrations.upgrade(empty_db)
    query = text("SELECT verification_id, phone, phone_as_given FROM verifications ORDER BY verification_id")
    with empty_db.read() as connection:
        found = {key: (phone, given) for key, phone, given in connection.execute(query)}
    # The first would be a second one that waits for a code: it keeps its number until it is over.
    assert found == {
        "1": (one, None),
        "2": (canonical_e164(other), None),
        "3": (canonical_e164(one), one),
        "4": ("+256700123456", None),
    }
    migrations.downgrade(empty_db, "0008")
    with empty_db.read() as connection:
        rows = connection.execute(text("SELECT verification_id, phone FROM verifications")).all()
    assert {row.verification_id: row.phone for row in rows} == {key: phone for key, (phone, _) in kept.items()}


def test_codes_that_wait_go_on_after_the_migration_of_sessions_down_and_up(empty_db: Database) -> None:
    """Going back, one pending verification of a phone is left, because the version before knows no more."""
    migrations.upgrade(empty_db)
    world = World(empty_db)
    world.send(session="one")
    world.let_a_moment_pass()
    latest = world.send(session="two")
    world.guess_wrong(latest.verification_id, 2)
    code = world.code_of(latest.verification_id)
    migrations.downgrade(empty_db, "0011")
    with empty_db.read() as connection:
        statuses = connection.execute(text("SELECT status FROM verifications ORDER BY created_at")).scalars().all()
        wrong = connection.execute(text("SELECT count(*) FROM wrong_codes")).scalar_one()
    assert (statuses, wrong) == (["superseded", "pending"], 2)
    migrations.upgrade(empty_db)
    world.check_phone(PHONE, code)  # it belongs to no session any more
    assert world.verification(latest.verification_id).session_digest == ""
