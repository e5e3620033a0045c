"""A browser's sign-in that waits for the code from the call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.verifications.repository import verifications
from tests.support.account_services import someone_called
from tests.support.apps import TurnableClock, code_in, make_app, services_of
from tests.support.openid_provider import FakeOpenIdProvider
from tests.support.world import wrong_code

KEY = make_encryption_key()


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, provider: FakeOpenIdProvider, clock: TurnableClock) -> Flask:
    """A service in which Ada is called at every sign-in."""
    app = make_app(tmp_path, clock, **provider.settings, ENCRYPTION_KEYS=KEY)
    someone_called(services_of(app).accounts, app.extensions["letstalk_db"], password=None)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def arrive(client: FlaskClient, provider: FakeOpenIdProvider) -> TestResponse:
    """Sign in at the provider, up to where the phone rings."""
    url = client.get("/api/auth/sso/start?next=/calls").headers["Location"]
    return client.get("/api/auth/sso/callback", query_string=provider.sign_in(url))


def spoken_code(app: Flask, key: str = KEY) -> str:
    with app.extensions["letstalk_db"].read() as connection:
        [sealed] = connection.execute(select(verifications.c.speech_sealed)).scalars()
    return code_in(Vault((key,)).decrypt(sealed).decode())


def give(client: FlaskClient, code: str) -> TestResponse:
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in/code").text)
    assert token is not None
    return client.post("/sign-in/code", data={"code": code, "csrf_token": token[1]})


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/api/auth/me").status_code == 200


def test_the_code_opens_the_session(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    answer = arrive(client, provider)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in/code")
    assert not is_signed_in(client)
    assert "+2567…56" in client.get("/sign-in/code").text
    code = spoken_code(app)
    done = give(client, f" {code[:3]} {code[3:]} ")
    assert (done.status_code, done.headers["Location"]) == (302, "/calls")
    assert client.get("/api/auth/me").get_json()["session"]["method"] == "sso"
    assert client.get("/sign-in/code").status_code == 302, "nothing waits any more"


def test_a_wrong_code_opens_nothing(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    arrive(client, provider)
    code = spoken_code(app)
    for wrong in (wrong_code(code), "", "abc", "1", "9" * 20):
        answer = give(client, wrong)
        assert (answer.status_code, answer.mimetype) == (400, "text/html")
        assert code not in answer.text
    assert not is_signed_in(client)
    assert give(client, code).status_code == 302


def test_it_waits_for_ten_minutes(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider, clock: TurnableClock
) -> None:
    arrive(client, provider)
    code = spoken_code(app)
    clock.move(601)
    answer = give(client, code)
    assert answer.status_code == 401
    assert "This sign-in is over" in answer.text
    assert not is_signed_in(client)


def test_a_form_from_elsewhere_is_refused(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    arrive(client, provider)
    assert client.post("/sign-in/code", data={"code": spoken_code(app)}).status_code == 403
    assert not is_signed_in(client)


def test_without_a_sign_in_that_waits_it_leads_to_the_beginning(client: FlaskClient) -> None:
    answer = client.get("/sign-in/code")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in")
