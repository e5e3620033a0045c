"""Refusals and failures: one shape, and nothing of the inside."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from letstalk.core import errors
from letstalk.core.errors import Detail, LetsTalkError
from letstalk.http.errors import status_of
from letstalk.http.guards import public
from tests.support.apps import PHONE, Api, issue_token, make_app

SECRET = "what nobody should read"


def failing(app: Flask, error: Exception) -> FlaskClient:
    """A client of `app` with a view at /api/failing that raises `error`, and the same at /failing."""

    @public
    def fail() -> str:
        raise error

    app.add_url_rule("/api/failing", "api_failing", fail)
    app.add_url_rule("/failing", "failing", fail)
    return app.test_client()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def test_a_500_says_nothing_of_the_inside(app: Flask) -> None:
    answer = failing(app, RuntimeError(SECRET)).get("/api/failing")
    assert (answer.status_code, answer.mimetype) == (500, "application/json")
    body = answer.get_json()
    assert set(body) == {"error", "code", "request_id"}
    assert body["code"] == "internal_error"
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"
    for word in (SECRET, "RuntimeError", "Traceback", ".py"):
        assert word not in answer.text


def test_a_500_on_a_page_is_a_page_and_says_nothing_either(app: Flask) -> None:
    answer = failing(app, RuntimeError(SECRET)).get("/failing", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert answer.headers["X-Request-Id"] in answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("A sentence."), 400),
        (errors.InvalidPhone("A sentence."), 400),
        (errors.MissingAuthorization(), 401),
        (errors.InvalidToken(), 401),
        (errors.InsufficientScope("A sentence.", required_scopes=("otp:send",)), 403),
        (errors.DestinationBlocked("A sentence."), 403),
        (errors.NotFound("A sentence."), 404),
        (errors.NoPendingVerification("A sentence."), 404),
        (errors.Conflict("A sentence.", code="not_pending"), 409),
        (errors.Gone("A sentence.", code="code_used"), 410),
        (errors.IdempotencyKeyReused("A sentence."), 422),
        (errors.TooManyRequests("A sentence.", retry_after_seconds=7), 429),
        (errors.Unavailable("A sentence.", code="queue_full", retry_after_seconds=7), 503),
        (LetsTalkError("A sentence."), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_of_ours_has_its_status_and_the_one_shape(error: LetsTalkError, status: int, app: Flask) -> None:
    assert status_of(error) == status
    answer = failing(app, error).get("/api/failing")
    assert answer.status_code == status
    body = answer.get_json()
    assert (body["error"], body["code"]) == (error.message, error.code)
    assert str(uuid.UUID(body["request_id"])) == answer.headers["X-Request-Id"]
    assert body.get("retry_after") == error.retry_after_seconds
    assert answer.headers.get("Retry-After") == (None if error.retry_after_seconds is None else "7")
    assert ("required_scopes" in body) == isinstance(error, errors.InsufficientScope)
    assert ("WWW-Authenticate" in answer.headers) == (
        isinstance(error, errors.NotAuthenticated | errors.InsufficientScope)
    )


def test_what_applies_is_in_the_body_and_what_does_not_is_not(app: Flask) -> None:
    error = errors.InvalidCode("Wrong.", attempts_remaining=0, details=(Detail("code", "Wrong."),))
    body = failing(app, error).get("/api/failing").get_json()
    request_id = body.pop("request_id")
    assert uuid.UUID(request_id)
    assert body == {
        "error": "Wrong.",
        "code": "invalid_code",
        "details": [{"field": "code", "message": "Wrong."}],
        "attempts_remaining": 0,
        "verified": False,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "phone"),
        ({"phone": 256700123456}, "phone"),
        ({"phone": PHONE, "code_length": "6"}, "code_length"),
        ({"phone": PHONE, "code_length": 5}, "code_length"),
        ({"phone": PHONE, "code_length": True}, "code_length"),
        ({"phone": PHONE, "code_length": None}, "code_length"),
        ({"phone": PHONE, "expires_in": 59}, "expires_in"),
        ({"phone": PHONE, "expires_in": 601}, "expires_in"),
        ({"phone": PHONE, "expires_in": 300.5}, "expires_in"),
        ({"phone": PHONE, "message": ""}, "message"),
        ({"phone": PHONE, "message": "x" * 301}, "message"),
        ({"phone": PHONE, "message": "two\nlines"}, "message"),
        ({"phone": PHONE, "message": "<break/>"}, "message"),
        ({"phone": PHONE, "message": "{code}{code}{code}"}, "message"),
        ({"phone": PHONE, "locale": ["en"]}, "locale"),
        ({"phone": PHONE, "Phone": PHONE}, "Phone"),
        ({"phone": "hello"}, "phone"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_field_is_named(body: dict[str, Any], field: str, app: Flask) -> None:
    answer = Api(app.test_client(), issue_token(app)).post("/calls/otp", body)
    found = answer.get_json()
    assert answer.status_code == 400
    assert [detail["field"] for detail in found["details"]] == [field]
    assert found["error"].endswith(".")


def test_every_wrong_field_is_named_at_once(app: Flask) -> None:
    answer = Api(app.test_client(), issue_token(app)).post("/calls/otp", {"code_length": 1, "more": 1})
    assert {detail["field"] for detail in answer.get_json()["details"]} == {"phone", "code_length", "more"}


@pytest.mark.parametrize("path", ["/calls/verify", "/calls/replay"])
def test_exactly_one_of_phone_and_id_is_wanted(path: str, app: Flask) -> None:
    api = Api(app.test_client(), issue_token(app))
    code = {"code": "123456"} if path == "/calls/verify" else {}
    both = {"phone": PHONE, "verification_id": "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"}
    for body in (code, {**both, **code}):
        answer = api.post(path, body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
        assert answer.get_json()["error"] == "Give exactly one of phone and verification_id."


@pytest.mark.parametrize(
    "code", ["123", "12345678901", "12 4", "12345a", "١٢٣", "123456\n", "", " 123", "-12345", 123456, None, ["1"]]
)
def test_what_is_no_code_is_refused_and_never_repeated(code: object, app: Flask) -> None:
    answer = Api(app.test_client(), issue_token(app)).post("/calls/verify", {"phone": PHONE, "code": code})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert [detail["field"] for detail in answer.get_json()["details"]] == ["code"]
    if code:
        assert str(code) not in answer.text


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"phone": "+12025550142", "code": "secret"}, "code must be 4 to 10 digits, as text."),
        ({"phone": "+1202\n5550142", "code": "048213"}, "phone must not contain control characters."),
    ],
)
def test_a_pattern_is_explained_in_words(body: dict[str, str], sentence: str, app: Flask) -> None:
    answer = Api(app.test_client(), issue_token(app)).post("/calls/verify", body)
    assert (answer.status_code, answer.get_json()["error"]) == (400, sentence)


def test_null_is_as_good_as_left_out(app: Flask) -> None:
    body = {"phone": PHONE, "verification_id": None, "code": "123456"}
    answer = Api(app.test_client(), issue_token(app)).post("/calls/verify", body)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "no_pending_verification")


def test_what_was_sent_is_not_repeated_in_the_refusal(app: Flask) -> None:
    body = {"phone": PHONE, "message": f"{SECRET}\n", "locale": 7, "code_length": SECRET}
    answer = Api(app.test_client(), issue_token(app)).post("/calls/otp", body)
    assert answer.status_code == 400
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/tokens", {"scopes": []}, "scopes must not be empty."),
        ("/api/tokens", {"scopes": "read"}, "scopes must be a list."),
        ("/api/tokens", {"expires_in": "soon"}, "expires_in must be a whole number."),
        ("/api/tokens", {"expires_in": 1.5}, "expires_in must be a whole number."),
        ("/api/tokens", {"name": ""}, "name must not be empty."),
        ("/api/tokens", {"name": 7}, "name must be text."),
        ("/calls/otp", {"phone": PHONE, "code_length": 99}, "code_length must be 10 or less."),
        ("/calls/otp", {"phone": PHONE, "expires_in": 1}, "expires_in must be 60 or more."),
        ("/calls/otp", {"phone": PHONE, "reference": "x" * 65}, "reference must have 64 characters or fewer."),
        ("/calls/otp", [], "must be a JSON object."),
    ],
)
def test_what_is_wrong_is_said_in_words_about_the_request_and_not_about_python(
    path: str, body: Any, sentence: str, app: Flask
) -> None:
    api = Api(app.test_client(), issue_token(app, "admin"))
    answer = api.client.post(path, json=body, headers={"Authorization": f"Bearer {api.token}"})
    assert answer.status_code == 400
    assert answer.get_json()["error"].endswith(sentence)
    assert not re.search(r"Input|should|[Vv]alidation|None|constrained", answer.text)


@pytest.mark.parametrize("status", ["none", "None", "", "x"])
def test_a_query_names_the_values_that_it_takes(status: str, app: Flask) -> None:
    answer = Api(app.test_client(), issue_token(app)).get("/calls", status=status)
    assert answer.get_json()["details"][0]["field"] == "status"
    assert "'pending'" in answer.get_json()["error"]
    assert "Input" not in answer.text


def test_a_bad_phone_is_reported_beside_the_other_fields(app: Flask) -> None:
    api = Api(app.test_client(), issue_token(app))
    both = api.post("/calls/otp", {"phone": "+1 202", "code_length": 99}).get_json()
    assert both["code"] == "invalid_request"
    assert [detail["field"] for detail in both["details"]] == ["phone", "code_length"]
    alone = api.post("/calls/otp", {"phone": "+1 202"}).get_json()
    assert (alone["code"], [detail["field"] for detail in alone["details"]]) == ("invalid_phone", ["phone"])
