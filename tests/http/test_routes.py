"""Every route: who guards it, whether it is described, and what a stranger, a wrong method or a wrong body gets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.core.scopes import Scope
from letstalk.http.guards import Guard, GuardKind, guard_of
from tests.support.apps import issue_token, make_app
from tests.support.described_accounts import OPEN

AN_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
# For people, with forms: not part of the API that programs are written against.
PAGES = {GuardKind.SIGNED_IN, GuardKind.SIGN_IN_PAGE}
UNDESCRIBED = {
    *("/", "/docs", "/llms.txt", "/api/health", "/docs/assets/<path:name>", "/static/<path:filename>"),
    "/connect/<kind>/<address_key>",  # its answers are those of each kind: docs/connect/
}
STRANGER = {"REMOTE_ADDR": "203.0.113.7"}
ERROR_FIELDS = {"error", "code", "request_id"}


class Route(NamedTuple):
    rule: str
    methods: frozenset[str]
    guard: Guard | None

    @property
    def path(self) -> str:
        return re.sub(r"<[^>]+>", AN_ID, self.rule)

    @property
    def is_twilio_s(self) -> bool:
        """Whether Twilio has described it, and the shape of its errors: tests/twilio has its tests."""
        return self.rule.startswith("/twilio/")

    @property
    def own_methods(self) -> list[str]:
        return sorted(self.methods - {"HEAD", "OPTIONS"})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("routes"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def admin(app: Flask) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(app, 'admin')}"}


@pytest.fixture(scope="module")
def routes(app: Flask) -> list[Route]:
    return [
        Route(rule.rule, frozenset(rule.methods or ()), guard_of(app.view_functions[rule.endpoint]))
        for rule in app.url_map.iter_rules()
    ]


def with_token(
    routes: list[Route], kinds: tuple[GuardKind, ...] = (GuardKind.TOKEN, GuardKind.PERSON)
) -> Iterator[tuple[str, Route]]:
    for route in routes:
        if route.guard is not None and route.guard.kind in kinds and not route.is_twilio_s:
            for method in route.own_methods:
                yield method, route


def refusal(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The body of `answer`, which is a refusal in the one shape."""
    assert (answer.status_code, answer.mimetype) == (status, "application/json"), answer.text
    body: dict[str, Any] = answer.get_json()
    assert body["code"] == code
    assert set(body) >= ERROR_FIELDS
    assert str(uuid.UUID(body["request_id"])) == body["request_id"] == answer.headers["X-Request-Id"]
    assert len(body["error"]) > 5
    return body


def test_every_route_declares_its_guard(routes: list[Route]) -> None:
    assert not [route.rule for route in routes if route.guard is None]


def test_a_view_without_a_guard_lets_nobody_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    app = make_app(tmp_path_factory.mktemp("unguarded"))
    app.add_url_rule("/forgotten", view_func=lambda: "all the secrets")
    answer = app.test_client().get("/forgotten")
    assert answer.status_code == 500
    assert "secrets" not in answer.text
    assert "forgotten" not in answer.text


def test_every_route_of_the_api_is_described(app: Flask, routes: list[Route]) -> None:
    paths = app.test_client().get("/openapi.json").get_json()["paths"]
    described = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    for route in routes:
        if route.rule in UNDESCRIBED or route.is_twilio_s or (route.guard and route.guard.kind in PAGES):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.rule)
        for method in route.own_methods:
            assert (path, method) in described


def test_only_these_routes_are_open_to_anyone(routes: list[Route]) -> None:
    named = {GuardKind.PUBLIC, GuardKind.UNLIMITED, GuardKind.SIGNATURE, GuardKind.METRICS}
    found = {route.rule: route.guard.kind for route in routes if route.guard and route.guard.kind in named}
    assert found == {
        "/": GuardKind.PUBLIC,
        "/openapi.json": GuardKind.PUBLIC,
        "/llms.txt": GuardKind.PUBLIC,
        "/docs": GuardKind.PUBLIC,
        "/docs/assets/<path:name>": GuardKind.PUBLIC,
        "/static/<path:filename>": GuardKind.PUBLIC,
        "/api/languages": GuardKind.PUBLIC,
        "/health": GuardKind.UNLIMITED,
        "/api/health": GuardKind.UNLIMITED,
        "/health/ready": GuardKind.UNLIMITED,
        "/api/webhooks/telnyx": GuardKind.SIGNATURE,
        "/connect/<kind>/<address_key>": GuardKind.SIGNATURE,
        "/metrics": GuardKind.METRICS,
        **dict.fromkeys(OPEN, GuardKind.PUBLIC),
    }


def test_without_credentials_every_route_of_a_token_answers_401(routes: list[Route], client: FlaskClient) -> None:
    tried = 0
    for method, route in with_token(routes):
        answer = client.open(route.path, method=method, json={}, environ_overrides=STRANGER)
        body = refusal(answer, 401, "missing_authorization")
        assert body["error"] == "Missing or invalid authorization header"
        has_hint = route.guard is not None and route.guard.trusted
        assert set(body) == ERROR_FIELDS | ({"hint"} if has_hint else set())
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="letstalk"'
        tried += 1
    assert tried > 28


def test_with_a_dead_token_every_route_of_a_token_answers_401(routes: list[Route], client: FlaskClient) -> None:
    for method, route in with_token(routes):
        headers = {"Authorization": "Bearer lt_nothing_real"}
        answer = client.open(route.path, method=method, headers=headers)
        body = refusal(answer, 401, "invalid_token")
        assert body["error"] == "Invalid or revoked token"
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="letstalk", error="invalid_token"'


def test_with_another_scope_every_route_that_needs_one_answers_403(
    app: Flask, routes: list[Route], client: FlaskClient
) -> None:
    for method, route in with_token(routes):
        assert route.guard is not None
        if route.guard.scope is None:
            continue
        others = [scope.value for scope in Scope if scope not in (route.guard.scope, Scope.ADMIN)]
        headers = {"Authorization": f"Bearer {issue_token(app, *others)}"}
        answer = client.open(route.path, method=method, json={}, headers=headers)
        body = refusal(answer, 403, "insufficient_scope")
        assert body["required_scopes"] == [route.guard.scope]
        expected = f'Bearer realm="letstalk", error="insufficient_scope", scope="{route.guard.scope}"'
        assert answer.headers["WWW-Authenticate"] == expected


def test_authentication_comes_before_the_body(routes: list[Route], client: FlaskClient) -> None:
    for method, route in with_token(routes):
        if method != "GET":
            answer = client.open(route.path, method=method, data=b"{broken", environ_overrides=STRANGER)
            refusal(answer, 401, "missing_authorization")


def test_a_page_sends_a_stranger_to_the_sign_in_page(routes: list[Route], client: FlaskClient) -> None:
    for route in routes:
        if route.guard and route.guard.kind is GuardKind.SIGNED_IN and "GET" in route.methods:
            answer = client.get(route.path)
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith("/sign-in?next=/")
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/nothing", "/calls/nothing/here", "/api/nothing", "/calls/", "/api/tokens/../x"])
def test_an_unknown_address_is_404_in_the_one_shape(path: str, client: FlaskClient) -> None:
    refusal(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "identifier", ["nothing", "1", "%00", "..%2f", "0b9f8e0e3c834a0e8d5c1f6a2b7c9d10", "é", "x" * 5000]
)
def test_what_can_be_no_id_is_404(identifier: str, client: FlaskClient, admin: dict[str, str]) -> None:
    for path in (f"/calls/{identifier}", f"/api/tokens/{identifier}"):
        refusal(client.get(path, headers=admin), 404, "not_found")


def test_a_browser_gets_a_page_where_a_person_is_lost(client: FlaskClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = client.get("/nothing", headers=browser)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    for path in ("/calls/nothing", "/api/nothing", "/health/nothing", "/metrics/nothing"):
        refusal(client.get(path, headers=browser), 404, "not_found")


def test_a_method_that_a_route_does_not_take_is_405_and_says_which_it_takes(
    routes: list[Route], client: FlaskClient, admin: dict[str, str]
) -> None:
    taken: dict[str, set[str]] = {}
    for route in routes:
        taken.setdefault(route.path, set()).update(route.methods)
    for route in routes:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - taken[route.path]:
            answer = client.open(route.path, method=method, headers=admin)
            if not route.is_twilio_s:
                refusal(answer, 405, "method_not_allowed")
            allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
            assert allowed == taken[route.path], (method, route.rule)


def test_options_says_what_may_be_asked_and_nothing_to_other_sites(routes: list[Route], client: FlaskClient) -> None:
    headers = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for route in routes:
        answer = client.open(route.path, method="OPTIONS", headers=headers)
        assert (answer.status_code, answer.data) == (200, b"")
        assert set(route.methods) <= {name.strip() for name in answer.headers["Allow"].split(",")}
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


def test_no_answer_ever_carries_a_cors_header(routes: list[Route], client: FlaskClient, admin: dict[str, str]) -> None:
    for credentials in ({}, admin):
        for route in routes:
            for method in route.own_methods:
                headers = {"Origin": "https://elsewhere.example", **credentials}
                answer = client.open(route.path, method=method, headers=headers)
                assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


def test_head_is_get_without_a_body(routes: list[Route], client: FlaskClient, admin: dict[str, str]) -> None:
    for route in routes:
        if "GET" in route.methods:
            got = client.get(route.path, headers=admin)
            headed = client.head(route.path, headers=admin)
            assert (headed.status_code, headed.data) == (got.status_code, b"")
            assert headed.headers["Content-Type"] == got.headers["Content-Type"]
    refusal_of_head = client.head("/calls", environ_overrides=STRANGER)
    assert (refusal_of_head.status_code, refusal_of_head.data) == (401, b"")


def test_every_answer_has_a_request_id_of_its_own_and_is_not_sniffed(
    routes: list[Route], client: FlaskClient, admin: dict[str, str]
) -> None:
    seen = set()
    for route in routes:
        for method in (*route.own_methods, "OPTIONS", "PUT"):
            answer = client.open(route.path, method=method, headers={**admin, "X-Request-Id": "chosen by the client"})
            seen.add(str(uuid.UUID(answer.headers["X-Request-Id"])))
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert len(seen) > len(routes) * 2


def test_json_under_calls_and_api_is_never_kept(
    routes: list[Route], client: FlaskClient, admin: dict[str, str]
) -> None:
    for credentials in ({}, admin):
        for route in routes:
            if route.path.startswith(("/calls", "/api/", "/twilio/")):
                for method in (*route.own_methods, "PUT"):
                    answer = client.open(route.path, method=method, headers=credentials, environ_overrides=STRANGER)
                    assert answer.headers["Cache-Control"] == "no-store", (method, route.rule)
    assert client.get("/api/nothing").headers["Cache-Control"] == "no-store"


def test_a_body_is_small_and_json(routes: list[Route], client: FlaskClient, admin: dict[str, str]) -> None:
    described = client.get("/openapi.json").get_json()["paths"]
    tried = 0
    for method, route in with_token(routes, (GuardKind.TOKEN,)):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.rule)
        if "requestBody" not in described[path][method.lower()]:
            continue
        tried += 1

        def send(
            data: bytes, kind: str = "application/json", method: str = method, path: str = route.path
        ) -> TestResponse:
            return client.open(path, method=method, data=data, content_type=kind, headers=admin)

        refusal(send(b'{"phone": "' + b"1" * 64 * 1024 + b'"}'), 413, "too_large")
        refusal(send(b"phone=1", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
        refusal(send(b"{}", "text/plain"), 415, "unsupported_media_type")
        refusal(send(b"{broken"), 400, "invalid_request")
        body = refusal(send(b'{"nobody_knows_this": 1}'), 400, "invalid_request")
        assert "nobody_knows_this" in [detail["field"] for detail in body["details"]]
    assert tried > 12
