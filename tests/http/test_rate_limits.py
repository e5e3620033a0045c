"""Request limits over HTTP: who is counted with whom, what the headers say, and what happens without Redis."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from tests.support.apps import issue_token, make_app

POLICY = re.compile(r'"default";q=(\d+);w=(\d+)')
STATE = re.compile(r'"default";r=(\d+);t=(\d+)')


def asking(app: Flask, token: str, address: str = "203.0.113.7") -> Callable[[], TestResponse]:
    """A function that lists verifications with `token` from `address`."""
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    return lambda: client.get("/calls", headers=headers, environ_overrides={"REMOTE_ADDR": address})


def statuses(ask: Callable[[], TestResponse], times: int) -> list[int]:
    return [ask().status_code for _ in range(times)]


def remaining(answer: TestResponse) -> int:
    found = STATE.fullmatch(answer.headers["RateLimit"])
    assert found is not None
    return int(found[1])


def test_a_token_is_limited_and_told_so(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute")
    ask = asking(app, issue_token(app))
    assert statuses(ask, 2) == [200, 200]
    answer = ask()
    assert (answer.status_code, answer.mimetype) == (429, "application/json")
    body = answer.get_json()
    assert list(body) == ["error", "code", "request_id", "retry_after"]
    assert body["code"] == "rate_limited"
    assert answer.headers["Retry-After"] == str(body["retry_after"])
    assert 1 <= body["retry_after"] <= 60
    assert remaining(answer) == 0


def test_styles_and_scripts_count_for_the_address(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute").test_client()
    found = []
    for address in ("203.0.113.7", "203.0.113.7", "203.0.113.7", "203.0.113.8"):
        with client.get("/static/style.css", environ_overrides={"REMOTE_ADDR": address}) as answer:
            found.append(answer.status_code)
    assert found == [200, 200, 429, 200]


def test_the_headers_count_down(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="3 per minute")
    ask = asking(app, issue_token(app))
    answers = [ask() for _ in range(4)]
    assert [remaining(answer) for answer in answers] == [2, 1, 0, 0]
    for answer in answers:
        policy, state = (
            POLICY.fullmatch(answer.headers["RateLimit-Policy"]),
            STATE.fullmatch(answer.headers["RateLimit"]),
        )
        assert policy is not None
        assert state is not None
        assert policy.groups() == ("3", "60")
        assert 1 <= int(state[2]) <= 60


def test_the_headers_speak_of_the_tightest_limit(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="5 per minute; 2 per hour", RATE_LIMIT_ADDRESS="100 per minute")
    answer = asking(app, issue_token(app))()
    assert answer.headers["RateLimit-Policy"] == '"default";q=2;w=3600'
    assert remaining(answer) == 1


def test_a_window_that_has_passed_starts_anew(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="1 per second")
    ask = asking(app, issue_token(app))
    ask()
    deadline = time.monotonic() + 10
    while ask().status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_addresses_of_one_ipv6_subscriber_are_counted_together(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute")
    answers = [asking(app, "lt_guess", f"2001:db8:0:1::{number}")() for number in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert asking(app, "lt_guess", "2001:db8:0:2::1")().status_code == 401
    assert [asking(app, "lt_guess", f"203.0.113.{number}")().status_code for number in range(3)] == [401] * 3


def test_tokens_are_counted_apart_and_addresses_do_not_matter_to_them(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute")
    first, second = issue_token(app), issue_token(app)
    assert statuses(asking(app, first, "203.0.113.1"), 2) == [200, 200]
    assert statuses(asking(app, first, "203.0.113.2"), 1) == [429]
    assert statuses(asking(app, second, "203.0.113.1"), 2) == [200, 200]


@pytest.mark.parametrize(
    ("own", "allowed"), [("1 per minute", 1), ("4 per minute", 4), ("9 per minute; 3 per hour", 3)]
)
def test_a_token_s_own_rate_stands_in_place_of_the_default(own: str, allowed: int, tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute")
    ask = asking(app, issue_token(app, rate_limit=own))
    assert statuses(ask, allowed + 1) == [200] * allowed + [429]


def test_a_token_s_own_rate_holds_where_the_default_is_off(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="off")
    assert statuses(asking(app, issue_token(app, rate_limit="1 per minute")), 2) == [200, 429]
    answer = asking(app, issue_token(app))()
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
    assert "RateLimit-Policy" not in answer.headers


def test_a_refused_scope_counts_too(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute")
    assert statuses(asking(app, issue_token(app, "otp:send")), 3) == [403, 403, 429]


def test_a_good_token_has_its_own_limit_whatever_others_do_from_its_address(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute", RATE_LIMIT_TOKEN="5 per minute")
    first, second = issue_token(app), issue_token(app)
    assert statuses(asking(app, "lt_guess"), 3) == [401, 401, 429]
    assert statuses(asking(app, first), 6) == [200] * 5 + [429]
    assert statuses(asking(app, second), 5) == [200] * 5


def test_an_error_says_which_limit_it_was(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_ADDRESS="1 per minute", RATE_LIMIT_TOKEN="1 per minute")
    by_token = asking(app, issue_token(app))
    by_token()
    assert by_token().get_json()["error"].startswith("Too many requests with this token: at most 1 per 1 minute. Wait")
    guess = asking(app, "lt_guess")
    guess()
    assert guess().get_json()["error"].startswith("Too many requests from this address: at most 1 per 1 minute. Wait")


def test_guessing_tokens_is_limited_by_address(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_ADDRESS="2 per minute")
    assert statuses(asking(app, "lt_guess"), 3) == [401, 401, 429]


def test_probes_have_no_limit(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="1 per minute").test_client()
    for path in ("/health", "/health/ready"):
        for _ in range(3):
            answer = client.get(path)
            assert answer.status_code in (200, 503)
            assert "RateLimit" not in answer.headers


def test_a_page_that_comes_too_often_says_so_as_a_page(tmp_path: Path) -> None:
    client = make_app(tmp_path, RATE_LIMIT_ADDRESS="1 per minute").test_client()
    client.get("/api/tokens/dashboard")
    answer = client.get("/api/tokens/dashboard")
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_only_webhooks_that_are_not_signed_count(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    app = make_app(
        tmp_path,
        TELEPHONY_PROVIDER="telnyx",
        TELNYX_API_KEY="KEY0123",
        TELNYX_CONNECTION_ID="1293384261075731499",
        TELNYX_FROM_NUMBER="+15551234567",
        TELNYX_PUBLIC_KEY=base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        PUBLIC_URL="https://calls.example.com",
        RATE_LIMIT_ADDRESS="2 per minute",
    )
    client = app.test_client()
    body = json.dumps({"data": {"event_type": "call.bridged", "id": "1", "payload": {}}}).encode()

    def send(is_signed: bool) -> int:
        timestamp = str(int(time.time()))
        signature = key.sign(timestamp.encode() + b"|" + body) if is_signed else b"x" * 64
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
            "Content-Type": "application/json",
        }
        return client.post("/api/webhooks/telnyx", data=body, headers=headers).status_code

    assert [send(True) for _ in range(5)] == [200] * 5
    assert [send(False) for _ in range(3)] == [403, 403, 429]
    assert send(True) == 200


def test_instances_with_one_redis_count_together(tmp_path: Path, redis_url: str) -> None:
    settings = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/shared.db",
        "RATE_LIMIT_TOKEN": "3 per hour",
    }
    first, second = (make_app(tmp_path, utc_now, **settings) for _ in range(2))
    token = issue_token(first)
    assert statuses(asking(first, token), 2) + statuses(asking(second, token), 2) == [200, 200, 200, 429]
    assert statuses(asking(first, token), 1) == [429]


def test_instances_without_redis_count_apart(tmp_path: Path) -> None:
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/shared.db", "RATE_LIMIT_TOKEN": "1 per hour"}
    first, second = (make_app(tmp_path, utc_now, **settings) for _ in range(2))
    token = issue_token(first)
    assert statuses(asking(first, token), 2) + statuses(asking(second, token), 2) == [200, 429, 200, 429]


def test_while_redis_is_away_this_process_counts_itself(tmp_path: Path) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0", RATE_LIMIT_TOKEN="2 per minute")
    ask = asking(app, issue_token(app))
    assert statuses(ask, 3) == [200, 200, 429]
    assert ask().headers["Retry-After"]
