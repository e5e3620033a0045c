"""Transactions, timestamps and the settings of connections, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Integer, column, insert, literal, select, table, text
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError, StatementError

from letstalk.calls.repository import insert_call_event
from letstalk.db.database import Database, after_commit
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import execute_on_driver
from letstalk.worker.heartbeat import beat, last_seen, workers
from tests.support.world import at_once

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PRAGMAS = {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 1, "busy_timeout": 10_000}
counters = table("counters", column("n", Integer))


@pytest.fixture
def counted(db: Database) -> Iterator[Database]:
    """A database with one row that counts."""
    with db.write() as connection:
        connection.execute(text("CREATE TABLE counters (n INTEGER)"))
        connection.execute(insert(counters).values(n=0))
    yield db
    with db.write() as connection:
        connection.execute(text("DROP TABLE counters"))


def insert_twice(db: Database, worker_id: str) -> None:
    with db.write() as connection:
        for _ in range(2):
            connection.execute(insert(workers), {"worker_id": worker_id, "seen_at": NOON})


def count(db: Database) -> int:
    with db.read() as connection:
        return int(connection.execute(select(counters.c.n)).scalar_one())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-720, 720))  # noqa: DTZ001
def test_a_timestamp_comes_back_as_it_went_in_whatever_its_zone(db: Database, naive: datetime, minutes: int) -> None:
    timestamp = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    with db.write() as connection:
        connection.execute(workers.delete())
        beat(connection, "one", timestamp)
        found = last_seen(connection)
    assert found == timestamp
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_naive_timestamp_does_not_reach_the_database(db: Database) -> None:
    naive = datetime(2026, 11, 20, 12, 0)  # noqa: DTZ001  # the very thing that must be refused
    with pytest.raises(StatementError, match="naive"), db.write() as connection:
        beat(connection, "one", naive)
    with pytest.raises(StatementError, match="naive"), db.read() as connection:
        connection.execute(select(workers).where(workers.c.seen_at > naive))


def test_timestamps_of_different_zones_are_compared_in_utc(db: Database) -> None:
    east = timezone(timedelta(hours=3))
    with db.write() as connection:
        beat(connection, "one", NOON)
        statement = select(workers.c.worker_id).where(workers.c.seen_at < datetime(2026, 11, 20, 15, 1, tzinfo=east))
        assert connection.execute(statement).scalars().all() == ["one"]


def test_no_timestamp_is_read_as_none(db: Database) -> None:
    with db.read() as connection:
        assert connection.execute(select(literal(None, UtcDateTime))).scalar_one() is None


def test_what_is_written_is_there_afterwards_and_not_before(counted: Database) -> None:
    with counted.write() as connection:
        connection.execute(text("UPDATE counters SET n = 5"))
        assert count(counted) == 0
    assert count(counted) == 5


def test_an_exception_takes_everything_back(counted: Database) -> None:
    def fail() -> None:
        with counted.write() as connection:
            connection.execute(text("UPDATE counters SET n = 5"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(counted) == 0


def test_after_an_exception_the_next_may_write(counted: Database) -> None:
    with pytest.raises(IntegrityError):
        insert_twice(counted, "one")
    with counted.write() as connection:
        connection.execute(text("UPDATE counters SET n = 1"))
    assert count(counted) == 1


def test_under_one_lock_nothing_is_lost_of_what_is_read_and_written_back(counted: Database) -> None:
    def add_one() -> None:
        with counted.write() as connection:
            counted.lock(connection, "counting")
            value = connection.execute(select(counters.c.n)).scalar_one()
            time.sleep(0.002)
            connection.execute(text("UPDATE counters SET n = :n"), {"n": value + 1})

    assert at_once([add_one] * 12) == ["ok"] * 12
    assert count(counted) == 12


def test_two_instances_on_one_database_keep_out_of_each_others_way(counted: Database) -> None:
    other = Database(counted.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))

    def add_one(db: Database) -> None:
        with db.write() as connection:
            db.lock(connection, "counting")
            value = connection.execute(select(counters.c.n)).scalar_one()
            connection.execute(text("UPDATE counters SET n = :n"), {"n": value + 1})

    outcomes = at_once([lambda db=db: add_one(db) for db in (counted, other) * 5])  # type: ignore[misc]
    other.close()
    assert outcomes == ["ok"] * 10
    assert count(counted) == 10


def test_locks_of_different_things_do_not_wait_for_each_other(postgresql_db: Database) -> None:
    db = postgresql_db
    with db.write() as connection:
        db.lock(connection, "phone", "one")
        done = threading.Event()

        def lock_another() -> None:
            with db.write() as other:
                db.lock(other, "phone", "two")
                db.lock(other, "idempotency", "one")
            done.set()

        threading.Thread(target=lock_another, daemon=True).start()
        assert done.wait(30)


def test_locks_of_the_same_thing_wait_for_each_other(postgresql_db: Database) -> None:
    db = postgresql_db
    done = threading.Event()

    def lock_it_too() -> None:
        with db.write() as other:
            db.lock(other, "phone", "one")
        done.set()

    with db.write() as connection:
        db.lock(connection, "phone", "one")
        thread = threading.Thread(target=lock_it_too, daemon=True)
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    thread.join(30)


def test_sqlite_keeps_foreign_keys_and_writes_ahead(sqlite_db: Database) -> None:
    with sqlite_db.read() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in PRAGMAS}
    assert pragmas == PRAGMAS


def test_sqlite_can_be_told_to_wait_for_the_disk(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/full.db", sqlite_synchronous="FULL")
    with db.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    db.close()


def test_a_row_that_refers_to_nothing_is_refused(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as connection:
        insert_call_event(connection, "none", NOON, "queued")


def test_on_sqlite_a_write_transaction_is_alone_from_its_first_statement_on(sqlite_db: Database) -> None:
    other = Database(str(sqlite_db.engine.url))
    with other.read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    with sqlite_db.write(), pytest.raises(OperationalError, match="locked"), other.write():
        pass
    with other.write() as connection:
        beat(connection, "one", NOON)
    other.close()


def test_on_sqlite_readers_do_not_wait_for_a_writer(sqlite_db: Database) -> None:
    with sqlite_db.write() as writing, sqlite_db.read() as reading:
        beat(writing, "one", NOON)
        assert last_seen(reading) is None


ORPHAN = "INSERT INTO call_events (call_id, at, type) VALUES ('none', '2026-11-20 12:00:00.000000', 'dialing')"


@pytest.mark.parametrize("insert_orphan", [lambda c: c.exec_driver_sql(ORPHAN), lambda c: execute_on_driver(c, ORPHAN)])
def test_a_commit_that_fails_takes_everything_back(
    sqlite_db: Database, insert_orphan: Callable[[Connection], object]
) -> None:
    def write_what_cannot_be_committed() -> None:
        with sqlite_db.write() as connection:
            execute_on_driver(connection, "PRAGMA defer_foreign_keys = ON")
            beat(connection, "one", NOON)
            insert_orphan(connection)

    for _ in range(2):  # the same connection again: nothing of the first may be left in it
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            write_what_cannot_be_committed()
    with sqlite_db.write() as connection:
        assert last_seen(connection) is None
        assert execute_on_driver(connection, "SELECT count(*) FROM call_events").fetchone() == (0,)


def test_of_a_transaction_whose_connection_went_nothing_is_done_on_another(postgresql_db: Database) -> None:
    def end_connection(connection: Connection) -> None:
        pid = execute_on_driver(connection, "SELECT pg_backend_pid()").fetchone()[0]
        with postgresql_db.read() as other:
            execute_on_driver(other, "SELECT pg_terminate_backend(%s)", (pid,))

    def write_in_two_parts() -> None:
        with postgresql_db.write() as connection:
            end_connection(connection)
            with pytest.raises(OperationalError):
                execute_on_driver(connection, "SELECT 1")
            beat(connection, "one", NOON)

    with pytest.raises(PendingRollbackError):
        write_in_two_parts()
    with postgresql_db.write() as connection:
        assert last_seen(connection) is None


def test_a_connection_that_goes_before_the_commit_is_replaced(postgresql_db: Database) -> None:
    def lose_connection() -> None:
        with postgresql_db.write() as connection:
            pid = execute_on_driver(connection, "SELECT pg_backend_pid()").fetchone()[0]
            with postgresql_db.read() as other:
                execute_on_driver(other, "SELECT pg_terminate_backend(%s)", (pid,))

    with pytest.raises(OperationalError):
        lose_connection()
    with postgresql_db.write() as connection:
        assert last_seen(connection) is None


def test_a_failure_does_not_show_what_it_was_about(db: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        insert_twice(db, "a name")
    assert "2026" not in str(caught.value.args)


def test_a_connection_that_is_in_use_when_the_database_is_closed_is_not_kept(db: Database) -> None:
    with db.read() as connection:
        before = connection.connection.driver_connection
        db.close()
    with db.read() as connection:
        assert connection.connection.driver_connection is not before
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_what_is_to_follow_a_commit_follows_it_and_no_roll_back(db: Database) -> None:
    seen: list[datetime | None] = []

    def look() -> None:
        with db.write() as other:  # which would wait for ever, were the first still at it
            seen.append(last_seen(other))

    def fail() -> None:
        with db.write() as connection:
            beat(connection, "one", NOON + timedelta(hours=1))
            after_commit(connection, look)
            raise LookupError

    with db.write() as connection:
        beat(connection, "one", NOON)
        after_commit(connection, look)
        assert seen == []
    assert seen == [NOON]
    with pytest.raises(LookupError):
        fail()
    with db.write():
        pass
    assert seen == [NOON], "what was taken back is not followed, not even by the next transaction"
