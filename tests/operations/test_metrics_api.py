"""/metrics: who may read it, what stands in it, and what must not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.apps import PHONE, Api, issue_token, make_app

STRANGER = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_may_read_it(address: str, client: FlaskClient) -> None:
    answer = client.get("/metrics", environ_overrides={"REMOTE_ADDR": address})
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert "letstalk_request_seconds" in answer.text


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via", "CF-Ray", "Tailscale-User-Login"]
)
def test_what_came_through_a_proxy_is_not_loopback(name: str, client: FlaskClient) -> None:
    answer = client.get("/metrics", headers={name: "127.0.0.1"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "missing_authorization")
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("host", ["letstalk.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
def test_what_asks_for_another_host_came_through_a_proxy_or_a_rebound_name(host: str, client: FlaskClient) -> None:
    assert client.get("/metrics", headers={"Host": host}).status_code == 401
    for own in ("localhost", "127.0.0.1:5000", "[::1]:5000"):
        assert client.get("/metrics", headers={"Host": own}).status_code == 200


def test_a_proxy_that_adds_nothing_is_known_by_its_old_protocol(client: FlaskClient) -> None:
    # nginx's `proxy_pass http://127.0.0.1:5000;` with nothing beside it
    own = {"Host": "127.0.0.1:5000", "Connection": "close"}
    assert client.get("/metrics", headers=own).status_code == 200
    old = {"SERVER_PROTOCOL": "HTTP/1.0"}
    assert client.get("/metrics", headers=own, environ_overrides=old).status_code == 401


def test_prometheus_on_this_machine_needs_no_token(client: FlaskClient) -> None:
    headers = {
        "Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "Accept-Encoding": "gzip",
        "User-Agent": "Prometheus/2.53.1",
        "X-Prometheus-Scrape-Timeout-Seconds": "10",
    }
    assert client.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("named", "address", "headers", "may"),
    [
        ("203.0.113.0/24", "203.0.113.7", {}, True),
        ("203.0.113.0/24", "::ffff:203.0.113.7", {}, True),
        ("203.0.113.0/24", "203.0.114.7", {}, False),
        ("203.0.113.0/24", "127.0.0.1", {}, False),
        ("203.0.113.0/24", "", {}, False),
        ("203.0.113.0/24", "127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}, False),  # nobody's word counts here
        ("127.0.0.1", "127.0.0.1", {"Via": "1.1 x"}, True),
        ("127.0.0.1", "::1", {}, False),
        ("off", "127.0.0.1", {}, False),
    ],
)
def test_metrics_addresses_says_who_needs_no_token(
    named: str, address: str, headers: dict[str, str], may: bool, tmp_path: Path
) -> None:
    client = make_app(tmp_path, METRICS_ADDRESSES=named).test_client()
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == (200 if may else 401)


def test_metrics_addresses_are_those_of_clients_and_not_of_proxies(tmp_path: Path) -> None:
    client = make_app(tmp_path, METRICS_ADDRESSES="127.0.0.1,203.0.113.7", TRUSTED_PROXIES="1").test_client()
    for address, status in (("203.0.113.7", 200), ("203.0.113.8", 401)):
        assert client.get("/metrics", headers={"X-Forwarded-For": address}).status_code == status


def test_a_stranger_may_not_read_it(client: FlaskClient) -> None:
    assert client.get("/metrics", environ_overrides=STRANGER).status_code == 401


def test_an_admin_token_may_read_it_from_anywhere(app: Flask, client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {issue_token(app, 'admin')}"}
    assert client.get("/metrics", headers=headers, environ_overrides=STRANGER).status_code == 200


def test_no_other_token_may_read_it_not_even_from_loopback(app: Flask, client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {issue_token(app, 'read', 'write', 'tokens:read', 'tokens:write')}"}
    for environ in ({}, STRANGER):
        answer = client.get("/metrics", headers=headers, environ_overrides=environ)
        assert answer.status_code == 403
        assert answer.get_json()["required_scopes"] == ["admin"]


def test_strangers_are_limited_and_loopback_is_not(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute").test_client()
    assert [client.get("/metrics").status_code for _ in range(4)] == [200] * 4
    answers = [client.get("/metrics", environ_overrides=STRANGER) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_it_counts_what_happens(app: Flask, client: FlaskClient) -> None:
    def value(line: str) -> float:
        found = re.search(rf"^{re.escape(line)} ([0-9.e+]+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    refused = 'letstalk_refusals_total{code="resend_too_soon"}'
    before = value(refused)
    api = Api(client, issue_token(app))
    assert api.post("/calls/otp", {"phone": PHONE}).status_code == 202
    assert api.post("/calls/otp", {"phone": PHONE}).status_code == 429
    assert value(refused) == before + 1
    assert value("letstalk_calls_waiting") == 1
    assert value("letstalk_calls_live") == 0
    assert value("letstalk_channels_total") == 10


def test_no_phone_token_code_or_id_stands_in_it(app: Flask, client: FlaskClient) -> None:
    token = issue_token(app, "admin")
    api = Api(client, token)
    sent = api.post("/calls/otp", {"phone": PHONE}).get_json()
    api.post("/calls/verify", {"phone": PHONE, "code": "048213"})
    api.get(f"/calls/{sent['verification_id']}")
    api.get("/calls", phone=PHONE)
    client.get(f"/{PHONE}/{token}", headers={"Authorization": f"Bearer {token}"})
    client.open(f"/calls/{PHONE}", method=token[:20].upper())
    shown = client.get("/metrics").text
    for secret in (PHONE, PHONE[1:], token, token.split("_")[1], token[:20].upper(), "048213", sent["verification_id"]):
        assert secret not in shown
    assert "acme" not in shown


def test_labels_do_not_grow_with_what_strangers_ask(client: FlaskClient) -> None:
    def series() -> int:
        return len(client.get("/metrics").text.splitlines())

    client.get("/nothing")
    client.open("/calls", method="STRANGE")
    series()
    before = series()
    for number in range(20):
        client.get(f"/nothing/{number}")
        client.open("/calls", method=f"STRANGE{number}")
        client.get("/calls", headers={"Authorization": f"Bearer {number}"})
    assert series() - before < 40  # two routes' histograms at the most
