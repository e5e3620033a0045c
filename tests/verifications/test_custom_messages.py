"""Who may have which text spoken: any, one of the operator's, or only the default one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.calls.models import Script
from letstalk.config.settings import SettingsError, load_settings
from letstalk.core.actors import CustomMessage
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from tests.support.apps import environment, issue_token, make_app

KEY = make_encryption_key()
PHONE = "+256700123456"
TEXT = "Hello from Acme. Your code is {code}."
TEMPLATES = {"checkout": TEXT}


def make(folder: Path, allowed: str) -> Flask:
    (folder / "templates.json").write_text(json.dumps(TEMPLATES), encoding="utf-8")
    return make_app(folder, ENCRYPTION_KEYS=KEY, CUSTOM_MESSAGE=allowed, MESSAGE_TEMPLATES="templates.json")


def send(app: Flask, token: str, **body: Any) -> TestResponse:
    return app.test_client().post(
        "/calls/otp", json={"phone": PHONE, **body}, headers={"Authorization": f"Bearer {token}"}
    )


def outcome(response: TestResponse) -> tuple[int, str | None]:
    body = response.get_json()
    return response.status_code, body.get("code")


ALLOWED, REFUSED = (202, None), (403, "message_not_allowed")
RULES = {"on": (ALLOWED, ALLOWED), "templates": (REFUSED, ALLOWED), "off": (REFUSED, REFUSED)}


@pytest.mark.parametrize("installation", RULES)
@pytest.mark.parametrize("of_token", [None, *RULES])
def test_the_narrower_of_installation_and_token_holds(tmp_path: Path, installation: str, of_token: str | None) -> None:
    app = make(tmp_path, installation)
    token = issue_token(app, "otp:send", custom_message=None if of_token is None else CustomMessage(of_token))
    narrower = max(installation, of_token or "on", key=list(RULES).index)
    phones = (f"+25670012{number:04d}" for number in range(3))
    assert outcome(send(app, token, phone=next(phones), message=TEXT)) == RULES[narrower][0]
    assert outcome(send(app, token, phone=next(phones), message_template="checkout")) == RULES[narrower][1]
    assert outcome(send(app, token, phone=next(phones))) == ALLOWED


def test_a_template_is_spoken_as_the_operator_wrote_it(tmp_path: Path) -> None:
    app = make(tmp_path, "templates")
    assert outcome(send(app, issue_token(app, "otp:send"), message_template="checkout")) == ALLOWED
    with sqlite3.connect(tmp_path / "letstalk.db") as connection:
        ((sealed,),) = connection.execute("SELECT script_sealed FROM calls").fetchall()
    assert Script.from_json(Vault((KEY,)).decrypt(sealed)).message == TEXT


@pytest.mark.parametrize(
    "body",
    [{"message_template": "unknown"}, {"message_template": "checkout", "message": TEXT}, {"message_template": ""}],
)
def test_an_unknown_template_and_two_texts_are_refused(tmp_path: Path, body: dict[str, str]) -> None:
    app = make(tmp_path, "on")
    assert outcome(send(app, issue_token(app, "otp:send"), **body)) == (400, "invalid_request")


def test_a_token_gives_no_more_messages_than_it_may_send(tmp_path: Path) -> None:
    app = make(tmp_path, "on")
    parent = issue_token(app, "tokens:read", "tokens:write", "otp:send", custom_message=CustomMessage.TEMPLATES)
    client, headers = app.test_client(), {"Authorization": f"Bearer {parent}"}

    def create(**body: Any) -> TestResponse:
        return client.post("/api/tokens", json={"scopes": ["otp:send"], **body}, headers=headers)

    inherited = create()
    assert inherited.status_code == 201
    record = client.get(f"/api/tokens/{inherited.get_json()['token_id']}", headers=headers).get_json()
    assert record["custom_message"] == "templates"
    assert outcome(send(app, inherited.get_json()["token"], message=TEXT)) == REFUSED
    assert create(custom_message="off").status_code == 201
    assert outcome(create(custom_message="on")) == (403, "insufficient_scope")
    assert outcome(create(custom_message="maybe")) == (400, "invalid_request")
    own = client.get("/api/tokens/current", headers=headers).get_json()["token_id"]
    for token_id in (own, record["token_id"]):
        for wider in ("on", None):
            response = client.patch(f"/api/tokens/{token_id}", json={"custom_message": wider}, headers=headers)
            assert outcome(response) == (403, "insufficient_scope")
    narrowed = client.patch(f"/api/tokens/{record['token_id']}", json={"custom_message": "off"}, headers=headers)
    assert narrowed.get_json()["custom_message"] == "off"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no JSON", "JSON object"),
        ('["a list"]', "JSON object"),
        ('{"Big": "text"}', "JSON object"),
        ('{"number": 1}', "JSON object"),
        (None, "No such file"),
    ],
)
def test_a_file_of_templates_that_is_wrong_stops_the_start(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "templates.json").write_text(content, encoding="utf-8")
    given = environment(tmp_path, MESSAGE_TEMPLATES="templates.json")
    with pytest.raises(SettingsError, match=f"MESSAGE_TEMPLATES.*{reason}"):
        load_settings(given, None, root=tmp_path)


def test_a_template_that_can_not_be_spoken_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "templates.json").write_text('{"markup": "<break/>{code}"}', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"MESSAGE_TEMPLATES has a text that can't be spoken, markup: .*SSML"):
        make_app(tmp_path, MESSAGE_TEMPLATES="templates.json")
