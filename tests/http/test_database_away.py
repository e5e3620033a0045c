"""A database that can't be reached: 503 and when to ask again, for programs and for people, and never a 500."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from letstalk.http.guards import public
from tests.support.apps import PASSWORD, PHONE, TurnableClock, issue_token, make_app, services_of

AN_ID = "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11"
CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/calls/otp", {"phone": PHONE}),
    ("POST", "/calls/verify", {"phone": PHONE, "code": "123456"}),
    ("POST", "/calls/replay", {"phone": PHONE}),
    ("GET", "/calls", None),
    ("GET", f"/calls/{AN_ID}", None),
    ("POST", f"/calls/{AN_ID}/cancel", {}),
    ("POST", "/api/tokens", {}),
    ("GET", "/api/tokens", None),
    ("GET", "/api/tokens/current", None),
    ("DELETE", f"/api/tokens/{AN_ID}", None),
    ("GET", "/metrics", None),
]


class Away:
    """An application whose database is moved away while it runs, and back."""

    def __init__(self, tmp_path: Path) -> None:
        self._folder, self._hidden = tmp_path / "data", tmp_path / "hidden"
        self._folder.mkdir()
        self.app: Flask = make_app(tmp_path, TurnableClock(), DATABASE_URL=f"sqlite:///{self._folder}/letstalk.db")
        self.client: FlaskClient = self.app.test_client()
        self.token = issue_token(self.app, "admin")

    def go(self) -> None:
        self.app.extensions["letstalk_db"].close()
        self._folder.rename(self._hidden)

    def come_back(self) -> None:
        self._hidden.rename(self._folder)

    def ask(self, method: str, path: str, body: dict[str, Any] | None) -> TestResponse:
        return self.client.open(path, method=method, json=body, headers={"Authorization": f"Bearer {self.token}"})


@pytest.fixture
def away(tmp_path: Path) -> Away:
    return Away(tmp_path)


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=[f"{method} {path}" for method, path, _ in CALLS])
def test_a_program_is_told_to_ask_again(method: str, path: str, body: dict[str, Any] | None, away: Away) -> None:
    away.go()
    answer = away.ask(method, path, body)
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["code"], answer.json["retry_after"]) == ("not_ready", int(answer.headers["Retry-After"]))
    assert answer.json["error"] == "The database can't be reached. Try again in a moment."
    assert "sqlite" not in answer.text.lower()


def test_a_person_sees_a_page_that_says_so(away: Away) -> None:
    with away.client as client:
        page = client.get("/api/tokens/dashboard", follow_redirects=True).text
        csrf = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        client.post("/sign-in", data={"csrf_token": csrf, "password": PASSWORD})
        away.go()
        answer = client.get("/api/tokens/dashboard")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "Retry-After" in answer.headers
    # Their apostrophe is escaped.
    assert "be reached. Try again in a moment." in answer.text


def test_it_serves_again_as_soon_as_the_database_is_back(away: Away) -> None:
    away.go()
    assert away.ask("GET", "/calls", None).status_code == 503
    away.come_back()
    assert away.ask("GET", "/calls", None).status_code == 200


def test_requests_counted_meanwhile_are_written_afterwards(away: Away) -> None:
    usage = services_of(away.app).usage
    assert away.ask("GET", "/calls", None).status_code == 200
    away.go()
    assert not usage.flush()
    away.come_back()
    assert usage.flush()
    answer = away.ask("GET", "/api/tokens/current", None)
    assert answer.json is not None
    assert answer.json["requests_total"] >= 1


def test_a_wrong_statement_is_our_own_fault(away: Away) -> None:
    @public
    def fail() -> str:
        raise IntegrityError("INSERT", None, Exception("a constraint"))

    away.app.add_url_rule("/api/failing", "failing", fail)
    answer = away.client.get("/api/failing")
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "constraint" not in answer.text
