"""No request reads a table from end to end: each statement of each route, explained by SQLite."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.database import Database
from letstalk.observability.request_log import ROUTE
from tests.flows.installations import eventually
from tests.support.apps import PHONE, Api, TurnableClock, code_of, issue_token, make_app, working
from tests.support.fixtures.databases import all_tables

OTHER_PHONE, THIRD_PHONE = "+256700123457", "+256700123458"
TABLES = {table.name for table in all_tables()}
# Partial, but every call that is over has an entry.
GROWING_INDEXES = {"ix_calls_ended_at", "ix_calls_finished", "ix_calls_provider_call_id"}
GROWING_INDEXES |= {
    str(index.name) for table in all_tables() for index in table.indexes if table.name == "audit_events"
}
# Of these an index holds only a few rows at any time: those of calls that wait or live, or whose command waits.
SMALL_INDEXES = {
    index.name
    for table in all_tables()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
} - GROWING_INDEXES


@dataclass
class Trace:
    """What SQLite was asked, with its values, by the thread that speaks for a client and by the others."""

    requests: set[str] = field(default_factory=set)
    background: set[str] = field(default_factory=set)
    endpoints: set[str | None] = field(default_factory=set)

    def listen(self, app: Flask) -> None:
        client = threading.get_ident()
        rules = {
            (method, rule.rule): rule.endpoint for rule in app.url_map.iter_rules() for method in rule.methods or ()
        }
        inner = app.wsgi_app

        # Around everything: not every request gets as far as Flask's own hooks.
        def note_endpoint(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            answer = inner(environ, start_response)
            self.endpoints.add(rules.get((environ["REQUEST_METHOD"], environ.get(ROUTE, ""))))
            return answer

        app.wsgi_app = note_endpoint  # type: ignore[method-assign]  # as middleware is put in front

        def note(statement: str) -> None:
            if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement):
                (self.requests if threading.get_ident() == client else self.background).add(statement)

        def trace(connection: sqlite3.Connection, *_: Any) -> None:
            connection.set_trace_callback(note)

        # At the driver, below every way that there is to run a statement; so connections that are there must go.
        db: Database = app.extensions["letstalk_db"]
        db.close()
        event.listen(db.engine, "connect", trace)


def explain(folder: Path, statement: str) -> list[str]:
    with sqlite3.connect(folder / "letstalk.db") as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


def scans_of(plan: list[str], statement: str) -> list[str]:
    """The steps that read a whole table, or the whole of an index that grows with one."""
    found = []
    words = statement.upper().replace("\n", " ")
    for step in plan:
        # A partial index of all that have a value is found for `IS NOT NULL` alone, and read from end to end.
        whole = re.match(r"SEARCH (\w+) USING (?:COVERING )?INDEX (\w+) \((\w+)>\?\)", step)
        if whole is not None and whole[2] not in SMALL_INDEXES and not re.search(rf"\b{whole[3]} >", statement):
            in_order = " LIMIT " in words and re.search(rf"ORDER BY (\w+\.)?{whole[3]}\b", statement)
            if not in_order:
                found.append(step)
            continue
        scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if scan is None or scan[1] not in TABLES:
            continue
        ends_early = scan[2] is not None and " LIMIT " in words
        if scan[2] not in SMALL_INDEXES and not ends_early:
            found.append(step)
    return found


def refused(folder: Path, statements: set[str]) -> dict[str, list[str]]:
    plans = {statement: explain(folder, statement) for statement in statements}
    return {statement: scans for statement, plan in plans.items() if (scans := scans_of(plan, statement))}


def use_calls(api: Api, clock: TurnableClock, code_of: Callable[[str], str]) -> None:
    """Every route of /calls, each way that it can take."""
    first = api.post("/calls/otp", {"phone": PHONE}, Idempotency_Key="one").get_json()["verification_id"]
    assert api.post("/calls/otp", {"phone": PHONE}, Idempotency_Key="one").status_code == 202
    assert api.post("/calls/otp", {"phone": PHONE}).status_code == 429
    heard = ("completed", "canceled")
    eventually(lambda: api.get(f"/calls/{first}").get_json()["calls"][0]["status"] in heard, "no call ended")
    clock.move(40)
    assert api.post("/calls/replay", {"phone": PHONE}, Idempotency_Key="two").status_code == 202
    clock.move(40)
    second = api.post("/calls/otp", {"phone": PHONE}).get_json()["verification_id"]  # supersedes the first
    wrong = f"{(int(code_of(second)) + 1) % 10**6:06d}"
    assert api.post("/calls/verify", {"phone": PHONE, "code": wrong}).status_code == 400
    assert api.post("/calls/verify", {"verification_id": second, "code": code_of(second)}).status_code == 200
    assert api.post("/calls/verify", {"phone": PHONE, "code": wrong}).status_code == 410
    third = api.post("/calls/otp", {"phone": OTHER_PHONE}).get_json()["verification_id"]
    assert api.post(f"/calls/{third}/cancel").status_code == 200
    fourth = api.post("/calls/otp", {"phone": THIRD_PHONE}).get_json()["verification_id"]
    for _ in range(5):
        assert api.post("/calls/verify", {"verification_id": fourth, "code": "0000000000"}).status_code == 400
    assert api.get("/calls", limit=1, reference="order-4711").status_code == 200
    for status in (None, "pending", "approved", "expired", "attempts_exceeded", "canceled", "superseded", "failed"):
        for phone in (None, PHONE):
            asked = {name: value for name, value in (("status", status), ("phone", phone)) if value is not None}
            page = api.get("/calls", limit=1, **asked).get_json()
            if page["next_cursor"]:
                assert api.get("/calls", limit=1, cursor=page["next_cursor"], **asked).status_code == 200


def use_tokens(api: Api) -> None:
    """Every route of /api/tokens, each way that it can take."""
    made = [api.post("/api/tokens", {"user_id": "acme", "name": "one"}).get_json() for _ in range(3)]
    token_id = made[0]["token_id"]
    for asked in ({}, {"user_id": "acme"}, {"include_revoked": "true"}):
        page = api.get("/api/tokens", limit=1, **asked).get_json()
        assert api.get("/api/tokens", limit=1, cursor=page["next_cursor"], **asked).status_code == 200
    own = Api(api.client, made[1]["token"])
    assert own.get("/api/tokens/current").status_code == 200
    assert api.get(f"/api/tokens/{token_id}").status_code == 200
    assert api.get(f"/api/tokens/{token_id}/usage").status_code == 200
    headers = {"Authorization": f"Bearer {api.token}"}
    assert api.client.patch(f"/api/tokens/{token_id}", json={"name": "two"}, headers=headers).status_code == 200
    assert api.post(f"/api/tokens/{token_id}/rotate", {"grace_seconds": 60}).status_code == 201
    assert api.client.delete(f"/api/tokens/{token_id}", headers=headers).status_code == 200


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def traced(tmp_path: Path, clock: TurnableClock) -> Trace:
    """What every route of the API, and the work behind it, asks of the database."""
    key = make_encryption_key()
    app = make_app(tmp_path, clock, SIMULATOR_SPEED="1000", ENCRYPTION_KEYS=key)
    trace = Trace()
    api = Api(app.test_client(), issue_token(app, "admin"))
    trace.listen(app)
    with working(app):
        use_calls(api, clock, lambda verification_id: code_of(tmp_path, key, verification_id))
        use_tokens(api)
    described = {name for name in app.view_functions if name.split(".")[0] in ("calls", "tokens")}
    assert described - trace.endpoints == set()
    return trace


def test_no_request_scans_a_table(traced: Trace, tmp_path: Path) -> None:
    assert len(traced.requests) > 40
    assert refused(tmp_path, traced.requests) == {}


def test_no_work_behind_a_request_scans_a_table(traced: Trace, tmp_path: Path) -> None:
    assert len(traced.background) > 10
    # Once a minute two short tables are cleaned: as many rows as there are workers, and two days' counts.
    cleaning = ("DELETE FROM workers ", "DELETE FROM destination_counts ")
    behind_requests = {statement for statement in traced.background if not statement.startswith(cleaning)}
    assert refused(tmp_path, behind_requests) == {}


def test_a_scan_would_be_seen(tmp_path: Path) -> None:
    make_app(tmp_path)
    scans = (
        "SELECT count(*) FROM calls WHERE reason = 'x'",
        "SELECT DISTINCT user_id FROM verifications",
        "SELECT * FROM calls WHERE provider_call_id IS NOT NULL AND reason = 'x' LIMIT 5",
    )
    fine = (
        "SELECT * FROM verifications WHERE verification_id = 'x'",
        "SELECT * FROM calls ORDER BY phone LIMIT 5",
        "SELECT * FROM calls WHERE ended_at > 'x'",
        "SELECT * FROM calls WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT 5",
    )
    assert set(refused(tmp_path, {*scans, *fine})) == set(scans)
