"""The audit trail: what it says, what it never says, and that it can't be flooded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from letstalk.audit.service import AuditTrail
from letstalk.core.errors import InvalidRequest
from letstalk.observability.logs import bound_contextvars
from letstalk.tokens.models import NewToken, TokenChanges
from tests.support.token_setup import ADDRESS, NOON, OWNER, TokenSetup, make_sqlite_setup


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[TokenSetup]:
    made = make_sqlite_setup(tmp_path)
    yield made
    made.db.close()


def test_a_token_s_life_is_on_record(setup: TokenSetup) -> None:
    with bound_contextvars(request_id="request-1"):
        token_id = setup.issue("read", owner_id="acme", name="shop").record.token_id
    setup.clocks.move(1)
    setup.service.update_token(OWNER, token_id, TokenChanges(scopes=("read", "write"), name="shop"))
    setup.clocks.move(1)
    new = setup.service.rotate_token(OWNER, token_id, 60).record.token_id
    setup.clocks.move(1)
    setup.service.revoke_token(OWNER, new)
    created, updated, rotated, revoked = reversed(setup.events())
    assert (created.action, created.token_id, created.at) == ("token.created", token_id, NOON)
    assert (created.actor_kind, created.address, created.request_id) == ("owner", "127.0.0.1", "request-1")
    assert created.detail == {
        "user_id": "acme",
        "name": "shop",
        "scopes": ["read"],
        "allowed_ips": [],
        "rate_limit": None,
        "custom_message": None,
        "expires_at": None,
    }
    assert (updated.action, updated.detail) == ("token.updated", {"scopes": [["read"], ["read", "write"]]})
    assert (rotated.action, rotated.token_id) == ("token.rotated", token_id)
    assert rotated.detail == {"successor_id": new, "grace_seconds": 60, "works_until": "2026-11-20T12:01:02.000Z"}
    assert (revoked.action, revoked.token_id) == ("token.revoked", new)
    assert revoked.detail == {"grace_ended": [token_id]}


def test_a_token_that_acts_is_named(setup: TokenSetup) -> None:
    issued = setup.issue("read", "write", "tokens:write", owner_id="acme")
    actor = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.service.create_token(actor, NewToken(scopes=("read",)))
    made = next(one for one in setup.events("token.created") if one.actor_kind == "token")
    assert (made.actor_owner_id, made.actor_token_id, made.address) == ("acme", issued.record.token_id, ADDRESS)


def test_a_change_that_fails_is_not_on_record(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    with pytest.raises(InvalidRequest):
        setup.service.update_token(OWNER, token_id, TokenChanges(scopes=()))
    assert [one.action for one in setup.events()] == ["token.created"]


def test_no_entry_holds_a_secret(setup: TokenSetup) -> None:
    issued = setup.issue()
    rotated = setup.service.rotate_token(OWNER, issued.record.token_id)
    said = repr(setup.events())
    for one in (issued, rotated):
        assert one.secret.split("_")[2] not in said


def test_refusals_wait_for_the_flush_and_are_written_in_one_statement(setup: TokenSetup) -> None:
    statements: list[str] = []

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    for number in range(50):
        setup.audit.record_refusal("invalid_token", address=f"203.0.113.{number}", request_id="r" * 100)
    assert statements == []
    assert setup.audit.flush()
    assert len([statement for statement in statements if statement.startswith("INSERT")]) == 1
    found = setup.events("refused")
    assert len(found) == 50
    assert found[0].detail == {"code": "invalid_token", "count": 1}
    assert found[0].actor_kind is None


def test_refusals_of_one_kind_to_one_client_in_one_minute_are_one_row_with_their_count(setup: TokenSetup) -> None:
    issued = setup.issue("read", owner_id="acme")
    actor = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    for number in range(3000):
        setup.audit.record_refusal("invalid_token", address=f"2001:db8:1:2::{number:x}")
        if number % 1000 == 0:
            assert setup.audit.flush()
    setup.audit.record_refusal("invalid_token", address="2001:db8:1:3::1")
    setup.audit.record_refusal("missing_authorization", address="2001:db8:1:2::1")
    setup.audit.record_refusal("insufficient_scope", actor=actor)
    setup.clocks.move(60)
    setup.audit.record_refusal("invalid_token", address="2001:db8:1:2::1")
    assert setup.audit.flush()
    rows = [
        (one.detail["code"], one.address, one.actor_token_id, one.detail["count"]) for one in setup.events("refused")
    ]
    assert sorted(rows, key=repr) == [
        ("insufficient_scope", ADDRESS, issued.record.token_id, 1),
        ("invalid_token", "2001:db8:1:2::0", None, 3000),
        ("invalid_token", "2001:db8:1:2::1", None, 1),
        ("invalid_token", "2001:db8:1:3::1", None, 1),
        ("missing_authorization", "2001:db8:1:2::1", None, 1),
    ]
    assert setup.audit.flush()
    assert len(setup.audit._refusals) == 1, "past minutes are forgotten once they are written"


def test_many_strangers_in_one_minute_are_counted_together_and_hide_nobody_who_is_known(
    setup: TokenSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letstalk.audit.service.MAX_STRANGERS", 20)
    issued = setup.issue("read", owner_id="acme")
    actor = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    for number in range(100):
        setup.audit.record_refusal("invalid_token", address=f"198.51.{number // 250}.{number % 250}")
    setup.audit.record_refusal("insufficient_scope", actor=actor)
    assert setup.audit.flush()
    found = setup.events("refused")
    assert len(found) == 20 + 2
    assert [one.detail["count"] for one in found if one.address is None] == [80]
    assert [one.detail["code"] for one in found if one.actor_token_id is not None] == ["insufficient_scope"]


def test_a_flood_is_counted_and_not_kept(setup: TokenSetup) -> None:
    audit = AuditTrail(setup.db, clock=setup.clocks.utc, max_buffered=10)
    for number in range(25):
        audit.record_refusal("invalid_token", address=str(number))
    assert audit.flush()
    assert len(setup.events("refused")) == 10
    assert [one.detail for one in setup.events("refusals_dropped")] == [{"count": 15}]
    assert audit.flush()
    assert len(setup.events()) == 11


def test_a_flush_that_fails_keeps_what_it_can_and_counts_the_rest(setup: TokenSetup) -> None:
    audit = AuditTrail(setup.db, clock=setup.clocks.utc, max_buffered=10)
    is_down = True

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if is_down and statement.startswith("INSERT"):
            raise OperationalError(statement, None, Exception("the disk is full"))

    for number in range(12):
        audit.record_refusal("invalid_token", address=str(number))
        if number == 7:
            assert not audit.flush()
    is_down = False
    assert audit.flush()
    assert {one.address for one in setup.events("refused")} == {str(number) for number in range(10)}
    assert [one.detail for one in setup.events("refusals_dropped")] == [{"count": 2}]


def test_old_events_can_be_forgotten(setup: TokenSetup) -> None:
    setup.issue()
    setup.clocks.move(60)
    setup.issue()
    assert setup.audit.erase_before(setup.clocks.now) == 1
    assert len(setup.events()) == 1
