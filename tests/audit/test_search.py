"""Reading the audit trail: every filter, stable pages, and never a line about what somebody else owns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from letstalk.accounts.models import Role, scopes_of
from letstalk.audit.models import ACTIONS, AuditEntry, AuditEvent, AuditFilter, Names, TokenName, describe
from letstalk.audit.pages import GROUPS
from letstalk.audit.search import AuditSearch
from letstalk.config.settings import PROJECT_ROOT
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import InvalidRequest
from letstalk.tokens.models import NewToken, TokenChanges
from tests.support.token_setup import ADDRESS, NOON, OWNER, TokenSetup, make_setup, make_sqlite_setup


@pytest.fixture(params=["sqlite", "postgresql"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenSetup]:
    is_sqlite = request.param == "sqlite"
    made = make_sqlite_setup(tmp_path) if is_sqlite else make_setup(request.getfixturevalue("migrated_postgresql_url"))
    yield made
    made.db.close()


def search_in(setup: TokenSetup) -> AuditSearch:
    return AuditSearch(setup.db, setup.audit, setup.clocks.utc)


def a_person(*owner_ids: str) -> Actor:
    return Actor(ActorKind.PERSON, "", scopes_of(Role.VIEWER), account_id=str(uuid4()), owner_ids=frozenset(owner_ids))


def found(setup: TokenSetup, who: Actor = OWNER, /, **wanted: Any) -> list[AuditEntry]:
    page = search_in(setup).list_entries(who, AuditFilter(**wanted))
    return list(page.entries)


def test_each_filter_finds_its_lines_and_no_others(setup: TokenSetup) -> None:
    issued = setup.issue("read", "tokens:write", owner_id="acme", name="shop")
    acme = issued.record
    setup.clocks.move(60)
    shop = setup.issue("read", owner_id="globex").record
    setup.clocks.move(60)
    by_token = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.service.update_token(by_token, acme.token_id, TokenChanges(name="web shop"))
    setup.clocks.move(60)
    setup.audit.record_refusal("insufficient_scope", actor=by_token)

    def said(**wanted: Any) -> list[tuple[str, str | None]]:
        return [(one.event.action, one.event.owner_id) for one in found(setup, **wanted)]

    everything = [
        ("refused", "acme"),
        ("token.updated", "acme"),
        ("token.created", "globex"),
        ("token.created", "acme"),
    ]
    assert said() == everything
    assert said(action="token.created") == everything[2:]
    assert said(owner_id="globex") == said(token=shop.token_id) == [everything[2]]
    assert said(token=acme.prefix) == said(token=issued.secret) == [everything[0], everything[1], everything[3]]
    assert said(actor=acme.token_id) == said(actor=acme.prefix) == said(address=ADDRESS) == everything[:2]
    assert said(actor="owner") == everything[2:]
    assert said(since=NOON + timedelta(seconds=60), until=NOON + timedelta(seconds=120)) == [everything[2]]
    assert said(actor="owner", owner_id="acme", action="token.created") == [everything[3]]
    for nothing in ({"actor": "nobody"}, {"account": "ada"}, {"token": "lt_x"}, {"address": "::1"}, {"action": "x"}):
        assert said(**nothing) == []


def test_an_owner_sees_the_lines_about_what_is_theirs_and_no_other(setup: TokenSetup) -> None:
    for owner_id in ("acme", "globex", "initech"):
        token = setup.issue("read", owner_id=owner_id, name=f"of {owner_id}").record
        setup.service.revoke_token(OWNER, token.token_id)
    setup.audit.note("session.started", actor=OWNER, account_id=str(uuid4()))
    admin = setup.issue("admin", owner_id="globex", name="the operator")
    by_admin = setup.service.authenticator.authenticate(admin.secret, ADDRESS)
    made = setup.service.create_token(by_admin, NewToken(owner_id="acme", scopes=("read",))).record
    assert {one.event.owner_id for one in found(setup, a_person("acme"))} == {"acme"}
    assert {one.event.owner_id for one in found(setup, a_person("acme", "initech"))} == {"acme", "initech"}
    assert found(setup, a_person()) == []
    assert found(setup, a_person("acme"), owner_id="globex") == []
    assert found(setup, a_person("acme"), token=admin.record.token_id) == []
    assert len(found(setup)) == 9
    # With whose token somebody else acted is theirs.
    [line] = found(setup, a_person("acme"), token=made.token_id)
    assert (line.event.actor_token_id, line.event.actor_owner_id, line.actor) == (None, None, "A token")
    assert "operator" not in line.sentence
    [line] = found(setup, token=made.token_id)
    assert line.sentence == f"The token “the operator” created the token {made.prefix}… from {ADDRESS}."


def test_a_token_sees_nothing_about_tokens_that_may_do_more(setup: TokenSetup) -> None:
    setup.issue("read", "write", "admin", owner_id="acme")
    own = setup.issue("read", "tokens:read", owner_id="acme")
    actor = setup.service.authenticator.authenticate(own.secret, ADDRESS)
    assert [one.event.token_id for one in found(setup, actor)] == [own.record.token_id]


def test_a_refused_token_is_named_and_its_refusals_are_counted_by_reason(setup: TokenSetup) -> None:
    issued = setup.issue("read", owner_id="acme", name="shop", allowed_ips=("10.0.0.0/8",))
    other = setup.issue("read", owner_id="acme")
    actor = setup.service.authenticator.authenticate(issued.secret, "10.0.0.1")
    for count in range(70):
        about = {"token_id": issued.record.token_id, "owner_id": "acme"}
        setup.audit.record_refusal("address_not_allowed", address=ADDRESS, **about)  # type: ignore[arg-type]
        if count < 3:
            setup.audit.record_refusal("insufficient_scope", actor=actor)
        setup.clocks.move(1)
    setup.audit.record_refusal("invalid_token", address=ADDRESS, token_id=other.record.token_id)
    counted = search_in(setup).count_refusals(issued.record.token_id)
    assert [(one.code, one.count) for one in counted] == [("address_not_allowed", 70), ("insufficient_scope", 3)]
    assert counted[0].last_at == NOON + timedelta(seconds=60)
    setup.clocks.move(15 * 86400)
    assert search_in(setup).count_refusals(issued.record.token_id) == []
    lines = found(setup, a_person("acme"), action="refused")
    reason = "the token can't be used from this address"
    assert {one.sentence for one in lines if "times" in one.sentence} == {
        f"The token “shop” was refused 60 times in a minute from {ADDRESS}: {reason}.",
        f"The token “shop” was refused 10 times in a minute from {ADDRESS}: {reason}.",
        "The token “shop” was refused 3 times in a minute from 10.0.0.1: a scope or a role is missing.",
    }


@pytest.mark.parametrize("owner_ids", [None, ("acme", "globex")])
def test_pages_follow_each_other_without_a_gap_while_new_lines_come(
    setup: TokenSetup, owner_ids: tuple[str, ...] | None
) -> None:
    for number in range(9):
        setup.issue("read", owner_id="acme" if number % 2 else "globex")
        setup.clocks.move(number % 3 // 2)  # three of one moment
    actor = OWNER if owner_ids is None else a_person(*owner_ids)
    expected = [one.event.event_id for one in found(setup, actor)]
    seen: list[str] = []
    cursor = None
    while True:
        page = search_in(setup).list_entries(actor, AuditFilter(), limit=2, cursor=cursor)
        seen += [one.event.event_id for one in page.entries]
        setup.issue("read", owner_id="acme")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == expected
    exported = [one.event.event_id for one in search_in(setup).export(actor, AuditFilter(until=setup.clocks.now))]
    assert exported == [event_id for event_id in expected if event_id in exported]
    assert len(exported) >= 6


def test_every_wrong_filter_is_told_at_once(setup: TokenSetup) -> None:
    with pytest.raises(InvalidRequest) as error:
        found(setup, address="somewhere", owner_id="letstalk:x", actor="a\x00b", token="x" * 300)
    assert {one.field for one in error.value.details} == {"address", "user_id", "actor", "token"}
    with pytest.raises(InvalidRequest):
        search_in(setup).list_entries(OWNER, AuditFilter(), cursor="x")
    with pytest.raises(InvalidRequest):
        search_in(setup).list_entries(OWNER, AuditFilter(), limit=101)


def test_every_action_that_is_recorded_has_words_and_a_place_in_the_filter() -> None:
    code = "".join(path.read_text() for path in (PROJECT_ROOT / "letstalk").rglob("*.py"))
    recorded = set(re.findall(r'(?:\.record|\.note|\._record)\([^()]*?"([a-z_]+\.[a-z_]+)"', code))
    assert len(recorded) > 15
    assert recorded - set(ACTIONS) == set()
    assert {action.split(".")[0] for action in ACTIONS} <= set(GROUPS)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"action": "token.revoked", "actor_kind": "person", "actor_account_id": "a", "token_id": "t"},
            "ada revoked the token “Web shop” from 203.0.113.7.",
        ),
        (
            {"action": "account.password_changed", "actor_kind": "person", "actor_account_id": "a", "account_id": "a"},
            "ada changed their own password from 203.0.113.7.",
        ),
        (
            {"action": "account.updated", "actor_kind": "owner", "account_id": "a", "detail": {"role": ["x", "y"]}},
            "The built-in owner changed ada's account (role) from 203.0.113.7.",
        ),
        (
            {"action": "refused", "detail": {"code": "invalid_token", "count": 1}},
            "Somebody unknown was refused from 203.0.113.7: the token is wrong, revoked, expired or suspended.",
        ),
        (
            {"action": "webhook.{sent}_twice", "actor_kind": "service", "address": None},
            "Let's Talk webhook: sent twice.",
        ),
    ],
)
def test_a_line_is_a_sentence(fields: dict[str, object], sentence: str) -> None:
    names = Names({"t": TokenName("Web shop", "lt_x")}, {"a": "ada"})
    event = AuditEvent("e", NOON, **{"address": "203.0.113.7", **fields})  # type: ignore[arg-type]
    assert describe(event, names) == sentence
