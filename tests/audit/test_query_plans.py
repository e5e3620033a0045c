"""Each filter of the audit trail finds its newest entries in an index of a large table, without a scan or a sort."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from letstalk.audit.models import AuditFilter
from letstalk.audit.search import AuditSearch
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.pagination import encode_cursor
from letstalk.core.scopes import Scope
from letstalk.tokens.owners import OwnerDirectory
from tests.support.token_setup import NOON, OWNER, TokenSetup, make_setup, make_sqlite_setup

SOME_ID = str(uuid4())
FILTERS: dict[str, AuditFilter] = {
    "nothing": AuditFilter(),
    "times": AuditFilter(since=datetime(2026, 1, 1, tzinfo=UTC), until=NOON),
    "action": AuditFilter(action="token.revoked"),
    "owner": AuditFilter(owner_id="owner 7"),
    "token": AuditFilter(token=SOME_ID),
    "account": AuditFilter(account=SOME_ID),
    "actor": AuditFilter(actor=SOME_ID),
    "kind": AuditFilter(actor="command_line"),
    "address": AuditFilter(address="10.0.0.7"),
    "request": AuditFilter(request_id=SOME_ID),
}
# Most of a real trail are refusals and sign-ins; what is looked for is rare.
FILL = """
INSERT INTO audit_events (event_id, at, action, actor_kind, actor_token_id, token_id, account_id, actor_account_id,
                          address, user_id, request_id, detail)
SELECT 'event ' || n, {at}, CASE n % 50 WHEN 0 THEN 'token.revoked' ELSE 'refused' END,
       CASE n % 100 WHEN 0 THEN 'command_line' WHEN 1 THEN 'person' ELSE 'token' END,
       CASE WHEN n % 100 > 1 THEN 'token ' || (n % 97) END, 'token ' || (n % 97),
       CASE n % 100 WHEN 1 THEN 'account ' || (n % 37) END, CASE n % 100 WHEN 1 THEN 'account ' || (n % 37) END,
       '10.0.0.' || (n % 9), 'owner ' || (n % 8), 'request ' || n, '{{}}'
FROM {numbers}
"""
SQLITE = FILL.format(
    at="strftime('%Y-%m-%d %H:%M:%f000', '2026-11-01', '+' || n || ' seconds')",
    numbers="(WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 10000) SELECT n FROM c)",
)
POSTGRESQL = FILL.format(
    at="timestamptz '2026-11-01' + n * interval '1 second'", numbers="generate_series(1, 10000) AS n"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenSetup]:
    is_sqlite = request.param == "sqlite"
    made = make_sqlite_setup(tmp_path) if is_sqlite else make_setup(request.getfixturevalue("migrated_postgresql_url"))
    with made.db.write() as connection:
        connection.execute(text(SQLITE if is_sqlite else POSTGRESQL))
        connection.execute(text("ANALYZE audit_events"))
    yield made
    made.db.close()


def plans_of(setup: TokenSetup, act: Any) -> list[str]:
    """The plans of what `act` asks of audit events, a line for each step."""
    asked: list[tuple[str, Any]] = []

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if statement.startswith(("SELECT audit_events", "WITH RECURSIVE")):
            asked.append((statement, parameters))

    act()
    event.remove(setup.db.engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if setup.db.is_sqlite else "EXPLAIN"
    lines = []
    with setup.db.read() as connection:
        for statement, parameters in asked:
            for row in connection.exec_driver_sql(f"{explain} {statement}", parameters):
                lines.append(str(row[-1]))
    assert lines
    return lines


def wasteful(lines: list[str]) -> list[str]:
    """The steps that read a table from end to end, or sort what they have read."""
    bad = []
    for line in lines:
        is_scan = line.startswith("SCAN audit_events") and "USING" not in line
        if is_scan or "Seq Scan on audit_events" in line or "TEMP B-TREE" in line or "Sort" in line:
            bad.append(line)
    return bad


def test_every_filter_is_answered_by_an_index_in_the_order_of_the_list(setup: TokenSetup) -> None:
    search = AuditSearch(setup.db, setup.audit, setup.clocks.utc)
    cursor = encode_cursor(NOON, SOME_ID)
    for wanted in FILTERS.values():
        for place in (None, cursor):
            lines = plans_of(setup, partial(search.list_entries, OWNER, wanted, cursor=place))
            assert wasteful(lines) == [], wanted
    # A person with several owners: one look-up for each.
    owner_ids = frozenset({"owner 1", "owner 2", "owner 3"})
    person = Actor(ActorKind.PERSON, "", frozenset({Scope.TOKENS_READ}), account_id=SOME_ID, owner_ids=owner_ids)
    lines = plans_of(setup, partial(search.list_entries, person, AuditFilter()))
    assert wasteful(lines) == []
    assert len([line for line in lines if "ix_audit_events_user_id_at" in line]) == 3
    assert wasteful(plans_of(setup, partial(sort_everything, setup))) != [], "a sort would be seen"


def sort_everything(setup: TokenSetup) -> None:
    with setup.db.read() as connection:
        connection.execute(text("SELECT audit_events.* FROM audit_events ORDER BY request_id LIMIT 5"))


def test_owners_are_listed_once_each(setup: TokenSetup) -> None:
    for owner_id in ("globex", "acme", "acme", "ümläut", "letstalk-shop"):
        setup.issue("read", owner_id=owner_id)
    directory = OwnerDirectory(setup.db)
    assert set(directory.list_owners()) == {"acme", "globex", "letstalk-shop", "ümläut"}
    assert len(directory.list_owners()) == 4
    assert [directory.is_known(name) for name in ("acme", "acm", "default_user", "Acme")] == [True, False, True, False]
