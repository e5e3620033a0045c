"""`/api/tokens` over HTTP: requests, responses and permissions."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.config.settings import load_settings
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.scopes import SCOPE_NAMES
from letstalk.tokens.models import NewToken
from tests.support.apps import services_of
from tests.support.quick_apps import quick_app

TOKEN = re.compile(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}")
OWNER = trusted_actor(ActorKind.OWNER)
NOBODY = "0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11"
ISSUED = ["token_id", "token", "created_at", "scopes", "user_id", "name", "prefix", "expires_at"]
ENTRY = ["token_id", "user_id", "name", "prefix", "created_at", "last_used", "expires_at", "revoked_at"]
ENTRY += ["scopes", "requests_total", "created_by", "suspended"]


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    env = {
        "FLASK_ENV": "development",
        "TELEPHONY_PROVIDER": "simulator",
        "DASHBOARD_PASSWORD": "correct horse battery staple",
        "DATABASE_URL": f"sqlite:///{tmp_path}/letstalk.db",
    }
    return quick_app(load_settings(env, None, root=tmp_path))


class Caller:
    """A client with a token made of `wanted`, calling from an address that is not loopback."""

    def __init__(self, app: Flask, address: str = "203.0.113.7", **wanted: Any) -> None:
        with app.app_context():
            issued = services_of(app).tokens.create_token(OWNER, NewToken(**wanted))
        self.token_id = issued.record.token_id
        self._client: FlaskClient = app.test_client()
        self._environ = {"REMOTE_ADDR": address}
        self._headers = {"Authorization": f"Bearer {issued.secret}"}

    def call(self, method: str, path: str, body: object = None) -> TestResponse:
        options: dict[str, Any] = {} if body is None else {"json": body}
        return self._client.open(path, method=method, headers=self._headers, environ_overrides=self._environ, **options)


@pytest.fixture
def admin(app: Flask) -> Caller:
    return Caller(app, scopes=("admin",))


@pytest.fixture
def manager(app: Flask) -> Caller:
    return Caller(app, owner_id="acme", scopes=("read", "write", "tokens:read", "tokens:write"))


def body_of(answer: TestResponse) -> dict[str, Any]:
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def made(caller: Caller, **fields: object) -> dict[str, Any]:
    answer = caller.call("POST", "/api/tokens", fields)
    assert answer.status_code == 201, answer.text
    return body_of(answer)


def test_a_plain_curl_on_a_laptop_makes_a_token(app: Flask) -> None:
    answer = app.test_client().post("/api/tokens")
    assert answer.status_code == 201
    assert "Warning" in answer.headers
    assert TOKEN.fullmatch(body_of(answer)["token"])


def test_a_new_token_is_shown_with_its_defaults(admin: Caller) -> None:
    answer = admin.call("POST", "/api/tokens")
    issued = body_of(answer)
    assert (answer.status_code, list(issued)) == (201, ISSUED)
    assert (issued["user_id"], issued["scopes"]) == ("default_user", ["read", "write"])
    assert (issued["name"], issued["expires_at"]) == (None, None)
    assert issued["token"].startswith(issued["prefix"] + "_")
    assert issued["created_at"].endswith("Z")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Warning" not in answer.headers


def test_a_token_is_shown_once(admin: Caller) -> None:
    issued = made(admin)
    secret = issued["token"].split("_")[2]
    for path in ("/api/tokens", f"/api/tokens/{issued['token_id']}", "/api/tokens/current"):
        text = admin.call("GET", path).text
        assert secret not in text
        assert not TOKEN.search(text)


def test_a_token_s_bounds_are_kept(admin: Caller) -> None:
    given = {"user_id": "acme", "name": "shop", "scopes": ["otp:send"], "expires_in": 60}
    issued = made(admin, **given, allowed_ips=["::ffff:10.0.0.1"], rate_limit="5 per minute")
    created, expires = (datetime.fromisoformat(issued[name]) for name in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == 60
    shown = body_of(admin.call("GET", f"/api/tokens/{issued['token_id']}"))
    assert list(shown)[: len(ENTRY)] == ENTRY
    assert (shown["allowed_ips"], shown["rate_limit"], shown["successor_id"]) == (["10.0.0.1"], "5 per minute", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"scopes": [1]}, "scopes.0"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": 1.5}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"name": 5}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": " "}, "name"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a\x00b"}, "user_id"),
        ({"user_id": "\ud800"}, "user_id"),
        ({"user_id": "x" * 129}, "user_id"),
        ({"allowed_ips": []}, "allowed_ips"),
        ({"allowed_ips": ["here"]}, "allowed_ips"),
        ({"rate_limit": "now and then"}, "rate_limit"),
        ({"rate_limit": "9" * 90 + " per day"}, "rate_limit"),
        ({"token": "lt_mine"}, "token"),
    ],
)
def test_a_wrong_field_is_named(admin: Caller, body: dict[str, Any], field: str) -> None:
    answer = admin.call("POST", "/api/tokens", body)
    refusal = body_of(answer)
    assert (answer.status_code, refusal["code"]) == (400, "invalid_request")
    assert [detail["field"] for detail in refusal["details"]] == [field]


def test_a_list_is_as_the_contract_says(admin: Caller) -> None:
    ids = [made(admin, name=str(number))["token_id"] for number in range(3)]
    first = body_of(admin.call("GET", "/api/tokens?limit=2"))
    assert list(first) == ["tokens", "next_cursor"]
    assert list(first["tokens"][0]) == ENTRY
    second = body_of(admin.call("GET", f"/api/tokens?limit=2&cursor={first['next_cursor']}"))
    assert second["next_cursor"] is None
    shown = [token["token_id"] for token in first["tokens"] + second["tokens"]]
    assert shown == [*reversed(ids), admin.token_id]


def test_revoked_tokens_are_listed_on_request(admin: Caller) -> None:
    token_id = made(admin, user_id="acme")["token_id"]
    admin.call("DELETE", f"/api/tokens/{token_id}")
    assert body_of(admin.call("GET", "/api/tokens?user_id=acme"))["tokens"] == []
    (entry,) = body_of(admin.call("GET", "/api/tokens?user_id=acme&include_revoked=true"))["tokens"]
    assert entry["revoked_at"] is not None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=x", "include_revoked=maybe", "user_id=%00", "page=2"]
)
def test_a_wrong_query_is_refused(admin: Caller, query: str) -> None:
    assert admin.call("GET", f"/api/tokens?{query}").status_code == 400


def test_a_token_counts_its_own_requests(admin: Caller) -> None:
    shown = [body_of(admin.call("GET", "/api/tokens/current")) for _ in range(3)]
    assert [token["requests_total"] for token in shown] == [1, 2, 3]
    assert shown[0]["last_used"] is not None
    assert shown[0]["token_id"] == admin.token_id


def test_any_token_may_ask_who_it_is(app: Flask) -> None:
    caller = Caller(app, scopes=("otp:verify",))
    assert body_of(caller.call("GET", "/api/tokens/current"))["scopes"] == ["otp:verify"]
    assert app.test_client().get("/api/tokens/current").status_code == 401


def test_a_patch_changes_what_it_names(admin: Caller) -> None:
    token_id = made(admin, name="old", expires_in=60, rate_limit="5 per day")["token_id"]
    answer = admin.call("PATCH", f"/api/tokens/{token_id}", {"name": "new", "expires_in": None})
    changed = body_of(answer)
    assert (answer.status_code, changed["name"], changed["expires_at"]) == (200, "new", None)
    assert changed["rate_limit"] == "5 per day"
    unchanged = body_of(admin.call("PATCH", f"/api/tokens/{token_id}", {}))
    assert unchanged == changed
    refused: list[dict[str, Any]] = [{"scopes": None}, {"scopes": []}, {"user_id": "other"}, {"allowed_ips": []}]
    for wrong in refused:
        assert admin.call("PATCH", f"/api/tokens/{token_id}", wrong).status_code == 400
    assert body_of(admin.call("PATCH", f"/api/tokens/{token_id}", {"allowed_ips": None}))["allowed_ips"] is None


def test_a_rotation_gives_a_token_of_its_own(admin: Caller) -> None:
    old = made(admin, user_id="acme", name="shop")
    answer = admin.call("POST", f"/api/tokens/{old['token_id']}/rotate")
    new = body_of(answer)
    assert (answer.status_code, list(new)) == (201, ISSUED)
    assert new["token_id"] != old["token_id"]
    assert (new["user_id"], new["name"], new["scopes"]) == ("acme", "shop", ["read", "write"])
    again = admin.call("POST", f"/api/tokens/{old['token_id']}/rotate", {"grace_seconds": 0})
    assert (again.status_code, body_of(again)["code"]) == (409, "already_rotated")
    for wrong in ({"grace_seconds": -1}, {"grace_seconds": 604801}, {"grace_seconds": "60"}, {"grace": 60}):
        assert admin.call("POST", f"/api/tokens/{new['token_id']}/rotate", wrong).status_code == 400


def test_a_revocation_answers_alike_the_second_time(admin: Caller) -> None:
    token_id = made(admin)["token_id"]
    for _ in range(2):
        answer = admin.call("DELETE", f"/api/tokens/{token_id}")
        assert (answer.status_code, body_of(answer)) == (200, {"message": "Token revoked successfully"})
    conflict = admin.call("PATCH", f"/api/tokens/{token_id}", {"name": "late"})
    assert (conflict.status_code, body_of(conflict)["code"]) == (409, "token_inactive")


def test_a_token_that_revokes_itself_is_dead_at_once(admin: Caller) -> None:
    assert admin.call("DELETE", f"/api/tokens/{admin.token_id}").status_code == 200
    answer = admin.call("GET", "/api/tokens/current")
    assert (answer.status_code, body_of(answer)["error"]) == (401, "Invalid or revoked token")


@pytest.mark.parametrize("token_id", [NOBODY, "nothing", "%00", "x" * 300])
def test_what_does_not_exist_is_404(admin: Caller, token_id: str) -> None:
    calls = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")]
    for method, end in calls:
        answer = admin.call(method, f"/api/tokens/{token_id}{end}")
        assert (answer.status_code, body_of(answer)["code"]) == (404, "not_found")


def test_another_owner_s_token_is_404(admin: Caller, manager: Caller) -> None:
    token_id = made(admin, user_id="other", scopes=["read"])["token_id"]
    for method, end in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")]:
        assert manager.call(method, f"/api/tokens/{token_id}{end}").status_code == 404
    assert body_of(admin.call("GET", f"/api/tokens/{token_id}"))["revoked_at"] is None


def test_a_manager_s_tokens_are_its_owner_s_and_no_wider(manager: Caller) -> None:
    assert made(manager)["user_id"] == "acme"
    for wider in ({"user_id": "other"}, {"scopes": ["admin"]}, {"rate_limit": "601 per minute"}):
        answer = manager.call("POST", "/api/tokens", wider)
        refusal = body_of(answer)
        assert (answer.status_code, refusal["code"]) == (403, "insufficient_scope")
        assert refusal["required_scopes"] == ["admin"]
        assert refusal["error"].startswith(f"{next(iter(wider))}: ")
        assert 'error="insufficient_scope", scope="admin"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/api/tokens", "tokens:write"),
        ("GET", "/api/tokens", "tokens:read"),
        ("GET", f"/api/tokens/{NOBODY}", "tokens:read"),
        ("PATCH", f"/api/tokens/{NOBODY}", "tokens:write"),
        ("DELETE", f"/api/tokens/{NOBODY}", "tokens:write"),
        ("POST", f"/api/tokens/{NOBODY}/rotate", "tokens:write"),
    ],
)
def test_each_call_needs_its_scope(app: Flask, method: str, path: str, scope: str) -> None:
    others = tuple(name for name in SCOPE_NAMES if name not in (scope, "admin"))
    refusal = Caller(app, scopes=others).call(method, path)
    assert (refusal.status_code, body_of(refusal)["required_scopes"]) == (403, [scope])
    assert Caller(app, scopes=(scope,), owner_id="x").call(method, path).status_code in (200, 201, 403, 404)
    stranger = app.test_client().open(path, method=method, environ_overrides={"REMOTE_ADDR": "203.0.113.7"})
    assert (stranger.status_code, body_of(stranger)["code"]) == (401, "missing_authorization")


def test_a_token_bound_to_addresses_works_from_those_alone(app: Flask) -> None:
    inside = Caller(app, address="203.0.113.9", allowed_ips=("203.0.113.0/24",))
    assert inside.call("GET", "/api/tokens/current").status_code == 200
    outside = Caller(app, address="198.51.100.1", allowed_ips=("203.0.113.0/24",))
    answer = outside.call("GET", "/api/tokens/current")
    assert (answer.status_code, body_of(answer)["code"]) == (403, "address_not_allowed")


def test_a_token_s_own_rate_holds(app: Flask) -> None:
    caller = Caller(app, rate_limit="2 per hour")
    assert [caller.call("GET", "/api/tokens/current").status_code for _ in range(3)] == [200, 200, 429]


def test_the_description_knows_every_call_and_its_examples(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    assert {path for path in document["paths"] if path.startswith("/api/tokens")} >= {
        "/api/tokens",
        "/api/tokens/current",
        "/api/tokens/{token_id}",
        "/api/tokens/{token_id}/rotate",
    }
    operation = document["paths"]["/api/tokens"]["post"]
    assert operation["requestBody"]["required"] is False
    assert operation["responses"]["201"]["content"]["application/json"]["example"]["token"].startswith("lt_")
