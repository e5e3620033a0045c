"""Who is let in without credentials: a developer's own `curl` on the same machine, and nobody who imitates it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.http.server import welcome
from tests.support.apps import PASSWORD, ServerProcess, issue_token, make_app

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
        "localhost:99999",
        "localhost:",
        "localhost:80,example.com",
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
    "name",
    [
        *("Via", "CF-Ray", "CF-Connecting-IP", "CF-Visitor", "CDN-Loop", "True-Client-IP", "X-Client-IP", "Client-IP"),
        *("X-Cluster-Client-IP", "Fly-Client-IP", "Fly-Forwarded-Port", "Fastly-Client-IP", "X-Amzn-Trace-Id"),
        *("X-Cloud-Trace-Context", "Traceparent", "Tailscale-User-Login", "Ngrok-Trace", "X-Original-Host"),
        *("X-Original-URL", "X-Request-Id", "X-Envoy-External-Address", "X-Azure-ClientIP", "Akamai-Origin-Hop"),
        *("X-ProxyUser-Ip", "Proxy-Connection", "Max-Forwards", "X-Scheme", "X-Varnish", "Surrogate-Capability"),
        *("Front-End-Https", "X-Vercel-Id", "DO-Connecting-IP", "X-Nobody-Has-Invented-This-Yet", "Early-Data"),
    ],
)
def test_what_carries_a_header_that_no_client_sends_is_refused(name: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", headers={name: "127.0.0.1"}))


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "curl/8.5.0", "Accept": "*/*"},
        {
            "User-Agent": "python-requests/2.32",
            "Accept-Encoding": "gzip, br",
            "Accept": "*/*",
            "Connection": "keep-alive",
        },
        {"Accept": "application/json", "Accept-Language": "*", "Sec-Fetch-Mode": "cors", "User-Agent": "node"},
        {"Sec-Ch-Ua": "x", "Sec-Fetch-Site": "none", "Upgrade-Insecure-Requests": "1", "DNT": "1", "Cookie": "a=b"},
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"},
        {"Idempotency-Key": "1", "X-User-Id": "acme", "Cache-Control": "no-cache", "Postman-Token": "x"},
    ],
)
def test_what_programs_and_browsers_send_by_themselves_changes_nothing(
    headers: dict[str, str], client: FlaskClient
) -> None:
    assert is_let_in(client.get("/api/tokens", headers=headers))


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2"])
def test_another_version_of_http_is_a_proxy_s(version: str, client: FlaskClient) -> None:
    assert not is_let_in(client.post("/api/tokens", environ_overrides={"SERVER_PROTOCOL": version}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("development"), FLASK_ENV="development") as started:
        yield started


@pytest.mark.parametrize(
    ("head", "is_own"),
    [
        ("POST /api/tokens HTTP/1.1\r\nHost: {own}", True),
        ("POST /api/tokens HTTP/1.1\r\nHost: LocalHost", True),
        ("POST /api/tokens HTTP/1.1", False),
        ("POST /api/tokens HTTP/1.1\r\nHost:", False),
        ("POST /api/tokens HTTP/1.0", False),
        ("POST /api/tokens HTTP/1.0\r\nHost: {own}", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: {own}\r\nHost: {own}", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: {own}\r\nHost: evil.example", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: evil.example\r\nHost: {own}", False),
        ("POST http://{own}/api/tokens HTTP/1.1\r\nHost: {own}", False),
        ("POST http://{own}/api/tokens HTTP/1.1\r\nHost: evil.example", False),
        ("POST http://{own}/api/tokens HTTP/1.1", False),
        ("POST HTTP://127.0.0.1/api/tokens HTTP/1.1\r\nHost: evil.example", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: {own}\r\nVia: 1.1 x", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: 127.0.0.1.evil.example", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: evil.example@127.0.0.1", False),
        ("POST /api/tokens HTTP/1.1\r\nHost: 127.0.0.1:80,evil.example", False),
    ],
)
def test_a_real_server_takes_a_plain_request_for_this_machine_s_own(
    head: str, is_own: bool, server: ServerProcess
) -> None:
    request = head.format(own=f"127.0.0.1:{server.port}") + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(request.encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    status = int(answer.split(b" ", 2)[1])
    assert status == 201 if is_own else status in (400, 401), answer
    assert (b"lt_" in answer) is is_own


def test_the_start_of_development_says_how_to_switch_it_off(server: ServerProcess, tmp_path: Path) -> None:
    assert "TOKENS_WITHOUT_CREDENTIALS=off" in server.log()
    app = make_app(tmp_path, TOKENS_WITHOUT_CREDENTIALS="off")
    assert not is_let_in(app.test_client().post("/api/tokens"))
    shown = welcome(app.extensions["letstalk_server"])
    assert "flask tokens create" in shown
    assert "curl" not in shown


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
