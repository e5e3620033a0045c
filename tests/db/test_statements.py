"""Statements that are prepared once, on both databases, and what becomes of them when something goes wrong."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Text, bindparam, column, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from letstalk.calls.event_repository import webhook_events
from letstalk.db.database import Database
from letstalk.db.statements import Statement, first_of_each
from letstalk.worker.heartbeat_repository import workers

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)

ADD = Statement(insert(workers).values(worker_id=bindparam("name"), seen_at=bindparam("at")))
SEEN = Statement(select(workers.c.seen_at).where(workers.c.worker_id == bindparam("name")))
MOVE = Statement(
    update(workers).where(workers.c.worker_id == bindparam("name")).values(seen_at=bindparam("at")).returning(workers)
)
ALL = Statement(select(workers).order_by(workers.c.worker_id))
LIKE = Statement(select(workers.c.worker_id).where(workers.c.worker_id.like("50%_")))
FORGET = Statement(delete(workers).where(workers.c.worker_id == bindparam("name")))


def add(connection: Connection, name: str, at: datetime = NOON) -> None:
    ADD.execute(connection, {"name": name, "at": at})


def names(db: Database) -> list[str]:
    with db.read() as connection:
        return [row[0] for row in ALL.all(connection, {})]


def end_backend_of(connection: Connection, db: Database) -> None:
    """End the server's part of a connection to PostgreSQL, from another."""
    pid = PID.one(connection, {})[0]
    with db.read() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


PID = Statement(select(func.pg_backend_pid().label("pid")))


def test_what_goes_in_comes_out(db: Database) -> None:
    odd = "Ünï “☎️” % $1 :x \\ '"
    with db.write() as connection:
        add(connection, odd, NOON.replace(microsecond=123456))
        assert [*SEEN.one(connection, {"name": odd})] == [NOON.replace(microsecond=123456)]
        assert [*MOVE.one(connection, {"name": odd, "at": NOON})] == [odd, NOON]
        assert SEEN.first(connection, {"name": "nobody"}) is None
        assert FORGET.execute(connection, {"name": "nobody"}) == 0
    assert names(db) == [odd]


def test_a_percent_sign_is_one(db: Database) -> None:
    with db.write() as connection:
        for name in ("50 x", "50", "5"):
            add(connection, name)
        assert LIKE.all(connection, {}) == [("50 x",)]


def test_nothing_truth_and_numbers_keep_their_types(db: Database) -> None:
    values = {"event_id": "e", "type": "t", "occurred_at": NOON, "detail": "{}", "received_at": NOON, "tries": 3}
    put = Statement(insert(webhook_events).values({name: bindparam(name) for name in (*values, "applied_at")}))
    look = Statement(
        select(webhook_events.c.tries, webhook_events.c.applied_at, column("tries") > bindparam("least")).where(
            webhook_events.c.event_id == "e"
        )
    )
    with db.write() as connection:
        put.execute(connection, {**values, "applied_at": None})
        assert [*look.one(connection, {"least": 2})] == [3, None, True]


def test_several_at_once_run_one_after_the_other(db: Database) -> None:
    with db.write() as connection:
        add(connection, "a")
        later = NOON.replace(hour=13)
        rows = first_of_each(connection, {"name": "a", "at": later}, MOVE, SEEN)
        assert [[*row] for row in rows if row is not None] == [["a", later], [later]]
        assert first_of_each(connection, {"name": "b", "at": later}, MOVE, SEEN) == [None, None]


def test_what_fails_leaves_nothing_behind_and_the_next_transaction_works(db: Database) -> None:
    with db.write() as connection:
        add(connection, "a")

    def fail(*, first: bool) -> None:
        with db.write() as connection:
            if not first:
                add(connection, "b")
            add(connection, "a")

    for first in (True, False):
        with pytest.raises(IntegrityError):
            fail(first=first)
    assert names(db) == ["a"]


def test_a_text_that_postgresql_would_cut_off_is_refused(postgresql_db: Database) -> None:
    def write_it() -> None:
        with postgresql_db.write() as connection:
            add(connection, "a")
            add(connection, "b\0c")

    with pytest.raises(DBAPIError, match="NUL"):
        write_it()
    assert names(postgresql_db) == []


@pytest.mark.parametrize("begun", [True, False], ids=["in the middle", "before its first"])
def test_a_transaction_whose_connection_goes_fails_and_the_next_has_another(
    begun: bool, postgresql_db: Database
) -> None:
    def lose_it() -> None:
        with postgresql_db.write() as connection:
            end_backend_of(connection, postgresql_db)
            if not begun:
                connection.rollback()
            add(connection, "a")

    names(postgresql_db)  # there is a connection with statements prepared
    with pytest.raises(DBAPIError) as caught:
        lose_it()
    assert caught.value.connection_invalidated
    assert names(postgresql_db) == []
    with postgresql_db.write() as connection:
        add(connection, "b")
    assert names(postgresql_db) == ["b"]


def test_who_waits_for_postgresql_keeps_no_thread_from_its_work(postgresql_db: Database) -> None:
    sleep = Statement(select(func.pg_sleep(bindparam("seconds")).label("slept")))
    turns = 0
    is_over = threading.Event()

    def work() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            time.sleep(0.001)

    with postgresql_db.read() as connection:
        sleep.first(connection, {"seconds": 0.0})
        thread = threading.Thread(target=work)
        thread.start()
        sleep.first(connection, {"seconds": 0.5})  # by itself
        first_of_each(connection, {"seconds": 0.5}, sleep, PID)  # with another
        is_over.set()
        thread.join()
    assert turns > 50


def add_with_next(connection: Connection, name: str) -> None:
    ADD.run_with_next(connection, {"name": name, "at": NOON})


def test_what_runs_with_the_next_statement_is_seen_by_it_whichever_way_it_comes(db: Database) -> None:
    with db.write() as connection:
        add_with_next(connection, "a")
        assert SEEN.first(connection, {"name": "a"}) is not None
        add_with_next(connection, "b")
        assert len(connection.execute(select(workers)).all()) == 2
        add_with_next(connection, "c")
    assert names(db) == ["a", "b", "c"]


def test_a_transaction_of_nothing_else_is_committed(db: Database) -> None:
    with db.write() as connection:
        add_with_next(connection, "a")
        add_with_next(connection, "b")
    assert names(db) == ["a", "b"]


def test_what_fails_with_the_commit_fails_the_transaction(db: Database) -> None:
    def fail() -> None:
        with db.write() as connection:
            add(connection, "a")
            add_with_next(connection, "b")
            add_with_next(connection, "a")

    with pytest.raises(IntegrityError):
        fail()
    assert names(db) == []


def test_what_was_to_run_with_the_next_goes_with_its_transaction(db: Database) -> None:
    def fail() -> None:
        with db.write() as connection:
            add_with_next(connection, "a")
            raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            fail()
    with db.write() as connection:
        add(connection, "b")
    assert names(db) == ["b"]


def test_a_statement_that_is_longer_than_the_system_takes_at_once_arrives_whole(postgresql_db: Database) -> None:
    measure = Statement(select(func.length(bindparam("text", type_=Text)).label("characters")))
    with postgresql_db.read() as connection:  # together with the transaction's beginning, then by itself
        assert [measure.one(connection, {"text": "x" * 5_000_000})[0] for _ in range(2)] == [5_000_000] * 2


def test_a_server_that_went_costs_one_transaction_however_many_connections_were_idle(postgresql_db: Database) -> None:
    with postgresql_db.read() as first, postgresql_db.read() as second, postgresql_db.read() as third:
        pids = [PID.one(connection, {})[0] for connection in (first, second, third)]
    with postgresql_db.engine.connect() as other:
        for pid in pids:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        other.rollback()
    with pytest.raises(DBAPIError):
        names(postgresql_db)
    with postgresql_db.read() as first, postgresql_db.read() as second, postgresql_db.read() as third:
        assert [ALL.all(connection, {}) for connection in (first, second, third)] == [[], [], []]


def test_a_statement_alone_is_committed_at_once(postgresql_db: Database) -> None:
    with postgresql_db.each_alone() as connection:
        add(connection, "a")
        assert names(postgresql_db) == ["a"]
        with pytest.raises(IntegrityError):
            add(connection, "a")
        assert FORGET.execute(connection, {"name": "a"}) == 1  # no transaction is open that has failed
        assert names(postgresql_db) == []


def test_after_statements_alone_a_transaction_is_one_again(postgresql_db: Database) -> None:
    def fail() -> None:
        with postgresql_db.write() as connection:
            add(connection, "b")
            raise LookupError

    with postgresql_db.each_alone() as connection:
        add(connection, "a")
    with pytest.raises(LookupError):
        fail()
    assert names(postgresql_db) == ["a"]


def test_a_statement_alone_whose_connection_goes_fails_and_the_next_has_another(postgresql_db: Database) -> None:
    def lose_it() -> None:
        with postgresql_db.each_alone() as connection:
            end_backend_of(connection, postgresql_db)
            add(connection, "a")

    with pytest.raises(DBAPIError) as caught:
        lose_it()
    assert caught.value.connection_invalidated
    with postgresql_db.each_alone() as connection:
        add(connection, "b")
    assert names(postgresql_db) == ["b"]
