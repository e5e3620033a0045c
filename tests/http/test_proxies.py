"""Where a request comes from: as many proxies are believed as TRUSTED_PROXIES says, and no header beyond."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from tests.support.apps import issue_token, make_app

CLIENT = "198.51.100.7"
OTHER = "203.0.113.9"
PROXY = "10.0.0.1"


def app_behind(proxies: int, folder: Path) -> tuple[Flask, str]:
    """An application that believes that many proxies, and a token that may be used from CLIENT only."""
    app = make_app(folder, TRUSTED_PROXIES=str(proxies))
    return app, issue_token(app, "read", allowed_ips=(CLIENT,))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "believed"),
    [
        (0, CLIENT, False),
        (0, f"{CLIENT}, {CLIENT}", False),
        (1, CLIENT, True),
        (1, f"{OTHER}, {CLIENT}", True),
        (1, f"{CLIENT}, {OTHER}", False),  # the left one is what the client itself has written
        (1, "nonsense", False),
        (1, "", False),
        (1, ",,,", False),
        (2, f"{CLIENT}, {PROXY}", True),
        (2, f"{OTHER}, {CLIENT}, {PROXY}", True),
        (2, f"{CLIENT}, {OTHER}, {PROXY}", False),
        (2, CLIENT, False),  # it has not come through two
    ],
)
def test_the_address_is_the_one_that_the_outermost_trusted_proxy_saw(
    proxies: int, forwarded: str, believed: bool, tmp_path: Path
) -> None:
    app, token = app_behind(proxies, tmp_path)
    answer = app.test_client().get(
        "/calls",
        headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": forwarded},
        environ_overrides={"REMOTE_ADDR": PROXY},
    )
    assert answer.status_code == (200 if believed else 403)
    if not believed:
        assert answer.get_json()["code"] == "address_not_allowed"


@pytest.mark.parametrize("name", ["X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"])
def test_no_other_header_names_the_address(name: str, tmp_path: Path) -> None:
    app, token = app_behind(1, tmp_path)
    answer = app.test_client().get(
        "/calls", headers={"Authorization": f"Bearer {token}", name: CLIENT}, environ_overrides={"REMOTE_ADDR": PROXY}
    )
    assert answer.status_code == 403


def test_without_trusted_proxies_a_forged_address_does_not_escape_the_limit(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="3 per minute").test_client()
    statuses = [
        client.get("/openapi.json", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 200, 429]


def test_behind_a_trusted_proxy_each_client_has_its_own_limit_and_can_t_forge_another(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute", TRUSTED_PROXIES="1").test_client()

    def ask(forwarded: str) -> int:
        return client.get("/openapi.json", headers={"X-Forwarded-For": forwarded}).status_code

    assert [ask(CLIENT), ask(CLIENT), ask(CLIENT)] == [200, 200, 429]
    assert ask(f"{OTHER}, {CLIENT}") == 429
    assert ask(OTHER) == 200


@pytest.mark.parametrize(("proxies", "is_secure"), [(0, False), (1, True)])
def test_a_trusted_proxy_alone_says_that_tls_was_spoken(proxies: int, is_secure: bool, tmp_path: Path) -> None:
    client = make_app(tmp_path, TRUSTED_PROXIES=str(proxies)).test_client()
    answer = client.get("/sign-in", headers={"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"})
    assert ("Strict-Transport-Security" in answer.headers) == is_secure
    assert ("Secure" in answer.headers["Set-Cookie"]) == is_secure


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Original-URL"])
def test_no_header_moves_a_link_to_another_host_or_path(name: str, tmp_path: Path) -> None:
    client = make_app(tmp_path, TRUSTED_PROXIES="1").test_client()
    headers = {"X-Forwarded-For": CLIENT, name: "evil.example"}
    answer = client.get("/api/tokens/dashboard", headers=headers)
    assert answer.headers["Location"] == "/sign-in?next=/api/tokens/dashboard"
    assert "evil.example" not in client.get("/sign-in", headers=headers).text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:99999", "[::1", "a b", "", "localhost/../x", "é", "a" * 5000, "x@y"]
)
def test_no_host_breaks_an_answer_or_moves_a_link(host: str, tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    for path in ("/health", "/openapi.json", "/calls", "/metrics", "/nothing", "/docs"):
        assert client.get(path, headers={"Host": host}).status_code < 500
    answer = client.get("/api/tokens/dashboard", headers={"Host": host})
    assert answer.status_code in (302, 400)
    assert "evil" not in answer.headers.get("Location", "")
