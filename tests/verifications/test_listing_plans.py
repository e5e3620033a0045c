"""No filter of the list makes either database read a table from end to end, or choose an index that bounds nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from letstalk.core.ids import new_id
from letstalk.db.database import Database
from letstalk.verifications.listing import FIRST_ID, Place, Wanted, find_by_request, list_by_reference, list_newest
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import Reason
from tests.support.postgresql_databases import own_database
from tests.support.quick_apps import lay_out

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PLACES = (None, Place(NOW, FIRST_ID), Place(NOW, FIRST_ID, is_newer=True))
BY_OWNER = "ix_verifications_user_id_created_at"
BY_STATUS = "ix_verifications_failed"
# What each filter is read by. The primary key has another name on each database.
EXPECTED = [
    (Wanted(), "primary key"),
    (Wanted(since=NOW - timedelta(days=2), until=NOW), "primary key"),
    (Wanted(status=VerificationStatus.PENDING), "primary key"),
    (Wanted(status=VerificationStatus.APPROVED), "primary key"),
    (Wanted(phone="+256700123456"), "ix_verifications_phone"),
    (Wanted(phone="+256700123456", owner_ids=frozenset({"acme", "globex"})), "ix_verifications_phone"),
    (Wanted(country="DE"), "ix_verifications_country"),
    (Wanted(token_id="token"), "ix_verifications_token_id"),
    (Wanted(owner_ids=frozenset({"acme"})), BY_OWNER),
    (Wanted(owner_ids=frozenset({"acme", "globex"})), BY_OWNER),
    (Wanted(status=VerificationStatus.CANCELED), BY_STATUS),
    (Wanted(reason=Reason.BUSY), BY_STATUS),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Nobody else's: what other tests have left would change how PostgreSQL plans."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/letstalk.db"
        lay_out(url)
        with closing(Database(url)) as db:
            yield db
    else:
        folder, template = (request.getfixturevalue(f"postgresql_{name}") for name in ("folder", "template"))
        with own_database(folder, template) as url, closing(Database(url)) as db:
            yield db


def statements_of(db: Database, wanted: Wanted, place: Place | None) -> list[tuple[str, Any]]:
    """Each statement of one page, with its values."""
    return statements_while(db, lambda connection: list_newest(connection, wanted, NOW, limit=26, place=place))


def statements_while(db: Database, act: Callable[[Connection], object]) -> list[tuple[str, Any]]:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        with db.read() as connection:
            act(connection)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return asked


def plan_of(db: Database, statement: str, parameters: Any) -> str:
    with db.read() as connection:
        if not db.is_sqlite:
            # There are no rows, of which reading all would be quickest.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        explain = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))


@pytest.mark.parametrize(("wanted", "index"), EXPECTED)
def test_each_filter_is_read_by_its_index(db: Database, wanted: Wanted, index: str) -> None:
    named = {"primary key": "sqlite_autoindex_verifications_1" if db.is_sqlite else "pk_verifications"}.get(
        index, index
    )
    for place in PLACES:
        statements = statements_of(db, wanted, place)
        assert len(statements) >= 2
        plans = [plan_of(db, *statement) for statement in statements]
        assert all(re.search(rf"\b{named}\b", plan) or "expiring" in plan or "pending" in plan for plan in plans), plans
        assert any(named in plan for plan in plans)
        assert not any(re.search(r"SCAN (verifications|calls)|Seq Scan", plan) for plan in plans), plans
    if wanted.reason is not None:
        assert any("ix_calls_subject_id" in plan for plan in plans)


SEARCHES: list[tuple[Callable[[Connection], object], str]] = [
    (lambda connection: find_by_request(connection, new_id(NOW)), "primary key"),
    (lambda connection: list_by_reference(connection, ("acme", "globex"), "x", limit=6), "ix_verifications_reference"),
]


@pytest.mark.parametrize(("search", "index"), SEARCHES, ids=["request", "reference"])
def test_each_search_is_read_by_its_index(db: Database, search: Callable[[Connection], object], index: str) -> None:
    key = "sqlite_autoindex_verifications_1" if db.is_sqlite else "pk_verifications"
    (statement,) = statements_while(db, search)
    plan = plan_of(db, *statement)
    assert re.search(rf"\b{key if index == 'primary key' else index}\b", plan), plan
    assert not re.search(r"SCAN (verifications|calls)|Seq Scan", plan), plan


@pytest.mark.parametrize("wanted", [wanted for wanted, _ in EXPECTED])
def test_no_key_has_two_bounds_on_one_side(db: Database, wanted: Wanted) -> None:
    """Of two, SQLite takes the first, be it the one that bounds nothing, and reads a million rows from there."""
    within_a_day = replace(wanted, since=NOW - timedelta(days=1), until=NOW + timedelta(days=1))
    for one in (wanted, within_a_day):
        for place in PLACES:
            for statement, _ in statements_of(db, one, place):
                for subquery in re.split(r"\(SELECT|\) AS ", statement):
                    for bound in (r"(created_at|verification_id) >=? ", r"(created_at|verification_id) <=? "):
                        # The place itself is told apart by its time and its id, among the rows that were found.
                        found = [line for line in subquery.splitlines() if "candidates" not in line]
                        assert len(re.findall(bound, "\n".join(found))) <= 1, statement
