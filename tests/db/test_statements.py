"""Statements that are compiled once, on both databases, and what becomes of them when something goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Text, bindparam, column, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from letstalk.calls.event_repository import webhook_events
from letstalk.db import engines
from letstalk.db.database import Database
from letstalk.db.statements import Statement
from letstalk.worker.heartbeat import workers

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
        sleep.first(connection, {"seconds": 0.5})
        is_over.set()
        thread.join()
    assert turns > 50


def test_a_statement_that_is_longer_than_the_system_takes_at_once_arrives_whole(postgresql_db: Database) -> None:
    measure = Statement(select(func.length(bindparam("text", type_=Text)).label("characters")))
    with postgresql_db.read() as connection:
        assert [measure.one(connection, {"text": "x" * 5_000_000})[0] for _ in range(2)] == [5_000_000] * 2


@pytest.fixture
def killed_idle(postgresql_db: Database) -> Database:
    """A database whose pool holds three idle connections that the server has closed."""
    with postgresql_db.read() as first, postgresql_db.read() as second, postgresql_db.read() as third:
        pids = [PID.one(connection, {})[0] for connection in (first, second, third)]
    other = Database(postgresql_db.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with other.read() as connection:
        for pid in pids:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.close()
    return postgresql_db


def read_three_times_at_once(db: Database) -> list[list[Sequence[Any]]]:
    with db.read() as first, db.read() as second, db.read() as third:
        return [ALL.all(connection, {}) for connection in (first, second, third)]


def test_closed_connections_that_were_just_used_cost_one_transaction(
    killed_idle: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "TRUSTED_SECONDS", 600.0)
    with pytest.raises(DBAPIError):
        names(killed_idle)
    assert read_three_times_at_once(killed_idle) == [[], [], []]


def test_closed_connections_that_were_idle_for_long_cost_nothing(
    killed_idle: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "TRUSTED_SECONDS", 0.0)
    assert read_three_times_at_once(killed_idle) == [[], [], []]
