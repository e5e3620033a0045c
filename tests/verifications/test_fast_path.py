"""The two busiest calls: the short way past Flask and the ordinary one through it answer alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request_started
from sqlalchemy import text
from werkzeug.test import TestResponse

from tests.support.apps import PHONE, code_of, issue_token, make_app

SHORT = "application/json"
ORDINARY = "application/json; charset=utf-8"  # as good, and less usual
OTHER_EACH_TIME = ("request_id", "verification_id", "call_id", "expires_at", "approved_at")


KEY = "k3yUwDZq0mLhA9d1rNf5sXvQpT7bGcYeJ2oKiM8WzR4="


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(
        tmp_path, ENCRYPTION_KEYS=KEY, RATE_LIMIT_TOKEN="500 per minute", RATE_LIMIT_ADDRESS="1000 per minute"
    )


@contextmanager
def passes_flask(app: Flask) -> Iterator[list[str]]:
    """The paths of the requests that Flask takes up meanwhile."""
    seen: list[str] = []

    def note(_sender: Flask, **_: Any) -> None:
        seen.append("a request")

    with request_started.connected_to(note, app):
        yield seen


def post(app: Flask, path: str, body: Any, kind: str = SHORT, **headers: str) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return app.test_client().post(path, data=raw, headers={"Content-Type": kind, **headers})


def bearer(app: Flask, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(app, *scopes)}"}


def content_of(answer: TestResponse) -> dict[str, Any]:
    content = answer.get_json()
    assert isinstance(content, dict)
    return content


def alike(answer: TestResponse) -> tuple[int, dict[str, Any], dict[str, str]]:
    """What must be the same both times."""
    body = {name: value for name, value in content_of(answer).items() if name not in OTHER_EACH_TIME}
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Content-Length")}
    headers.pop("RateLimit", None)  # counts down
    return answer.status_code, body, headers


def test_a_usual_request_passes_flask_by_and_an_unusual_one_does_not(app: Flask, tmp_path: Path) -> None:
    token = bearer(app)
    with passes_flask(app) as seen:
        sent = post(app, "/calls/otp", {"phone": PHONE}, **token)
        checked = post(
            app,
            "/calls/verify",
            {"phone": PHONE, "code": code_of(tmp_path, KEY, content_of(sent)["verification_id"])},
            **token,
        )
    assert (sent.status_code, checked.status_code, seen) == (202, 200, [])
    with passes_flask(app) as seen:
        assert post(app, "/calls/otp", {"phone": "+256700123457"}, ORDINARY, **token).status_code == 202
    assert len(seen) == 1


def test_a_send_and_a_check_are_answered_alike_both_ways(app: Flask, tmp_path: Path) -> None:
    token = bearer(app)
    sent, checked = [], []
    for kind, phone in ((SHORT, "+256700123456"), (ORDINARY, "+256700123457")):
        sent.append(post(app, "/calls/otp", {"phone": phone, "expires_in": 600}, kind, **token))
        code = code_of(tmp_path, KEY, content_of(sent[-1])["verification_id"])
        checked.append(post(app, "/calls/verify", {"phone": phone, "code": code}, kind, **token))
    for pair in (sent, checked):
        (status, body, headers), (other_status, other_body, other_headers) = map(alike, pair)
        assert (status, headers) == (other_status, other_headers)
        assert json.dumps(body).replace("123456", "123457") == json.dumps(other_body)


REFUSED: tuple[tuple[str, Any], ...] = (
    ("/calls/otp", {}),
    ("/calls/otp", {"phone": "12"}),
    ("/calls/otp", {"phone": PHONE, "expires_in": "300"}),
    ("/calls/otp", {"phone": PHONE, "message": "\x07"}),
    ("/calls/otp", {"phone": "+4490901234567"}),
    ("/calls/otp", b"{"),
    ("/calls/otp", b"[1]"),
    ("/calls/otp", b"[" * 5000),
    ("/calls/otp", b'"\xff"'),
    ("/calls/otp", b" " * 70_000),
    ("/calls/verify", {"phone": PHONE, "code": 123456}),
    ("/calls/verify", {"phone": PHONE, "code": "123456"}),
    ("/calls/verify", {"phone": PHONE, "verification_id": "x", "code": "123456"}),
    ("/calls/verify", {"verification_id": "☎", "code": "123456"}),
    ("/calls/verify", b""),
)


@pytest.mark.parametrize(("path", "body"), REFUSED)
def test_a_refusal_is_the_same_both_ways(app: Flask, path: str, body: Any) -> None:
    token = bearer(app)
    short, ordinary = (post(app, path, body, kind, **token) for kind in (SHORT, ORDINARY))
    assert 400 <= short.status_code < 500
    assert alike(short) == alike(ordinary)


@pytest.mark.parametrize("authorization", ["Bearer lt_x", "Bearer lt_abc_def ghi", "bearer lt_", "Bearer ", "lt_a_b"])
def test_a_token_that_is_none_is_refused_alike(app: Flask, authorization: str) -> None:
    header = {"Authorization": authorization}
    short, ordinary = (post(app, "/calls/verify", {"phone": PHONE}, kind, **header) for kind in (SHORT, ORDINARY))
    assert short.status_code == 401
    assert alike(short) == alike(ordinary)


def test_a_scope_that_is_missing_is_refused_alike_and_noted(app: Flask) -> None:
    token = bearer(app, "read")
    short, ordinary = (post(app, "/calls/otp", {"phone": PHONE}, kind, **token) for kind in (SHORT, ORDINARY))
    assert short.status_code == 403
    assert alike(short) == alike(ordinary)
    app.extensions["letstalk"].audit.flush()
    with app.extensions["letstalk_db"].read() as connection:
        noted = connection.execute(text("SELECT actor_token_id, detail FROM audit_events")).all()
    refusals = [row for row in noted if "insufficient_scope" in row.detail]
    assert refusals, noted
    assert all(row.actor_token_id for row in refusals), "who asked stands beside it"


def test_a_limit_counts_both_ways_together(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute")
    token = bearer(app)
    answers = [
        post(app, "/calls/verify", {"phone": PHONE, "code": "123456"}, kind, **token)
        for kind in (SHORT, ORDINARY, SHORT)
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_an_idempotency_key_brings_the_first_answer_back_whichever_way(app: Flask) -> None:
    headers = {**bearer(app), "Idempotency-Key": "one"}
    first, again = (post(app, "/calls/otp", {"phone": PHONE}, kind, **headers) for kind in (SHORT, ORDINARY))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post(app, "/calls/otp", {"phone": "+256700123459"}, **headers)
    assert (other.status_code, content_of(other)["code"]) == (422, "idempotency_key_reused")


def test_an_error_of_ours_is_a_500_that_says_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    token = bearer(app)
    monkeypatch.setattr("letstalk.verifications.fast_path.check", lambda *_: 1 / 0)
    answer = post(app, "/calls/verify", {"phone": PHONE, "code": "123456"}, **token)
    assert (answer.status_code, content_of(answer)["code"]) == (500, "internal_error")
    assert "division" not in answer.text
