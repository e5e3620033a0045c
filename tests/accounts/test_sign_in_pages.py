"""Signing in to the dashboard with an account: username and password, the code by phone, and attacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.accounts.models import AccountChanges
from letstalk.core.secret_files import make_encryption_key
from tests.accounts.test_sign_in_code_pages import spoken_code
from tests.support.account_services import OTHER_PASSWORD, someone, someone_called
from tests.support.apps import OWNER, make_app, services_of
from tests.support.apps import PASSWORD as OWNER_PASSWORD
from tests.support.pages import Visitor, audited_in, refused_codes

KEY = make_encryption_key()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """A service where Ada has an account."""
    app = make_app(tmp_path, ENCRYPTION_KEYS=KEY)
    services_of(app).accounts.service.create_account(someone("ada", password=OTHER_PASSWORD))
    return app


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


def sign_in(visitor: Visitor, username: str = "ada", password: str = OTHER_PASSWORD, **fields: str) -> TestResponse:
    return visitor.post("/sign-in", username=username, password=password, **fields)


@pytest.mark.parametrize("name", ["ada", " ADA ", "ada@example.com"])
def test_a_person_signs_in_by_name_or_address_and_goes_where_they_wanted_to(
    app: Flask, visitor: Visitor, name: str
) -> None:
    answer = sign_in(visitor, name, next="/dashboard/sessions")
    assert (answer.status_code, answer.location) == (302, "/dashboard/sessions")
    assert visitor.is_signed_in()
    [event] = audited_in(app, "session.started")
    assert (event.detail["kind"], event.detail["method"]) == ("browser", "password")
    assert visitor.get("/sign-in").location == "/dashboard"


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(app: Flask, visitor: Visitor) -> None:
    answers = [sign_in(visitor, "ada", "wrong"), sign_in(visitor, "nobody", OTHER_PASSWORD)]
    for answer in answers:
        assert answer.status_code == 401
        assert "The name or the password is wrong." in answer.text
        assert answer.text.count('aria-invalid="true"') == 2
        assert OTHER_PASSWORD not in answer.text
    assert answers[0].text.count("nobody") == 0
    assert 'value="ada"' in answers[0].text, "what was typed stays, but for the password"
    assert not visitor.is_signed_in()
    assert refused_codes(app) == ["invalid_credentials", "invalid_credentials"]


def test_guessing_waits_and_says_for_how_long(visitor: Visitor) -> None:
    statuses = [sign_in(visitor, "ada", f"wrong {number}").status_code for number in range(6)]
    assert statuses == [401, 401, 401, 401, 401, 429]
    answer = sign_in(visitor)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "You can try again in " in answer.text
    assert not visitor.is_signed_in()


def test_whoever_may_not_sign_in_does_not(app: Flask, visitor: Visitor) -> None:
    accounts = services_of(app).accounts
    ada = accounts.service.find_by_username("ada")
    assert ada
    accounts.service.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
    assert sign_in(visitor).status_code == 401
    assert not visitor.is_signed_in()


def test_the_built_in_owner_still_signs_in_by_the_password_alone(visitor: Visitor) -> None:
    page = visitor.get("/sign-in").text
    assert 'name="username"' in page
    assert "DASHBOARD_PASSWORD" in page
    assert sign_in(visitor, "", OTHER_PASSWORD).status_code == 401
    assert sign_in(visitor, "", OWNER_PASSWORD).status_code == 302
    assert visitor.is_signed_in()
    assert visitor.get("/dashboard/people").status_code == 200


def test_the_owner_s_password_opens_no_account(visitor: Visitor) -> None:
    assert sign_in(visitor, "ada", OWNER_PASSWORD).status_code == 401
    assert sign_in(visitor, "owner", OWNER_PASSWORD).status_code == 401
    assert not visitor.is_signed_in()


def test_where_nobody_has_an_account_no_name_is_asked_for(tmp_path: Path) -> None:
    page = Visitor(make_app(tmp_path)).get("/sign-in").text
    assert 'name="username"' not in page
    assert 'name="password"' in page


def test_where_the_owner_is_switched_off_a_name_is_needed(tmp_path: Path, app: Flask) -> None:
    services_of(app).accounts.service.create_account(someone("root", "admin", password=OTHER_PASSWORD))
    closed = make_app(tmp_path, ENCRYPTION_KEYS=KEY, OWNER_SIGN_IN="off")
    visitor = Visitor(closed)
    page = visitor.get("/sign-in").text
    assert "DASHBOARD_PASSWORD" not in page
    assert sign_in(visitor, "", OWNER_PASSWORD).status_code == 401
    assert not visitor.is_signed_in()
    assert sign_in(visitor, "root", OTHER_PASSWORD).status_code == 302
    assert visitor.is_signed_in()


def test_a_form_from_elsewhere_signs_nobody_in(visitor: Visitor) -> None:
    assert visitor.client.post("/sign-in", data={"username": "ada", "password": OTHER_PASSWORD}).status_code == 403
    assert not visitor.is_signed_in()


def test_what_was_in_the_session_before_does_not_live_on(app: Flask, visitor: Visitor) -> None:
    planted = visitor.csrf_token()
    with visitor.client.session_transaction() as session:
        session["last_submission"] = "planted"
    fixed = visitor.session_cookie()
    sign_in(visitor)
    assert visitor.session_cookie() != fixed
    with visitor.client.session_transaction() as session:
        assert "last_submission" not in session
    assert visitor.client.post("/sign-out", data={"csrf_token": planted}).status_code == 403
    attacker = Visitor(app)
    attacker.client.set_cookie("session", fixed)
    assert not attacker.is_signed_in()


def test_signing_out_ends_a_copied_cookie_too(app: Flask, visitor: Visitor) -> None:
    sign_in(visitor)
    thief = Visitor(app)
    thief.client.set_cookie("session", visitor.session_cookie())
    assert thief.is_signed_in()
    assert visitor.post("/sign-out").location == "/sign-in"
    assert not thief.is_signed_in()
    [event] = audited_in(app, "session.ended")
    assert event.detail["reason"] == "signed_out"


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example"])
def test_signing_in_leads_to_no_other_host(visitor: Visitor, target: str) -> None:
    assert sign_in(visitor, next=target).location == "/dashboard"


def test_whoever_asks_for_a_second_factor_gives_the_code_that_the_phone_hears(app: Flask, visitor: Visitor) -> None:
    accounts = services_of(app).accounts
    someone_called(accounts, app.extensions["letstalk_db"], "grace", password=OTHER_PASSWORD)
    answer = sign_in(visitor, "grace", OTHER_PASSWORD, next="/dashboard/profile")
    assert (answer.status_code, answer.location) == (302, "/sign-in/code")
    assert not visitor.is_signed_in()
    assert visitor.post("/sign-in/code", code="000").status_code == 400
    done = visitor.post("/sign-in/code", code=spoken_code(app, KEY))
    assert (done.status_code, done.location) == (302, "/dashboard/profile")
    assert visitor.is_signed_in()


def test_a_role_that_asks_for_a_phone_lets_nobody_in_without_one(app: Flask, visitor: Visitor) -> None:
    second_factors = services_of(app).accounts.second_factors
    [developer] = [role for role in second_factors.list_policies() if role.value == "developer"]
    second_factors.set_policy(OWNER, developer, requires_second_factor=True)
    answer = sign_in(visitor)
    assert (answer.status_code, answer.location) == (302, "/sign-in/code")
    assert 'name="phone"' in visitor.get("/sign-in/code").text
    assert not visitor.is_signed_in()


def test_the_ways_in_that_there_are_not_are_not_shown(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.get("/sign-in").text
    assert "Sign in with" not in page
    assert "/register" not in page
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    configured = make_app(
        elsewhere,
        OIDC_ISSUER="https://id.example.com",
        OIDC_CLIENT_ID="letstalk",
        OIDC_CLIENT_SECRET="s" * 32,
        OIDC_NAME="Acme",
        PUBLIC_URL="https://calls.example.com",
        REGISTRATION="open",
    )
    page = Visitor(configured).get("/sign-in?next=/dashboard/profile").text
    assert 'href="https://calls.example.com/api/auth/sso/start?next=/dashboard/profile">Sign in with Acme' in page
    assert 'href="/register"' in page
