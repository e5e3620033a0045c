"""A browser's sign-in that waits for the code from the call."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from letstalk.accounts import repository
from letstalk.accounts.models import Role
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.verifications.repository import verifications
from tests.support.account_services import DEVICE, PASSWORD, someone, someone_called
from tests.support.apps import OWNER, TurnableClock, code_in, make_app, services_of, working
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


def send(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/accept-invitation").text)
    assert token is not None
    return client.post(path, data={"csrf_token": token[1], **fields})


def test_the_phone_is_called_again_when_it_is_time(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider, clock: TurnableClock
) -> None:
    arrive(client, provider)
    assert 'data-wait-seconds="20"' in client.get("/sign-in/code").text
    early = send(client, "/sign-in/call-again")
    assert (early.status_code, early.mimetype) == (429, "text/html")
    assert "You can try again in 20 seconds." in early.text
    with working(app):
        clock.move(20)
        wait_until(lambda: 'data-wait-seconds="0"' in client.get("/sign-in/code").text)
        wait_until(lambda: send(client, "/sign-in/call-again").status_code == 302)
    assert "again, with the same code" in client.get("/sign-in/code").text


def test_from_the_sign_in_page_a_link_leads_back_to_the_code_that_is_good(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    assert "Enter the code that you heard" not in client.get("/sign-in").text
    arrive(client, provider)
    assert "Enter the code that you heard" in client.get("/sign-in").text
    assert arrive(client, provider).headers["Location"] == "/sign-in/code", "too early for a call, not for its code"
    assert give(client, spoken_code(app)).headers["Location"] == "/calls"
    other = app.test_client()
    assert "Enter the code that you heard" not in other.get("/sign-in").text


def test_a_recovery_code_opens_the_session_too(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    accounts = services_of(app).accounts
    ada = accounts.service.find_by_username("ada")
    assert ada is not None
    token = accounts.sessions.start_session(ada.account_id, DEVICE, "sso").access_token
    actor = accounts.access_tokens.authenticate(token, "127.0.0.1")
    code = accounts.recovery_codes.replace_codes(actor, is_confirmed=False).codes[0]
    arrive(client, provider)
    wrong = send(client, "/sign-in/recovery", recovery_code="nothing")
    assert wrong.status_code == 400
    assert "<details open>" in wrong.text
    assert send(client, "/sign-in/recovery", recovery_code=code).headers["Location"] == "/calls"
    assert "9 of your codes are left" in client.get("/api/tokens/dashboard").text


def test_a_call_that_is_refused_leads_to_the_field_for_a_recovery_code(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    accounts = services_of(app).accounts
    ada = accounts.service.find_by_username("ada")
    assert ada is not None
    token = accounts.sessions.start_session(ada.account_id, DEVICE, "sso").access_token
    actor = accounts.access_tokens.authenticate(token, "127.0.0.1")
    codes = accounts.recovery_codes.replace_codes(actor, is_confirmed=False).codes
    with app.extensions["letstalk_db"].write() as connection:
        repository.update_account(connection, replace(ada, phone="+88216123456"))  # a kind that is never called
    assert arrive(client, provider).headers["Location"] == "/sign-in/code"
    page = client.get("/sign-in/code").text
    assert ("+8821…56 can" in page and "be called now." in page, "<details open>" in page) == (True, True)
    assert ('name="code"' in page, 'name="phone"' in page, "Call me" in page) == (False, False, False)
    assert give(client, "042917").status_code == 401
    assert not is_signed_in(client)
    assert send(client, "/sign-in/recovery", recovery_code=codes[0]).headers["Location"] == "/calls"
    assert is_signed_in(client)


def test_who_has_no_phone_enters_one_and_is_offered_recovery_codes(app: Flask, client: FlaskClient) -> None:
    accounts = services_of(app).accounts
    accounts.service.create_account(someone("grace", "viewer"))
    accounts.second_factors.set_policy(OWNER, Role.VIEWER, requires_second_factor=True)
    assert send(client, "/sign-in", username="grace", password=PASSWORD).headers["Location"] == "/sign-in/code"
    page = client.get("/sign-in/code").text
    assert "Enter your phone" in page
    wrong = send(client, "/sign-in/phone", phone="12")
    assert wrong.status_code == 400
    assert 'value="12"' in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    assert send(client, "/sign-in/phone", phone="+256 700 123457").headers["Location"] == "/sign-in/code"
    assert "+2567…57" in client.get("/sign-in/code").text
    done = give(client, spoken_code(app))
    assert done.headers["Location"] == "/dashboard/profile#recovery"
    assert "create recovery codes" in client.get("/dashboard/profile").text


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
