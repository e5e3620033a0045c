"""Who is let in without credentials: a developer's own `curl` on the same machine, and nobody who imitates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from tests.support.apps import PASSWORD, issue_token, make_app

AN_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("guards"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def is_let_in(answer: TestResponse) -> bool:
    """Whether a request without credentials was served; if not, it was refused as any stranger's, with no warning."""
    if answer.status_code != 401:
        assert answer.status_code in (200, 201, 404), answer.text
        return True
    assert answer.get_json()["code"] == "missing_authorization"
    assert "Warning" not in answer.headers
    return False


def test_a_plain_curl_on_the_same_machine_may_manage_tokens(client: FlaskClient) -> None:
    made = client.post("/api/tokens")
    assert is_let_in(made)
    path = f"/api/tokens/{made.get_json()['token_id']}"
    for answer in (
        made,
        client.post("/api/tokens", json={"name": "laptop"}),
        client.get("/api/tokens"),
        client.get(path),
        client.patch(path, json={"name": "renamed"}),
        client.post(f"{path}/rotate"),
        client.delete(path),
    ):
        assert is_let_in(answer)
        assert answer.headers["Warning"].startswith('299 - "')


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_every_spelling_of_this_machine_is_this_machine(address: str, host: str, client: FlaskClient) -> None:
    answer = client.get("/api/tokens", headers={"Host": host}, environ_overrides={"REMOTE_ADDR": address})
    assert is_let_in(answer)


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "10.0.0.1", "192.168.1.5", "::ffff:203.0.113.7", "fe80::1", "", "x"]
)
def test_another_machine_is_refused(address: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", environ_overrides={"REMOTE_ADDR": address}))


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.nip.io",
        "203.0.113.7",
        "0.0.0.0:5000",
        "localhost.",
        "localhost@example.com",
        "[::1",
        "[::1]evil",
        "a b",
        "",
        "é.example",
    ],
)
def test_a_host_that_is_not_loopback_is_refused(host: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", headers={"Host": host}))


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Real-IP"]
)
@pytest.mark.parametrize("value", ["127.0.0.1", ""])
def test_what_came_through_a_tunnel_is_refused(name: str, value: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", headers={name: value}))


@pytest.mark.parametrize(
    "origin",
    ["https://elsewhere.example", "null", "http://localhost:3000", "https://localhost", "http://localhost.example", ""],
)
def test_a_page_of_another_site_is_refused_by_its_origin(origin: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", headers={"Origin": origin}))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_page_of_another_site_is_refused_by_what_the_browser_says(site: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", headers={"Sec-Fetch-Site": site}))
    assert not is_let_in(client.get("/api/tokens", headers={"Sec-Fetch-Site": site}))


def test_our_own_page_and_a_typed_address_are_no_other_site(client: FlaskClient) -> None:
    assert is_let_in(client.post("/api/tokens", headers={"Origin": "http://localhost"}))
    for site in ("same-origin", "none"):
        assert is_let_in(client.post("/api/tokens", headers={"Sec-Fetch-Site": site}))


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""]
)
def test_a_body_that_a_page_may_send_unasked_is_refused(kind: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", data=b'{"name": "x"}', content_type=kind))


def test_a_body_of_unknown_length_is_a_body_too(client: FlaskClient) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    assert not is_let_in(client.post("/api/tokens", headers=chunked, content_type="text/plain"))


@pytest.mark.parametrize("url", ["https://calls.example.com", "https://127.0.0.1.example:5000"])
def test_a_service_that_is_reachable_from_outside_refuses(url: str, tmp_path: Path) -> None:
    client = make_app(tmp_path, PUBLIC_URL=url).test_client()
    assert not is_let_in(client.post("/api/tokens"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000"])
def test_a_public_url_on_loopback_changes_nothing(url: str, tmp_path: Path) -> None:
    assert is_let_in(make_app(tmp_path, PUBLIC_URL=url).test_client().post("/api/tokens"))


def test_a_trusted_proxy_does_not_open_it(tmp_path: Path) -> None:
    client = make_app(tmp_path, TRUSTED_PROXIES="1").test_client()
    assert not is_let_in(client.post("/api/tokens", headers={"X-Forwarded-For": "127.0.0.1"}))


def test_production_cannot_turn_it_on(tmp_path: Path) -> None:
    production = {"FLASK_ENV": "production", "ENCRYPTION_KEYS": make_encryption_key(), "HOST": "127.0.0.1"}
    unset: dict[str, str] = {}
    for number, more in enumerate((unset, {"PUBLIC_URL": "http://127.0.0.1:5000"}, {"PUBLIC_URL": "http://localhost"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        app = make_app(folder, utc_now, **production, **more)
        assert app.config["LOOPBACK_MAY_MANAGE_TOKENS"] is False
        assert not is_let_in(app.test_client().post("/api/tokens"))


def test_it_opens_the_tokens_and_nothing_else(client: FlaskClient) -> None:
    for method, path in (
        ("GET", "/api/tokens/current"),
        ("POST", "/calls/otp"),
        ("GET", "/calls"),
        ("GET", f"/calls/{AN_ID}"),
    ):
        assert not is_let_in(client.open(path, method=method))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Bearer lt_wrong", "invalid_token"),
        ("bearer lt_wrong", "invalid_token"),
        ("Bearer  two words", "invalid_token"),
        ("Bearer é", "invalid_token"),
        ("Bearer " + "x" * 20_000, "invalid_token"),
        ("Bearer", "missing_authorization"),
        ("Bearer ", "missing_authorization"),
        ("Basic YTpi", "missing_authorization"),
        ("", "missing_authorization"),
        ("lt_wrong", "missing_authorization"),
    ],
)
def test_whoever_shows_credentials_is_judged_by_them(value: str, code: str, client: FlaskClient) -> None:
    answer = client.post("/api/tokens", headers={"Authorization": value})
    assert (answer.status_code, answer.get_json()["code"]) == (401, code)
    assert "Warning" not in answer.headers


def test_a_token_gets_no_warning(app: Flask, client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {issue_token(app, 'admin')}"}
    answer = client.post("/api/tokens", headers=headers)
    assert answer.status_code == 201
    assert "Warning" not in answer.headers


def signed_in(app: Flask, **environ: Any) -> tuple[FlaskClient, str]:
    """A browser that has signed in, and the CSRF token of its forms."""
    client = app.test_client()
    page = client.get("/sign-in", environ_overrides=environ).text
    token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    form = {"password": PASSWORD, "csrf_token": token}
    assert client.post("/sign-in", data=form, environ_overrides=environ).status_code == 302
    page = client.get("/dashboard/tokens/new", environ_overrides=environ).text
    return client, page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]


def test_a_signed_in_person_may_manage_tokens_with_the_csrf_token(app: Flask) -> None:
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    client, token = signed_in(app, **stranger)
    assert client.get("/api/tokens", environ_overrides=stranger).status_code == 200
    made = client.post("/api/tokens", headers={"X-CSRFToken": token}, environ_overrides=stranger)
    assert made.status_code == 201
    assert "Warning" not in made.headers
    for headers in ({}, {"X-CSRFToken": "wrong"}):
        answer = client.post("/api/tokens", headers=headers, environ_overrides=stranger)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf_failed")
    assert client.get("/calls", environ_overrides=stranger).status_code == 401


def test_only_where_a_first_token_is_made_a_hint_says_how_to_get_one(app: Flask) -> None:
    client = app.test_client()
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    refused = client.post("/api/tokens", json={}, environ_overrides=stranger)
    assert refused.status_code == 401
    assert refused.get_json()["error"] == "Missing or invalid authorization header"
    assert "flask tokens create" in refused.get_json()["hint"]
    assert "hint" not in client.get("/calls", environ_overrides=stranger).get_json()


def test_health_is_where_people_look_for_it(app: Flask) -> None:
    for path in ("/health", "/api/health"):
        assert app.test_client().get(path).get_json() == {"status": "ok"}
