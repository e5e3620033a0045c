"""Tokens know the account that created them, and do not outlive its rights unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from letstalk.accounts.models import AccountChanges, AccountState
from letstalk.db import migrations
from tests.flows.installations import eventually
from tests.support.account_services import Person, a_person
from tests.support.apps import OWNER, make_app, services_of
from tests.support.pages import a_visitor, audited_in


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def make_token(person: Person) -> dict[str, Any]:
    made = person.post("/api/tokens", {"name": "checkout"})
    assert made.status_code == 201
    body: dict[str, Any] = made.get_json()
    return body


def status_of(app: Flask, secret: str) -> int:
    return app.test_client().get("/calls", headers={"Authorization": f"Bearer {secret}"}).status_code


def disable(app: Flask, person: Person, *, disabled: bool = True, **more: bool) -> None:
    changes = AccountChanges(disabled=disabled)
    services_of(app).accounts.service.update_account(OWNER, person.account.account_id, changes, **more)


def test_a_token_of_a_disabled_account_is_refused_until_it_is_enabled_again(app: Flask, tmp_path: Path) -> None:
    ada, eve = a_person(app), a_person(app, "eve")
    made, other = make_token(ada), make_token(eve)
    assert status_of(app, made["token"]) == 200, "cached now"
    disable(app, ada)
    elsewhere = make_app(tmp_path)
    assert status_of(elsewhere, made["token"]) == 401, "on another instance"
    eventually(lambda: status_of(app, made["token"]) == 401, "refused")
    assert status_of(app, other["token"]) == 200, "nobody else's"
    record = services_of(app).tokens.get_token(OWNER, made["token_id"])
    assert (record.is_suspended, record.revoked_at, record.created_by) == (True, None, ada.account.account_id)
    disable(app, ada, disabled=False)
    assert status_of(app, made["token"]) == 200


def test_what_a_token_of_theirs_has_created_is_suspended_too(app: Flask) -> None:
    ada = a_person(app)
    wide = ada.post("/api/tokens", {"scopes": ["read", "tokens:write"]}).get_json()
    bearer = {"Authorization": f"Bearer {wide['token']}"}
    child = app.test_client().post("/api/tokens", json={"scopes": ["read"]}, headers=bearer).get_json()
    rotated = app.test_client().post(f"/api/tokens/{wide['token_id']}/rotate", json={}, headers=bearer).get_json()
    disable(app, ada)
    for one in (wide, child, rotated):
        assert status_of(app, one["token"]) == 401


def test_a_token_that_an_admin_rotates_is_the_admins(app: Flask) -> None:
    ada, root = a_person(app), a_person(app, "root", role="admin")
    made = make_token(ada)
    disable(app, ada)
    taken_over = root.post(f"/api/tokens/{made['token_id']}/rotate", {}).get_json()
    assert status_of(app, taken_over["token"]) == 200
    record = root.get(f"/api/tokens/{taken_over['token_id']}").get_json()
    assert (record["created_by"], record["suspended"]) == (root.account.account_id, False)


def test_revoking_with_the_account_is_for_good(app: Flask) -> None:
    ada, root = a_person(app), a_person(app, "root", role="admin")
    made = make_token(ada)
    path = f"/api/accounts/{ada.account.account_id}"
    assert root.call("PATCH", path, {"revoke_tokens": True}).status_code == 400, "for accounts that are disabled"
    assert root.call("PATCH", path, {"disabled": False, "revoke_tokens": True}).status_code == 400
    assert status_of(app, made["token"]) == 200
    assert root.call("PATCH", path, {"disabled": True, "revoke_tokens": True}).status_code == 200
    disable(app, ada, disabled=False)
    eventually(lambda: status_of(app, made["token"]) == 401, "refused")
    [event] = audited_in(app, "token.revoked")
    assert event.detail == {"revoked_with_account": ada.account.account_id}


@pytest.mark.parametrize(
    ("is_disabled", "query", "status"), [(False, "", 200), (False, "?revoke_tokens=true", 401), (True, "", 401)]
)
def test_a_deleted_account_leaves_no_token_in_force_that_was_suspended(
    app: Flask, is_disabled: bool, query: str, status: int
) -> None:
    ada, root = a_person(app), a_person(app, "root", role="admin")
    made = make_token(ada)
    if is_disabled:
        disable(app, ada)
    assert root.call("DELETE", f"/api/accounts/{ada.account.account_id}{query}").status_code == 200
    assert status_of(app, made["token"]) == status
    assert root.get(f"/api/tokens/{made['token_id']}").get_json()["created_by"] == ada.account.account_id


def test_lists_say_who_created_a_token(app: Flask) -> None:
    ada, root = a_person(app), a_person(app, "root", role="admin")
    made, _ = make_token(ada), make_token(root)
    services_of(app).accounts.service.update_account(OWNER, ada.account.account_id, AccountChanges(username="lovelace"))
    listed = root.get(f"/api/tokens?created_by={ada.account.account_id}").get_json()["tokens"]
    assert [token["token_id"] for token in listed] == [made["token_id"]]
    assert root.get("/api/tokens?created_by=x").status_code == 400
    shown = app.test_cli_runner().invoke(args=["tokens", "list"]).output
    assert "lovelace" in shown
    as_json = app.test_cli_runner().invoke(args=["tokens", "list", "--json"]).output
    assert {token["created_by"] for token in json.loads(as_json)} == {ada.account.account_id, root.account.account_id}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_token_of_an_older_database_belongs_to_who_created_it_and_goes_on_working(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    older = {} if backend == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgresql_url")}
    app = make_app(tmp_path, **older)
    ada, eve = a_person(app), a_person(app, "eve")
    made, kept = make_token(ada), make_token(eve)
    disable(app, eve)
    services_of(app).audit.flush()
    db = app.extensions["letstalk_db"]
    migrations.downgrade(db, "0012")
    migrations.upgrade(db)
    db.close()
    again = make_app(tmp_path, **older)
    found = services_of(again).tokens.list_tokens(OWNER).tokens
    assert {token.token_id: token.created_by for token in found} == {
        made["token_id"]: ada.account.account_id,
        kept["token_id"]: None,
    }
    assert status_of(again, kept["token"]) == 200, "no upgrade stops an app"
    disable(again, ada)
    assert status_of(again, made["token"]) == 401
    again.extensions["letstalk_db"].close()


def test_the_command_line_names_the_tokens_and_revokes_them(app: Flask) -> None:
    ada = a_person(app)
    made = make_token(ada)
    suspended = app.test_cli_runner().invoke(args=["accounts", "disable", ada.account.email])
    assert f"Token {made['token_id']} of acme: suspended." in suspended.output
    revoked = app.test_cli_runner().invoke(args=["accounts", "disable", ada.account.email, "--revoke-tokens"])
    assert f"Token {made['token_id']} of acme: revoked." in revoked.output
    assert services_of(app).tokens.get_token(OWNER, made["token_id"]).revoked_at is not None


def test_the_pages_show_the_tokens_and_offer_to_revoke_them(app: Flask) -> None:
    ada = a_person(app)
    made = make_token(ada)
    admin = a_visitor(app, "root", "admin")
    page = f"/dashboard/people/{ada.account.account_id}"
    for path in (page, f"{page}/delete"):
        text = admin.get(path).text
        assert made["prefix"] in text
        assert 'name="revoke_tokens"' in text
    assert f"by {ada.account.username}" in admin.get("/api/tokens/dashboard").text
    admin.post(f"{page}/disable")
    assert status_of(app, made["token"]) == 401
    assert ">suspended</span>" in admin.get(page).text
    assert ">suspended</span>" in admin.get(f"/dashboard/tokens/{made['token_id']}").text
    assert services_of(app).accounts.service.get_account(OWNER, ada.account.account_id).state is AccountState.DISABLED
    admin.post(f"{page}/enable")
    admin.post(f"{page}/disable", revoke_tokens="1")
    assert services_of(app).tokens.get_token(OWNER, made["token_id"]).revoked_at is not None
    assert made["prefix"] not in admin.get(page).text
