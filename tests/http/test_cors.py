"""CORS: pages of the sites that CORS_ORIGINS names may call `/calls` and `/api/auth`, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.http.guards import TOKEN_HEADER, USER_ID_HEADER
from tests.support.apps import PASSWORD, issue_token, make_app

APP, SHOP, ELSEWHERE = "https://app.example.com", "http://[::1]:3000", "https://elsewhere.example"
AN_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
OPEN = ("/calls", "/calls/otp", f"/calls/{AN_ID}", "/api/auth/login", "/api/auth/me", "/api/auth/sessions")
CLOSED = (
    *("/api/tokens", f"/api/tokens/{AN_ID}", "/api/accounts", "/api/tokens/dashboard", "/dashboard/people", "/sign-in"),
    *("/openapi.json", "/health", "/metrics", "/", "/api/webhooks/telnyx", "/static/style.css"),
)
LOOKALIKES = (
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "https://app.example.com/",
    "http://app.example.com",
    "https://xapp.example.com",
    "https://app-example.com",
    "https://APP.example.com",
    f"{APP}, {APP}",
    "null",
    "*",
    "",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("cross-origin"), CORS_ORIGINS=f"{APP}, {SHOP}")


def ask(app: Flask, path: str, origin: str | None = APP, method: str = "GET", **headers: str) -> TestResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Origin": origin} if origin else {})
    return app.test_client().open(path, method=method, headers=sent, buffered=True)


def preflight(app: Flask, path: str, origin: str = APP, method: str = "POST") -> TestResponse:
    asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "authorization,content-type"}
    return ask(app, path, origin, "OPTIONS", **asked)


def granted(answer: TestResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.lower().startswith("access-control-")}


def named(text: str) -> set[str]:
    return {name.strip() for name in text.split(",")}


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("origin", [APP, SHOP])
def test_a_preflight_of_a_named_site_is_told_what_it_may_send(app: Flask, path: str, origin: str) -> None:
    answer = preflight(app, path, origin)
    assert (answer.status_code, answer.data) == (204, b"")
    assert not {"Content-Length", "Content-Type"} & {name for name, _ in answer.headers}
    headers = granted(answer)
    assert headers.pop("Access-Control-Allow-Origin") == origin
    assert headers.pop("Access-Control-Max-Age") == "600"
    assert named(headers.pop("Access-Control-Allow-Headers")) == {
        *("Authorization", "Content-Type", "Idempotency-Key", TOKEN_HEADER, USER_ID_HEADER)
    }
    assert named(headers.pop("Access-Control-Allow-Methods")) == {"GET", "POST", "PUT", "DELETE"}
    assert headers == {}
    assert "Origin" in named(answer.headers["Vary"])


def test_every_method_of_the_open_calls_is_allowed(app: Flask) -> None:
    allowed = named(granted(preflight(app, "/calls"))["Access-Control-Allow-Methods"])
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/calls", "/api/auth")):
            assert (rule.methods or set()) - {"HEAD", "OPTIONS"} <= allowed, rule.rule


def test_a_named_site_may_read_answers_and_refusals_and_where_it_stands(app: Flask) -> None:
    token = f"Bearer {issue_token(app)}"
    for path, status, headers in (
        ("/calls", 200, {"Authorization": token}),
        ("/calls", 401, {}),
        (f"/calls/{AN_ID}", 404, {"Authorization": token}),
        ("/calls/nothing/here", 404, {}),
        ("/api/auth/sso", 200, {}),
    ):
        answer = ask(app, path, **headers)
        assert answer.status_code == status
        told = granted(answer)
        assert told.pop("Access-Control-Allow-Origin") == APP
        exposed = named(told.pop("Access-Control-Expose-Headers"))
        assert exposed == {"X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"}
        assert told == {}, "and never with credentials"
        assert "Origin" in named(answer.headers["Vary"])
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_site_that_is_out_of_requests_can_read_how_long_to_wait(tmp_path: Path) -> None:
    app = make_app(tmp_path, CORS_ORIGINS=APP, RATE_LIMIT_ADDRESS="1 per minute")
    assert ask(app, "/calls").status_code == 401
    refused = ask(app, "/calls")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert granted(refused)["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize("origin", [*LOOKALIKES, ELSEWHERE])
def test_another_site_is_told_nothing(app: Flask, origin: str) -> None:
    for path in OPEN:
        for answer in (ask(app, path, origin), preflight(app, path, origin)):
            assert granted(answer) == {}
            # A cache must not hand it to a site that is named, nor the other way round.
            assert "Origin" in named(answer.headers["Vary"])
    assert preflight(app, "/calls", origin).status_code == 200


@pytest.mark.parametrize("path", [*CLOSED, "/callsign", "/api/authors", "/api/auth%2e%2e/tokens", "/API/AUTH/me"])
def test_no_site_reaches_anything_else(app: Flask, path: str) -> None:
    token = f"Bearer {issue_token(app, 'admin')}"
    for answer in (ask(app, path), preflight(app, path), ask(app, path, Authorization=token)):
        assert granted(answer) == {}, path


def test_who_is_no_page_gets_what_they_always_got(app: Flask) -> None:
    answer = ask(app, "/calls", None, Authorization=f"Bearer {issue_token(app)}")
    assert (answer.status_code, granted(answer)) == (200, {})
    options = ask(app, "/calls", None, "OPTIONS")
    assert (options.status_code, granted(options)) == (200, {})
    assert "GET" in named(options.headers["Allow"])


def test_a_preflight_for_what_is_not_there_fails(app: Flask) -> None:
    answer = preflight(app, "/calls/nothing/here")
    assert answer.status_code == 404


def test_a_page_never_comes_in_by_the_dashboard_s_cookie(app: Flask) -> None:
    """A browser would not send it along, and it opens nothing here: `GET /calls` wants a token."""
    client = app.test_client()
    page = client.get("/sign-in").text
    csrf = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    assert client.post("/sign-in", data={"password": PASSWORD, "csrf_token": csrf}).status_code == 302
    answer = client.get("/calls", headers={"Origin": APP})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Credentials" not in answer.headers
