"""`/api/accounts`: what admins may change, and what people may change in their own account."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from flask import Flask

from tests.support.account_services import PASSWORD, Person, a_person
from tests.support.apps import issue_token, make_app

AN_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
PHONE = "+256700123456"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("accounts"))


@pytest.fixture(scope="module")
def admin(app: Flask) -> Person:
    return a_person(app, "root", "admin", owner_ids=())


@pytest.fixture
def ada(app: Flask) -> Person:
    return a_person(app, f"ada-{uuid.uuid4().hex[:8]}")


def path_of(person: Person) -> str:
    return f"/api/accounts/{person.account.account_id}"


def test_an_admin_lists_people_newest_first_and_finds_them(admin: Person, ada: Person) -> None:
    listed = admin.get("/api/accounts?limit=1").get_json()
    assert [account["account_id"] for account in listed["accounts"]] == [ada.account.account_id]
    assert listed["next_cursor"]
    found = admin.get(f"/api/accounts?search={ada.account.username}").get_json()["accounts"]
    assert found == [admin.get(path_of(ada)).get_json()]
    assert found[0]["user_ids"] == ["acme"]
    assert "password" not in str(found)
    roles = {account["role"] for account in admin.get("/api/accounts?role=admin").get_json()["accounts"]}
    assert roles == {"admin"}
    for wrong in ("role=root", "state=gone", "limit=0", "cursor=x", "nothing=1"):
        assert admin.get(f"/api/accounts?{wrong}").status_code == 400


def test_an_admin_token_manages_people_too_and_others_do_not(app: Flask, ada: Person) -> None:
    client = app.test_client()
    token = {"Authorization": f"Bearer {issue_token(app, 'admin')}"}
    assert client.get("/api/accounts", headers=token).status_code == 200
    assert client.patch(path_of(ada), json={"role": "viewer"}, headers=token).get_json()["role"] == "viewer"
    for scopes in (("read", "write"), ("tokens:read", "tokens:write")):
        weak = {"Authorization": f"Bearer {issue_token(app, *scopes)}"}
        assert client.get("/api/accounts", headers=weak).get_json()["code"] == "insufficient_scope"
        assert client.get(path_of(ada), headers=weak).get_json()["code"] == "not_found"
        assert client.patch(path_of(ada), json={"role": "admin"}, headers=weak).get_json()["code"] == "not_found"
        assert client.delete(path_of(ada), headers=weak).get_json()["code"] == "insufficient_scope"


def test_a_laptop_without_credentials_manages_tokens_but_no_people(app: Flask, ada: Person) -> None:
    client = app.test_client()
    assert client.get("/api/tokens").status_code == 200
    for method, path in (("GET", "/api/accounts"), ("GET", path_of(ada)), ("PATCH", path_of(ada))):
        assert client.open(path, method=method, json={}).get_json()["code"] == "missing_authorization"
    assert client.get("/api/accounts/roles").status_code == 401


def test_a_person_sees_and_names_themselves_and_nobody_else(ada: Person, admin: Person) -> None:
    assert ada.get(path_of(ada)).get_json()["username"] == ada.account.username
    name = f"lovelace-{uuid.uuid4().hex[:8]}"
    assert ada.call("PATCH", path_of(ada), {"username": name}).get_json()["username"] == name
    for other in (path_of(admin), f"/api/accounts/{AN_ID}"):
        assert ada.get(other).get_json()["code"] == "not_found"
        assert ada.call("PATCH", other, {"username": "mallory"}).get_json()["code"] == "not_found"
    for changes in ({"role": "admin"}, {"user_ids": ["globex"]}, {"disabled": False}, {"email": "x@y.zz"}):
        answer = ada.call("PATCH", path_of(ada), dict(changes))
        assert (answer.status_code, answer.get_json()["required_scopes"]) == (403, ["admin"])
    assert ada.get("/api/accounts").get_json()["code"] == "insufficient_scope"
    assert ada.call("DELETE", path_of(ada)).get_json()["code"] == "insufficient_scope"
    taken = ada.call("PATCH", path_of(ada), {"username": "ROOT"})
    assert (taken.status_code, taken.get_json()["code"]) == (409, "username_taken")


def test_one_s_own_phone_changes_with_the_password(ada: Person) -> None:
    without = ada.call("PATCH", path_of(ada), {"phone": PHONE})
    assert (without.status_code, without.get_json()["code"]) == (400, "invalid_request")
    assert [detail["field"] for detail in without.get_json()["details"]] == ["current_password"]
    wrong = ada.call("PATCH", path_of(ada), {"phone": PHONE, "current_password": "wrong"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (403, "wrong_password")
    assert "WWW-Authenticate" not in wrong.headers
    right = {"phone": "+256 700 123456", "current_password": PASSWORD}
    too_early = ada.call("PATCH", path_of(ada), {**right, "second_factor": True})
    assert too_early.status_code == 400
    changed = ada.call("PATCH", path_of(ada), right).get_json()
    assert (changed["phone"], changed["pending_phone"], changed["second_factor"]) == (None, PHONE, False)
    assert ada.sign_in().status_code == 200, "a phone that is not proven is not called"
    without_phone = ada.call("PATCH", path_of(ada), {"phone": None, "current_password": PASSWORD}).get_json()
    assert (without_phone["phone"], without_phone["pending_phone"]) == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        {"role": "root"},
        {"role": None},
        {"disabled": None},
        {"user_ids": None},
        {"username": ""},
        {"username": "a b"},
        {"email": "nobody"},
        {"phone": "12"},
        {"second_factor": True},
        {"second_factor": "yes"},
        {"user_ids": [""]},
        {"user_ids": ["letstalk:sign-in"]},
        {"user_ids": ["x"] * 101},
        {"disabled": 1},
        {"password": "no such field"},
    ],
)
def test_a_change_that_is_none_is_400(admin: Person, ada: Person, body: dict[str, object]) -> None:
    before = admin.get(path_of(ada)).get_json()
    assert admin.call("PATCH", path_of(ada), body).status_code == 400
    assert admin.get(path_of(ada)).get_json() == before


def test_a_deleted_person_is_gone_with_every_session(admin: Person, ada: Person) -> None:
    assert admin.call("DELETE", path_of(ada)).get_json() == {"message": "Account deleted"}
    assert admin.call("DELETE", path_of(ada)).status_code == 404
    assert ada.get("/api/auth/me").status_code == 401
    assert ada.sign_in().status_code == 401


def test_roles_say_whether_they_ask_for_a_second_factor(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, viewer = a_person(app, "root", "admin"), a_person(app, "vera", "viewer")
    roles = "/api/accounts/roles"
    assert {entry["requires_second_factor"] for entry in admin.get(roles).get_json()["roles"]} == {False}
    changed = admin.call("PATCH", f"{roles}/viewer", {"requires_second_factor": True})
    assert changed.get_json() == {"role": "viewer", "requires_second_factor": True, "people_without_phone": 1}
    refused = viewer.sign_in()
    assert (refused.status_code, refused.get_json()["code"]) == (403, "phone_required")
    assert "phone" not in refused.get_json(), "none was entered: the person enters one now"
    own = {"challenge": refused.get_json()["challenge"], "phone": "+1 202 555 0142"}
    called = viewer.client.post("/api/auth/second-factor/phone", json=own)
    assert (called.status_code, called.get_json()["phone"]) == (202, "+1202…42")
    again = viewer.client.post("/api/auth/second-factor/call-again", json={"challenge": own["challenge"]})
    assert (again.status_code, again.get_json()["code"]) == (429, "replay_too_soon")
    assert viewer.get(roles).get_json()["code"] == "insufficient_scope"
    assert viewer.call("PATCH", f"{roles}/viewer", {"requires_second_factor": False}).status_code == 403
    assert admin.call("PATCH", f"{roles}/root", {"requires_second_factor": True}).status_code == 400
    assert admin.call("PATCH", f"{roles}/viewer", {}).status_code == 400
