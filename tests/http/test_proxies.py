"""Where a request comes from: the proxies in TRUSTED_PROXIES are believed, and no one and no header beyond."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from letstalk.observability.logs import log_stream
from tests.support.apps import issue_token, make_app
from tests.support.fixtures.logs import LogOutput

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


@pytest.mark.parametrize(
    ("peer", "forwarded", "believed"),
    [
        (PROXY, CLIENT, True),
        (f"::ffff:{PROXY}", CLIENT, True),
        ("fd00::1", CLIENT, True),
        ("fd00::1%eth0", CLIENT, True),
        (PROXY, f"{OTHER}, {CLIENT}", True),
        (PROXY, f"{CLIENT}, {OTHER}", False),
        (PROXY, f"{CLIENT}, 10.0.0.2, [fd00::9]:80", True),  # past trusted networks, and no further
        (PROXY, f"{OTHER}, {CLIENT}, 10.0.0.2", True),
        (PROXY, f"{CLIENT}, {OTHER}, 10.0.0.2", False),
        (PROXY, f"{CLIENT}, unknown", False),  # who asked the proxy is not known
        (PROXY, f"{CLIENT}, unknown, 10.0.0.2", False),
        (PROXY, "", False),
        (PROXY, ",,,", False),
        (PROXY, f"{CLIENT}:4711", True),
        (PROXY, f'"{CLIENT}:4711"', True),
        (PROXY, f"::ffff:{CLIENT}", True),
        (CLIENT, OTHER, True),  # no proxy of ours: it is who it is
        (OTHER, CLIENT, False),
        ("10.0.1.1", CLIENT, False),
        ("127.0.0.1", CLIENT, False),
        ("::1", f"{CLIENT}, {PROXY}", False),
        ("fd00:0:0:1::1", CLIENT, False),
        ("2002:a00:1::1", CLIENT, False),  # 10.0.0.1 by 6to4 is not that proxy
    ],
)
def test_only_the_named_networks_are_believed(peer: str, forwarded: str, believed: bool, tmp_path: Path) -> None:
    app = make_app(tmp_path, TRUSTED_PROXIES="10.0.0.0/24,fd00::/64")
    headers = {
        "Authorization": f"Bearer {issue_token(app, 'read', allowed_ips=(CLIENT,))}",
        "X-Forwarded-For": forwarded,
    }
    answer = app.test_client().get("/calls", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    assert answer.status_code == (200 if believed else 403)


@pytest.mark.parametrize("proxies", ["1", "10.0.0.0/24"])
def test_however_it_is_written_a_client_is_counted_once(proxies: str, tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="3 per minute", TRUSTED_PROXIES=proxies).test_client()

    def ask(*forwarded: str) -> list[int]:
        options = {"environ_overrides": {"REMOTE_ADDR": PROXY}}
        return [
            client.get("/openapi.json", headers={"X-Forwarded-For": f"{OTHER}, {text}"}, **options).status_code
            for text in forwarded
        ]

    four = ("203.0.113.7", "203.0.113.7:1", '"203.0.113.7:2"', "[203.0.113.7]:3", "::ffff:203.0.113.7")
    carried = ("2002:cb00:7107::1", "[2002:cb00:7107:9::1]:80", "64:ff9b::203.0.113.7", "[64:ff9b::cb00:7107]:80")
    assert ask(*four, *carried) == [200] * 3 + [429] * 6
    six = ("2001:db8::1", "[2001:db8::1]:80", '"[2001:db8::2]:80"', "2001:db8::3%eth0", "[2001:db8::4%eth0]")
    assert ask(*six) == [200] * 3 + [429] * 2
    unreadable = ("unknown", "_one", "203.0.113.7:x", "[2001:db8::1", "x" * 200, "")
    assert ask(*unreadable) == [200] * 3 + [429] * 3


@pytest.mark.parametrize(
    ("proxies", "headers", "reason"),
    [
        ("2", {"X-Forwarded-For": CLIENT}, "fewer addresses than TRUSTED_PROXIES counts"),
        ("1", {"Host": "calls.example.com"}, "is missing"),
        ("10.0.0.0/24", {"Host": "calls.example.com"}, "is missing"),
        ("10.0.0.0/24", {"X-Forwarded-For": "unknown"}, "can't be read"),
        ("1", {}, None),  # a probe on the same machine
        ("1", {"X-Forwarded-For": CLIENT}, None),
        ("192.0.2.0/24", {"X-Forwarded-For": "unknown"}, None),  # anybody can send that
    ],
)
def test_a_proxy_that_does_not_say_for_whom_it_asks_is_reported_once(
    proxies: str, headers: dict[str, str], reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_app(tmp_path, TRUSTED_PROXIES=proxies).test_client()
    output = LogOutput()
    monkeypatch.setattr(log_stream, "stream", output)  # after the application, which sets it
    for _ in range(5):
        client.get("/health", headers=headers, environ_overrides={"REMOTE_ADDR": PROXY})
    reports = [line for line in output.getvalue().splitlines() if "forwarded_address_ignored" in line]
    assert len(reports) == (0 if reason is None else 1)
    assert all(reason in line for line in reports if reason)


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


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "schemes", "is_secure"),
    [
        (PROXY, CLIENT, "https", True),
        (PROXY, CLIENT, "https, http", False),  # the left one is what the client itself has written
        (PROXY, f"{CLIENT}, 10.0.0.2", "https, http", True),  # TLS ends at the outer of two
        (PROXY, f"{CLIENT}, 10.0.0.2", "https", True),
        (PROXY, CLIENT, "javascript", False),
        (PROXY, CLIENT, "", False),
        (OTHER, CLIENT, "https", False),
        ("127.0.0.1", CLIENT, "https", False),
    ],
)
def test_only_the_named_networks_say_that_tls_was_spoken(
    peer: str, forwarded_for: str, schemes: str, is_secure: bool, tmp_path: Path
) -> None:
    client = make_app(tmp_path, TRUSTED_PROXIES="10.0.0.0/24").test_client()
    headers = {"X-Forwarded-For": forwarded_for, "X-Forwarded-Proto": schemes}
    answer = client.get("/sign-in", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    assert ("Strict-Transport-Security" in answer.headers) == is_secure


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
