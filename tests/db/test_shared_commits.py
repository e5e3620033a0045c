"""Commits that several requests of one thread share, on SQLite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from letstalk.observability.bindings import about, bound_ids
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, SQLAlchemyError

from letstalk.db.database import Database
from letstalk.db.transactions import after_commit


class Refused(Exception):
    pass


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/shared.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE owners (name TEXT PRIMARY KEY)"))
        # Judged only at the commit.
        owner = "owner TEXT REFERENCES owners (name) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"CREATE TABLE names (name TEXT PRIMARY KEY, {owner})"))
    yield database
    database.close()


def put(connection: Connection, name: str, owner: str | None = None) -> None:
    connection.execute(text("INSERT INTO names VALUES (:name, :owner)"), {"name": name, "owner": owner})


def put_together(db: Database, name: str, owner: str | None = None, error: Exception | None = None) -> None:
    with db.write_together() as connection:
        put(connection, name, owner)
        if error is not None:
            raise error


def refuse_at_once(db: Database, action: Callable[[], None]) -> None:
    with db.write_together() as connection:
        after_commit(connection, action)
        raise Refused


def stored(db: Database) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(text("SELECT name FROM names ORDER BY name")).scalars())


def noting(done: list[str], name: str) -> Callable[[], None]:
    return lambda: done.append(name)


@contextmanager
def failing(kind: type[Exception]) -> Iterator[None]:
    """What the block is to raise, which is more than one statement."""
    try:
        yield
    except kind:
        return
    pytest.fail(f"no {kind.__name__}")


def write_elsewhere(db: Database, name: str, *, waits: bool) -> threading.Thread:
    """Another thread that writes, once it has begun; over by now, unless it `waits`."""

    def write() -> None:
        with db.write() as connection:
            put(connection, name)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(0.2 if waits else 20)
    assert thread.is_alive() == waits
    return thread


def test_what_is_written_together_is_there_for_nobody_before_it_is_for_all(db: Database) -> None:
    done: list[str] = []
    with db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        put_together(db, "b")
        shared.once_committed(noting(done, "b"))
        assert (stored(db), done) == ([], [])
        waiting = write_elsewhere(db, "c", waits=True)
    assert done == ["a", "b"]
    waiting.join(20)
    assert stored(db) == ["a", "b", "c"]


def test_each_sees_what_those_before_it_have_written(db: Database) -> None:
    with db.share_commit():
        put_together(db, "a")
        with db.write_together() as connection:
            assert connection.execute(text("SELECT count(*) FROM names")).scalar_one() == 1


def test_who_refuses_before_it_writes_takes_nothing_back(db: Database) -> None:
    done: list[str] = []
    with db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        with pytest.raises(Refused):
            refuse_at_once(db, noting(done, "refused"))
        assert not shared.has_failed
        put_together(db, "b")
    assert (stored(db), done) == (["a", "b"], ["a"])


def test_who_refuses_after_it_has_written_takes_everything_back(db: Database) -> None:
    done: list[str] = []
    with failing(InvalidRequestError), db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        with pytest.raises(InvalidRequestError):
            put_together(db, "b", error=Refused())
        assert shared.has_failed
    assert (stored(db), done) == ([], [])


def test_who_was_refused_before_the_first_part_is_told_though_that_one_refuses_too(db: Database) -> None:
    done: list[str] = []
    with db.share_commit() as shared:
        shared.once_committed(noting(done, "first"))
        with pytest.raises(Refused):
            refuse_at_once(db, noting(done, "refused"))
    assert done == ["first"]


def test_who_was_refused_before_the_first_part_is_not_forgotten_when_that_one_takes_all_back(db: Database) -> None:
    done: list[str] = []
    with failing(InvalidRequestError), db.share_commit() as shared:
        shared.once_committed(noting(done, "first"))
        with pytest.raises(InvalidRequestError):
            put_together(db, "a", error=Refused())
        assert shared.has_failed
    assert (stored(db), done) == ([], [])


def test_whoever_has_written_nothing_and_waits_for_nobody_is_told_at_once(db: Database) -> None:
    done: list[str] = []
    with db.share_commit() as shared:
        with pytest.raises(Refused):
            put_together(db, "a", error=Refused())
        shared.once_committed(noting(done, "refused"))
        assert done == ["refused"]
        write_elsewhere(db, "b", waits=False)
    assert stored(db) == ["b"]


def test_a_failure_of_the_database_takes_everything_back_and_is_told_to_all(db: Database) -> None:
    done: list[str] = []
    with failing(IntegrityError), db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        with pytest.raises(IntegrityError):
            put_together(db, "a")
        assert shared.has_failed
        with pytest.raises(IntegrityError):
            put_together(db, "b")
        shared.once_committed(noting(done, "b"))
        write_elsewhere(db, "c", waits=False)
    assert (stored(db), done) == (["c"], [])
    put_together(db, "a")
    assert stored(db) == ["a", "c"], "the next one is a transaction by itself again"


def test_a_commit_that_fails_takes_everything_back(db: Database) -> None:
    done: list[str] = []
    with failing(IntegrityError), db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        put_together(db, "b", owner="nobody")
        shared.once_committed(noting(done, "b"))
        assert not shared.has_failed
    assert (stored(db), done) == ([], [])
    write_elsewhere(db, "c", waits=False)


def test_who_writes_alone_first_commits_what_was_written_together(db: Database) -> None:
    done: list[str] = []
    with db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        with db.write() as connection:
            assert done == ["a"]
            put(connection, "b")
        put_together(db, "c")
        assert stored(db) == ["a", "b"]
    assert stored(db) == ["a", "b", "c"]


def test_what_was_committed_before_is_kept_when_the_rest_fails(db: Database) -> None:
    done: list[str] = []
    with failing(IntegrityError), db.share_commit() as shared:
        put_together(db, "a")
        shared.once_committed(noting(done, "a"))
        with db.write():
            pass
        put_together(db, "b", owner="nobody")
        shared.once_committed(noting(done, "b"))
        with pytest.raises(IntegrityError), db.write():
            pass
        assert shared.has_failed
    assert (stored(db), done) == (["a"], ["a"])


def test_half_of_a_part_is_not_committed(db: Database) -> None:
    def write_within() -> None:
        with db.write_together() as connection:
            put(connection, "a")
            with db.write():
                pass

    with db.share_commit(), pytest.raises(RuntimeError, match="half"):
        write_within()
    assert stored(db) == []


def test_an_error_from_elsewhere_takes_everything_back(db: Database) -> None:
    done: list[str] = []

    def fail() -> None:
        with db.share_commit() as shared:
            put_together(db, "a")
            shared.once_committed(noting(done, "a"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (stored(db), done) == ([], [])
    put_together(db, "b")
    assert stored(db) == ["b"]


def test_what_follows_is_about_the_request_that_asked_for_it_and_stops_no_other(db: Database) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append(bound_ids()["call_id"])
        raise LookupError

    with db.share_commit() as shared:
        for name in ("a", "b"):
            with about(call_id=name):
                put_together(db, name)
                shared.once_committed(look)
    assert seen == ["a", "b"]


def test_without_a_shared_commit_each_has_its_own(db: Database) -> None:
    done: list[str] = []
    put_together(db, "a")
    db.once_committed(noting(done, "a"))
    assert (stored(db), done) == (["a"], ["a"])
    with pytest.raises(SQLAlchemyError):
        put_together(db, "a")
    assert stored(db) == ["a"]
