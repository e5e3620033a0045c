"""The phone's page without a script, and what programs on the same machine may ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from tests.flows.installations import eventually
from tests.support.apps import Api, issue_token, make_app, services_of, working
from tests.support.pages import Visitor, the_owner

PHONE = "+256700123456"
TELNYX = {
    "TELEPHONY_PROVIDER": "telnyx",
    "PUBLIC_URL": "https://example.org",
    "TELNYX_API_KEY": "KEY0",
    "TELNYX_CONNECTION_ID": "1",
    "TELNYX_FROM_NUMBER": "+12025550123",
    "TELNYX_PUBLIC_KEY": "CfDJ8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = make_app(tmp_path)
    with working(app):
        yield app


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app))


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return the_owner(app)


def press(visitor: Visitor, call_id: str, action: str, **fields: str) -> TestResponse:
    data = {"csrf_token": visitor.csrf_token(), **fields}
    return visitor.client.post(f"/simulator/calls/{call_id}/{action}", data=data, follow_redirects=True)


def page_with(visitor: Visitor, words: str) -> str:
    """The page, as soon as it has these words."""

    def text_with_words() -> str:
        text = visitor.client.get("/simulator").text
        return text if words in text else ""

    return eventually(text_with_words, f"no {words!r}")


def test_a_person_answers_reads_the_code_presses_1_and_hangs_up_without_a_script(api: Api, visitor: Visitor) -> None:
    assert "Nobody is calling" in visitor.client.get("/simulator").text
    sent = api.post("/calls/otp", {"phone": PHONE}).get_json()
    ringing = page_with(visitor, "Answer")
    assert PHONE in ringing
    assert '<meta http-equiv="refresh"' in ringing
    call_id = sent["call_id"]
    talking = press(visitor, call_id, "answer").text
    [code] = re.findall(r'class="phone-code">.*?(\d{6})<', talking)
    assert f"Your code is: {' '.join(code)}" in talking
    press(visitor, call_id, "key", key="7")
    assert 'data-speech="1"' in visitor.client.get("/simulator").text
    press(visitor, call_id, "key", key="1")
    page_with(visitor, 'data-speech="2"')
    over = press(visitor, call_id, "hang-up").text
    assert "The code was read." in over
    assert f'href="/dashboard/verifications/{sent["verification_id"]}"' in over
    assert api.post("/calls/verify", {"phone": PHONE, "code": code}).get_json()["verified"] is True
    assert "The phone is verified." in visitor.client.get("/simulator").text
    assert "too late" in press(visitor, call_id, "answer").text


def test_the_part_that_a_script_asks_for_is_the_same_call(api: Api, visitor: Visitor) -> None:
    visitor.client.get("/simulator")
    call_id = api.post("/calls/otp", {"phone": PHONE}).get_json()["call_id"]
    page_with(visitor, "Answer")
    part = visitor.client.get("/simulator/screen").text
    assert f'data-call="{call_id}" data-state="ringing"' in part
    assert "<html" not in part
    assert "csrf_token" not in part


@pytest.mark.parametrize("action", ["explode", "Answer", "answer%20", "🙂"])
def test_there_is_no_other_button(visitor: Visitor, action: str) -> None:
    assert press(visitor, "019a2f6e-8c21-7d3a-9f55-2b7c4d5e6f70", action).status_code == 404


def test_an_apps_own_test_asks_what_was_said(app: Flask, api: Api) -> None:
    sent = api.post("/calls/otp", {"phone": PHONE, "locale": "de"}).get_json()
    client = app.test_client()

    def ask() -> TestResponse:
        return client.get(f"/simulator/calls/{sent['call_id']}", environ_overrides={"REQUEST_URI": "/simulator/calls"})

    assert ask().get_json()["state"] in ("waiting", "ringing", "answered", "speaking", "ended")
    said = eventually(lambda: (heard := ask().get_json())["code"] and heard, "nothing was said")
    assert (said["locale"], said["call_id"]) == ("de-DE", sent["call_id"])
    assert " ".join(said["code"]) in said["text"]
    assert api.post("/calls/verify", {"phone": PHONE, "code": said["code"]}).get_json()["verified"] is True
    for unknown in ("019a2f6e-8c21-7d3a-9f55-2b7c4d5e6f70", "nothing", "🙂"):
        assert client.get(f"/simulator/calls/{unknown}").status_code == 404
    assert client.get(f"/simulator/calls/{'x' * 5000}").status_code == 400


@pytest.mark.parametrize(
    ("environ", "headers"),
    [
        ({"REMOTE_ADDR": "198.18.0.1"}, {}),
        ({}, {"X-Forwarded-For": "198.18.0.1"}),
        ({}, {"Origin": "https://evil.example"}),
        ({"HTTP_HOST": "rebound.example"}, {}),
    ],
)
def test_nobody_else_is_told(app: Flask, environ: dict[str, str], headers: dict[str, str]) -> None:
    path = "/simulator/calls/019a2f6e-8c21-7d3a-9f55-2b7c4d5e6f70"
    answer = app.test_client().get(path, environ_overrides=environ, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "address_not_allowed")


def test_production_has_the_phone_for_admins_and_tells_programs_nothing(tmp_path: Path) -> None:
    keys = {"ENCRYPTION_KEYS": "k3yUwDZq0mLhA9d1rNf5sXvQpT7bGcYeJ2oKiM8WzR4=", "HOST": "127.0.0.1"}
    app = make_app(tmp_path, utc_now, FLASK_ENV="production", **keys)
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert "/simulator" in rules
    assert "/simulator/calls/<call_id>" not in rules
    assert services_of(app).phone is not None


def test_with_real_phones_there_is_none(tmp_path: Path) -> None:
    app = make_app(tmp_path, utc_now, **TELNYX)
    assert [rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/simulator")] == []
    assert services_of(app).phone is None
