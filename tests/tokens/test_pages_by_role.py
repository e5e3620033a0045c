"""The dashboard's pages about tokens for each role: what a role may not do is neither offered nor done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.tokens.models import NewToken
from tests.support.apps import OWNER, make_app, services_of
from tests.support.pages import TOKENS, Visitor, a_visitor, audited_in

TEST_NUMBERS = "/dashboard/test-numbers"
ADMINS = {"/dashboard/health", "/dashboard/people"}

NEW = "/dashboard/tokens/new"
CREATE = "/dashboard/tokens"
SECRET = re.compile(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


@pytest.fixture
def developer(app: Flask) -> Visitor:
    return a_visitor(app, "dev", "developer", owner_ids=("acme", "shop"))


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    return a_visitor(app, "vera", "viewer", owner_ids=("acme",))


def token_of(app: Flask, owner_id: str, *scopes: str) -> str:
    """The id of a token named after its owner."""
    wanted = NewToken(owner_id=owner_id, scopes=scopes or ("read", "write"), name=f"Of {owner_id}")
    return services_of(app).tokens.create_token(OWNER, wanted).record.token_id


def create(visitor: Visitor, **fields: str | list[str]) -> TestResponse:
    return visitor.post(CREATE, **{"name": "Mine", "user_id": "acme", "scopes": ["read"], **fields})


def test_each_sees_the_tokens_of_the_owners_granted_and_no_others(
    app: Flask, developer: Visitor, viewer: Visitor
) -> None:
    ids = {owner_id: token_of(app, owner_id) for owner_id in ("acme", "shop", "other")}
    admin = a_visitor(app, "root", "admin")
    seen = {viewer: {"acme"}, developer: {"acme", "shop"}, admin: {"acme", "shop", "other"}}
    for visitor, owners in seen.items():
        for path in (TOKENS, f"{TOKENS}?q=of", f"{TOKENS}?revoked=1"):
            page = visitor.get(path).text
            assert {owner_id for owner_id in ids if f"Of {owner_id}" in page} == owners
        for owner_id, token_id in ids.items():
            expected = 200 if owner_id in owners else 404
            assert visitor.get(f"{CREATE}/{token_id}").status_code == expected


def test_a_viewer_is_offered_nothing_and_may_do_nothing(app: Flask, viewer: Visitor) -> None:
    token_id = token_of(app, "acme", "read")
    for page in (viewer.get(TOKENS).text, viewer.get(f"{CREATE}/{token_id}").text):
        assert "Of acme" in page
        for offer in (NEW, "/rotate", "/revoke", "New token"):
            assert offer not in page
    for path in (NEW, f"{CREATE}/{token_id}/rotate", f"{CREATE}/{token_id}/revoke"):
        assert viewer.get(path).status_code == 403
    assert create(viewer).status_code == 403
    for action in ("rotate", "revoke"):
        assert viewer.post(f"{CREATE}/{token_id}/{action}", grace_seconds="0").status_code == 403
    assert services_of(app).tokens.get_token(OWNER, token_id).revoked_at is None
    assert [event.action for event in audited_in(app, "token.created")] == ["token.created"], "the one made above"
    refusals = audited_in(app, "refused")
    assert {event.actor_account_id for event in refusals} == {viewer.account_id}


def test_a_developer_makes_tokens_of_the_owners_granted(app: Flask, developer: Visitor) -> None:
    form = developer.get(NEW).text
    assert re.findall(r'<option value="(acme|shop|default_user)"', form) == ["acme", "shop"]
    assert 'value="admin"' not in form
    page = create(developer, user_id="shop", scopes=["read", "write"])
    secret = SECRET.search(page.text)
    assert secret
    current = app.test_client().get("/api/tokens/current", headers={"Authorization": f"Bearer {secret[0]}"})
    assert current.get_json()["user_id"] == "shop"
    [event] = audited_in(app, "token.created")
    assert event.actor_account_id == developer.account_id


@pytest.mark.parametrize(
    "wider",
    [{"user_id": "other"}, {"user_id": "default_user"}, {"scopes": ["admin"]}, {"rate_limit": "1000000 per second"}],
)
def test_a_developer_gives_nothing_that_is_not_theirs(tmp_path: Path, wider: dict[str, str | list[str]]) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="600 per minute")
    developer = a_visitor(app, "dev", "developer", owner_ids=("acme", "shop"))
    answer = create(developer, **wider)
    assert answer.status_code == 403
    assert 'value="Mine"' in answer.text, "what was filled in is not lost"
    assert not SECRET.search(answer.text)
    assert audited_in(app, "token.created") == []


def test_a_token_that_may_do_more_is_seen_and_left_alone(app: Flask, developer: Visitor) -> None:
    token_id = token_of(app, "acme", "admin")
    page = developer.get(f"{CREATE}/{token_id}")
    assert page.status_code == 200
    assert "/revoke" not in page.text
    for action in ("rotate", "revoke"):
        assert developer.get(f"{CREATE}/{token_id}/{action}").status_code == 403
        assert developer.post(f"{CREATE}/{token_id}/{action}", grace_seconds="0").status_code == 403
    assert services_of(app).tokens.get_token(OWNER, token_id).revoked_at is None


def test_who_has_no_grants_is_told_whom_to_ask(app: Flask) -> None:
    token_of(app, "acme")
    idle = a_visitor(app, "idle", "developer", owner_ids=())
    page = idle.get(TOKENS).text
    assert "No owner was granted to your account yet." in page
    assert "Of acme" not in page
    assert NEW not in page
    assert create(idle).status_code == 403


def test_a_grant_that_is_taken_away_hides_its_tokens_at_once(app: Flask, developer: Visitor) -> None:
    token_id = token_of(app, "shop")
    admin = a_visitor(app, "root", "admin")
    fields = {"email": "dev@example.com", "role": "developer", "user_ids": "acme"}
    admin.post(f"/dashboard/people/{developer.account_id}", **fields)
    assert developer.get(f"{CREATE}/{token_id}").status_code == 404
    assert create(developer, user_id="shop").status_code == 403


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("admin", {TOKENS, TEST_NUMBERS, *ADMINS, "/dashboard/audit", "/docs"}),
        ("developer", {TOKENS, TEST_NUMBERS, "/dashboard/audit", "/docs"}),
        ("viewer", {TOKENS, "/dashboard/audit", "/docs"}),
    ],
)
def test_the_menu_leads_only_where_one_may_go(app: Flask, role: str, offered: set[str]) -> None:
    visitor = a_visitor(app, "someone", role)
    menu = visitor.get(TOKENS).text.partition("<nav")[2].partition("</nav>")[0]
    links = set(re.findall(r'href="([^"]+)"', menu))
    assert links >= offered
    assert links.isdisjoint(ADMINS) or role == "admin"
    assert TEST_NUMBERS not in links or role != "viewer"
    for path in links - {"/docs"}:
        assert visitor.get(path).status_code == 200
