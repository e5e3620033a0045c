"""The page about one's own account: username, phone, second factor and password. It changes no other account."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from letstalk.accounts.models import Account
from letstalk.accounts.repository import update_account
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.verifications.repository import verifications
from tests.support.account_services import OTHER_PASSWORD, PASSWORD, someone
from tests.support.apps import PHONE, code_in, make_app, services_of
from tests.support.pages import Visitor, a_visitor, another_browser, audited_in, refused_codes, the_owner
from tests.support.world import wrong_code

PROFILE = "/dashboard/profile"
KEY = make_encryption_key()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=KEY)


@pytest.fixture
def ada(app: Flask) -> Visitor:
    """A developer with a password, signed in."""
    return a_visitor(app, "ada", password=PASSWORD)


def spoken_codes(app: Flask) -> list[str]:
    """The codes that phones are about to hear."""
    with app.extensions["letstalk_db"].read() as connection:
        sealed = connection.execute(select(verifications.c.speech_sealed)).scalars()
        return [code_in(Vault((KEY,)).decrypt(each).decode()) for each in sealed if each]


def record_of(visitor: Visitor) -> Account:
    account = services_of(visitor.app).accounts.service.find(visitor.account_id)
    assert account
    return account


@pytest.mark.parametrize("role", ["admin", "developer", "viewer"])
def test_everyone_sees_their_own(app: Flask, role: str) -> None:
    page = a_visitor(app, "grace", role).get(PROFILE)
    assert page.status_code == 200
    for text in ("grace@example.com", role, "acme" if role != "admin" else "all"):
        assert text in page.text


def test_the_built_in_owner_has_none(app: Flask) -> None:
    owner = the_owner(app)
    assert PROFILE not in owner.get("/api/tokens/dashboard").text
    for path in (PROFILE, "/dashboard/sessions"):
        assert owner.get(path).status_code == 403
    for form in ("name", "phone", "password"):
        assert owner.post(f"{PROFILE}/{form}", username="x").status_code == 403


def test_the_name_is_changed_unless_somebody_has_it(app: Flask, ada: Visitor) -> None:
    assert ada.post(f"{PROFILE}/name", username="lovelace").location == PROFILE
    assert record_of(ada).username == "lovelace"
    services_of(app).accounts.service.create_account(someone("grace", password=None))
    taken = ada.post(f"{PROFILE}/name", username="Grace")
    assert taken.status_code == 409
    assert 'value="Grace"' in taken.text
    broken = ada.post(f"{PROFILE}/name", username="a b")
    assert broken.status_code == 400
    assert 'id="username-error"' in broken.text
    assert record_of(ada).username == "lovelace"
    assert len(audited_in(app, "account.updated")) == 1


def test_phone_and_second_factor_need_the_password(app: Flask, ada: Visitor) -> None:
    form = {"phone": PHONE}
    for wrong, status, sentence in (
        ("", 400, "Enter your password."),
        (OTHER_PASSWORD, 403, "That is not your password."),
    ):
        answer = ada.post(f"{PROFILE}/phone", **form, confirm_password=wrong)
        assert answer.status_code == status
        assert sentence in answer.text
        assert 'id="confirm_password-error"' in answer.text
        assert f'value="{PHONE}"' in answer.text
    assert (record_of(ada).phone, record_of(ada).second_factor) == (None, False)
    assert refused_codes(app) == ["wrong_password"]
    assert ada.post(f"{PROFILE}/phone", **form, confirm_password=PASSWORD).location == PROFILE
    assert (record_of(ada).phone, record_of(ada).pending_phone) == (None, PHONE)
    page = ada.get(PROFILE).text
    assert f"{PHONE} is not proven yet" in page
    assert 'name="code"' in page
    [code] = spoken_codes(app)
    wrong_one = ada.post(f"{PROFILE}/phone/verify", code=wrong_code(code), second_factor="1")
    assert wrong_one.status_code == 400
    assert 'id="code-error"' in wrong_one.text
    early = ada.post(f"{PROFILE}/phone/call-again")
    assert early.status_code == 429
    assert "You can try again in" in early.text
    done = ada.post(f"{PROFILE}/phone/verify", code=f"{code[:3]} {code[3:]}", second_factor="1")
    assert done.location == f"{PROFILE}#recovery"
    assert (record_of(ada).phone, record_of(ada).pending_phone, record_of(ada).second_factor) == (PHONE, None, True)
    assert ada.is_signed_in(), "what is asked for at a sign-in ends no session"
    ada.post(f"{PROFILE}/phone", phone="", confirm_password=PASSWORD)
    assert (record_of(ada).phone, record_of(ada).second_factor) == (None, False)


@pytest.mark.parametrize(("phone", "field"), [("12", "phone"), ("", "second_factor")])
def test_what_is_wrong_with_the_phone_is_said_beside_it(ada: Visitor, phone: str, field: str) -> None:
    answer = ada.post(f"{PROFILE}/phone", phone=phone, second_factor="1", confirm_password=PASSWORD)
    assert answer.status_code == 400
    assert f'id="{field}-error"' in answer.text
    assert record_of(ada).phone is None


def test_without_a_password_there_is_none_to_show_or_to_change(app: Flask) -> None:
    grace = a_visitor(app, "grace")
    page = grace.get(PROFILE).text
    assert "new_password" not in page
    assert "confirm_password" not in page
    assert grace.post(f"{PROFILE}/phone", phone=PHONE).status_code == 302
    assert record_of(grace).pending_phone == PHONE
    assert grace.post(f"{PROFILE}/phone/verify", code=spoken_codes(app)[0], second_factor="1").status_code == 302
    assert record_of(grace).second_factor
    answer = grace.post(f"{PROFILE}/password", current_password="", new_password=OTHER_PASSWORD)
    assert answer.status_code == 400
    assert not record_of(grace).has_password


def test_a_new_password_ends_the_other_sessions_and_not_this_one(app: Flask, ada: Visitor) -> None:
    assert ada.account
    elsewhere = another_browser(app, ada.account)
    answer = ada.post(f"{PROFILE}/password", current_password=PASSWORD, new_password=OTHER_PASSWORD)
    assert answer.location == PROFILE
    assert "Your password has been changed." in ada.get(PROFILE).text
    assert not elsewhere.is_signed_in()
    stranger = Visitor(app)
    assert stranger.post("/sign-in", username="ada", password=PASSWORD).status_code == 401
    assert stranger.post("/sign-in", username="ada", password=OTHER_PASSWORD).status_code == 302
    [event] = audited_in(app, "account.password_changed")
    assert event.actor_account_id == ada.account_id


@pytest.mark.parametrize(
    ("current", "new", "status", "field"),
    [
        (OTHER_PASSWORD, OTHER_PASSWORD, 403, "current_password"),
        ("", OTHER_PASSWORD, 400, "current_password"),
        (PASSWORD, "short", 400, "new_password"),
        (PASSWORD, "ada@example.com", 400, "new_password"),
        (PASSWORD, "", 400, "new_password"),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(
    app: Flask, ada: Visitor, current: str, new: str, status: int, field: str
) -> None:
    answer = ada.post(f"{PROFILE}/password", current_password=current, new_password=new)
    assert answer.status_code == status
    assert f'id="{field}-error"' in answer.text
    assert not new or f'value="{new}"' not in answer.text.replace('value="ada@example.com" autocomplete="username"', "")
    assert audited_in(app, "account.password_changed") == []


def test_an_open_browser_is_no_way_to_guess_the_password(ada: Visitor) -> None:
    form = {"current_password": "guess", "new_password": OTHER_PASSWORD}
    statuses = [ada.post(f"{PROFILE}/password", **form).status_code for _ in range(6)]
    assert statuses[-1] == 429
    assert ada.post(f"{PROFILE}/password", **{**form, "current_password": PASSWORD}).status_code == 429


def test_a_form_from_elsewhere_changes_nothing(ada: Visitor) -> None:
    forms = {"name": {"username": "evil"}, "phone": {"phone": PHONE}, "password": {"new_password": OTHER_PASSWORD}}
    for form, fields in forms.items():
        data = {**fields, "confirm_password": PASSWORD, "current_password": PASSWORD}
        assert ada.client.post(f"{PROFILE}/{form}", data=data).status_code == 403
    assert (record_of(ada).username, record_of(ada).phone) == ("ada", None)


def test_recovery_codes_are_offered_and_shown_once(app: Flask) -> None:
    ada = a_visitor(app)
    assert ada.account is not None
    assert "Recovery codes" not in ada.get(PROFILE).text, "there is no call that they could replace"
    with app.extensions["letstalk_db"].write() as connection:
        update_account(connection, replace(ada.account, phone=PHONE, second_factor=True))
    assert "You have none." in ada.get(PROFILE).text
    made = ada.post(f"{PROFILE}/recovery-codes", submission="one")
    assert made.status_code == 200
    codes = re.findall(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", made.text)
    assert len(codes) == 10
    assert ada.post(f"{PROFILE}/recovery-codes", submission="one").location == PROFILE
    page = ada.get(PROFILE).text
    assert "10 of 10 are left" in page
    assert not any(code in page for code in codes)


def test_every_wrong_field_is_marked_at_once_and_what_was_typed_stays(ada: Visitor) -> None:
    page = ada.post(f"{PROFILE}/phone", phone="12", confirm_password=OTHER_PASSWORD)
    assert page.status_code == 403
    for field in ("phone", "confirm_password"):
        assert f'id="{field}-error"' in page.text
    assert 'value="12"' in page.text
    assert page.text.index("autofocus") < page.text.index('id="confirm_password"'), "the first wrong field"
    page = ada.post(f"{PROFILE}/password", current_password="", new_password="short")
    assert 'id="current_password-error">Enter your password.' in page.text
    assert 'id="new_password-error">Must have 12 to 256 characters.' in page.text
    assert record_of(ada).credentials_epoch == 0
