"""`POST /calls/speak` over HTTP: what its responses say, and that the code is in none of them nor in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.support.apps import Api, issue_token, make_app

PHONE, CODE = "+12025550142", "A4821F"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, BRAND_NAMES="Acme, Acme Bank")


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app, "otp:speak", "calls:read"))


def test_a_code_is_spoken_shown_and_reported(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    body = {"phone": "+1 202 555 0142", "code": CODE, "reference": "login-4711", "brand": "Acme Bank"}
    first = api.post("/calls/speak", body)
    sent = first.get_json()
    assert first.status_code == 202
    assert (sent["call_status"], sent["phone"], sent["expires_in"]) == ("queued", PHONE, 300)
    again = api.post("/calls/speak", {**body, "code": "a48-21f"})
    assert (again.get_json(), again.headers["Idempotent-Replayed"]) == (sent, "true")
    found = api.get(f"/calls/{sent['call_id']}")
    assert (found.status_code, found.get_json()["approved"]) == (200, None)
    assert found.get_json()["reference"] == "login-4711"
    reported = api.post(f"/calls/{sent['call_id']}/outcome", {"approved": True})
    assert (reported.status_code, reported.get_json()["approved"]) == (200, True)
    refused = api.post(f"/calls/{sent['call_id']}/outcome", {"approved": False})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "already_approved")
    assert api.get("/calls").get_json()["verifications"] == []
    shown = "".join(answer.text for answer in (first, again, found, reported)) + "".join(capfd.readouterr())
    assert CODE not in shown.upper()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"code": 482113}, "code"),
        ({"code": "☎️☎️☎️☎️"}, "code"),
        ({"code": "Abcd"}, "code"),
        ({"code": "9" * 50}, "code"),
        ({"brand": "Call +256 700 999999"}, "brand"),
        ({"message": "Your own text"}, "message"),
        ({"expires_in": 601}, "expires_in"),
        ({"phone": ""}, "phone"),
        ({"locale": "x" * 40}, "locale"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_called(api: Api, wrong: dict[str, Any], field: str) -> None:
    answer = api.post("/calls/speak", {"phone": PHONE, "code": CODE, **wrong})
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.get_json()["details"]] == [field]


def test_a_token_that_may_only_speak_can_do_nothing_else(app: Flask) -> None:
    stolen = Api(app.test_client(), issue_token(app, "otp:speak"))
    assert stolen.post("/calls/speak", {"phone": PHONE, "code": CODE}).status_code == 202
    for path, body in (
        ("/calls/otp", {"phone": PHONE}),
        ("/calls/verify", {"phone": PHONE, "code": "0000"}),
        ("/api/tokens", {}),
        ("/api/test-numbers", {"phone": PHONE, "expires_in": 60}),
    ):
        assert stolen.post(path, body).status_code == 403, path
    assert stolen.get("/calls").status_code == 403


def test_a_token_with_write_may_not_speak(app: Flask) -> None:
    writer = Api(app.test_client(), issue_token(app, "read", "write"))
    answer = writer.post("/calls/speak", {"phone": PHONE, "code": CODE})
    assert (answer.status_code, answer.get_json()["required_scopes"]) == (403, ["otp:speak"])
