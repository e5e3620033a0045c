"""The tables of tokens on SQLite and PostgreSQL: their constraints and their migration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from letstalk.audit import repository as audit_events
from letstalk.audit.models import AuditEvent
from letstalk.audit.repository import EventQuery
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.db.schema import metadata
from letstalk.tokens import repository as rows
from letstalk.tokens import usage as token_usage
from letstalk.tokens.models import Token
from letstalk.tokens.repository import TokenFilter
from tests.support.token_setup import NOON

OURS = {"tokens", "token_usage", "audit_events"}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    is_sqlite = request.param == "sqlite"
    db = Database(f"sqlite:///{tmp_path / 'tokens.db'}" if is_sqlite else request.getfixturevalue("postgresql_url"))
    yield db
    db.close()


def a_token(**fields: Any) -> Token:
    token = Token(
        token_id=str(uuid4()),
        lookup_id=uuid4().hex[:12],
        owner_id="acme",
        name="the shop",
        scopes=("read", "write"),
        allowed_ips=("10.0.0.0/8",),
        rate_limit="5 per minute",
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )
    return replace(token, **fields)


def insert(db: Database, *several: Token) -> None:
    with db.write() as connection:
        for token in several:
            rows.insert_token(connection, token, "sealed")


def ids(db: Database, wanted: TokenFilter) -> list[str]:
    with db.read() as connection:
        return [token.token_id for token in rows.list_tokens(connection, wanted, limit=100, before=None)]


def test_the_migration_makes_what_the_code_expects(db: Database) -> None:
    def is_ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in OURS

    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        found = inspect(connection)
        for name in OURS:
            made = {check["name"] for check in found.get_check_constraints(name)}
            said = {
                str(check.name) for check in metadata.tables[name].constraints if type(check).__name__[:5] == "Check"
            }
            assert made == said


def test_the_migration_can_be_undone(empty_db: Database) -> None:
    migrations.upgrade(empty_db)
    migrations.downgrade(empty_db, "base")
    with empty_db.read() as connection:
        assert not OURS & set(inspect(connection).get_table_names())


def test_a_token_comes_back_as_it_went_in(db: Database) -> None:
    token = a_token()
    insert(db, token)
    with db.read() as connection:
        assert rows.get_token(connection, token.token_id) == token
        found = rows.find_by_lookup(connection, token.lookup_id)
        assert found is not None
        assert rows.to_token(found) == token
        assert rows.find_by_lookup(connection, "nothinghere0") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"lookup_id": "short"},
        {"owner_id": ""},
        {"name": ""},
        {"scopes": ()},
        {"expires_at": NOON - timedelta(seconds=1)},
        {"successor_id": "no-such-token"},
    ],
)
def test_the_database_refuses_what_no_token_can_be(db: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        insert(db, a_token(**wrong))


def test_no_two_tokens_share_a_lookup_id(db: Database) -> None:
    token = a_token()
    insert(db, token)
    with pytest.raises(IntegrityError):
        insert(db, a_token(lookup_id=token.lookup_id))


def test_no_two_tokens_share_a_successor(db: Database) -> None:
    successor = a_token()
    insert(db, successor, a_token(successor_id=successor.token_id))
    with pytest.raises(IntegrityError):
        insert(db, a_token(successor_id=successor.token_id))


def test_a_list_shows_live_tokens_and_the_rest_on_request(db: Database) -> None:
    live, endless = a_token(), a_token(expires_at=None, created_at=NOON - timedelta(days=1))
    revoked, expired = a_token(revoked_at=NOON), a_token(expires_at=NOON)
    insert(db, live, endless, revoked, expired)
    assert ids(db, TokenFilter(live_at=NOON)) == [live.token_id, endless.token_id]
    assert len(ids(db, TokenFilter())) == 4


def test_a_list_leaves_out_tokens_with_a_scope_that_is_to_be_hidden(db: Database) -> None:
    fine, bundle = a_token(scopes=("calls:read",)), a_token(scopes=("read", "calls:read"))
    insert(db, fine, bundle)
    assert ids(db, TokenFilter(without_scopes=("read",))) == [fine.token_id]
    assert ids(db, TokenFilter(without_scopes=("calls:read",))) == []


@pytest.mark.parametrize(
    ("search", "is_found"),
    [("SHOP", True), ("acm", True), ("50%", True), ("_", False), ("%", True), ("shop%", False), ("\\", False)],
)
def test_a_search_takes_every_character_as_it_stands(db: Database, search: str, is_found: bool) -> None:
    insert(db, a_token(name="the shop, 50% off"))
    assert bool(ids(db, TokenFilter(search=search))) is is_found


def test_a_search_finds_the_lookup_id(db: Database) -> None:
    token = a_token()
    insert(db, token, a_token())
    assert ids(db, TokenFilter(search=token.lookup_id[:10])) == [token.token_id]


def test_pages_follow_each_other_without_a_gap_also_within_one_moment(db: Database) -> None:
    made = [a_token(created_at=NOON + timedelta(seconds=number // 4)) for number in range(10)]
    insert(db, *made)
    seen: list[Token] = []
    before = None
    with db.read() as connection:
        while page := rows.list_tokens(connection, TokenFilter(), limit=3, before=before):
            seen += page
            before = (page[-1].created_at, page[-1].token_id)
    assert seen == sorted(made, key=lambda token: (token.created_at, token.token_id), reverse=True)


def test_requests_are_added_and_the_last_use_never_goes_back(db: Database) -> None:
    one, other = a_token(), a_token()
    insert(db, one, other)
    later = NOON + timedelta(seconds=5)
    with db.write() as connection:
        rows.add_requests(connection, [(one.token_id, 3, later), (other.token_id, 1, NOON)])
        rows.add_requests(connection, [(one.token_id, 4, NOON)])
    with db.read() as connection:
        assert rows.get_token(connection, one.token_id) == replace(one, requests_total=7, last_used=later)
        assert rows.get_token(connection, other.token_id) == replace(other, requests_total=1, last_used=NOON)


def test_daily_usage_adds_up_and_old_days_can_be_forgotten(db: Database) -> None:
    token = a_token()
    insert(db, token)
    today, yesterday = date(2026, 11, 20), date(2026, 11, 19)
    with db.write() as connection:
        token_usage.add_usage(connection, [(token.token_id, today, 2), (token.token_id, yesterday, 5)])
        token_usage.add_usage(connection, [(token.token_id, today, 1)])
        assert token_usage.get_usage(connection, token.token_id, yesterday) == {yesterday: 5, today: 3}
        assert token_usage.get_usage(connection, token.token_id, today) == {today: 3}
        assert token_usage.erase_usage(connection, today) == 1
        assert token_usage.get_usage(connection, token.token_id, yesterday) == {today: 3}


def test_audit_events_come_back_newest_first_and_old_ones_can_be_forgotten(db: Database) -> None:
    old = AuditEvent(str(uuid4()), NOON, "token.created", token_id="one", detail={"name": "ü"})
    new = AuditEvent(str(uuid4()), NOON + timedelta(seconds=1), "refused", address="10.0.0.1")
    with db.write() as connection:
        audit_events.insert_events(connection, [old, new])
        assert audit_events.list_events(connection, EventQuery()) == [new, old]
        assert audit_events.list_events(connection, EventQuery(token_id="one")) == [old]
        assert audit_events.list_events(connection, EventQuery(action="refused")) == [new]
        assert audit_events.erase_events(connection, new.at) == 1
        assert audit_events.list_events(connection, EventQuery()) == [new]
