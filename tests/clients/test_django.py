"""django-two-factor-auth, django-allauth and django-phone-verify in a Django project: people hear their codes."""

from __future__ import annotations

import html
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client as Browser
from django.test.utils import override_settings

from tests.clients.conftest import Service
from tests.support.documents import ROOT
from tests.support.ports import free_port
from tests.support.python_packages import installed_packages
from tests.support.services import needed

PASSWORD = "correct horse battery staple"
PHONE_VERIFY = ROOT / "tests" / "support" / "django_phone_verify" / "requirements.txt"


@pytest.fixture(scope="module")
def phone_verify() -> Path | None:
    """Where django-phone-verify is, which is not in the environment of the other tests."""
    return installed_packages(PHONE_VERIFY)


@pytest.fixture(scope="module", autouse=True)
def site(service: Service, phone_verify: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The project, with its tables. Django can be set up once in a process."""
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.clients.django_site.settings",
        "DJANGO_DATABASE": str(tmp_path_factory.mktemp("django") / "site.db"),
        "LETSTALK_URL": service.url,
        "LETSTALK_TOKEN": service.token,
    }
    os.environ.update(own)
    sys.path += [] if phone_verify is None else [str(phone_verify)]
    django.setup()
    # Django has set the time zone of the process, which other tests share.
    os.environ.pop("TZ", None)
    time.tzset()
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield
    connections.close_all()
    for name in own:
        del os.environ[name]


def make_user(name: str, **fields: Any) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user(name, password=PASSWORD, **fields)


def words_of(page: Any) -> str:
    """What a person reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def code_of_another(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


class TestTwoFactorAuth:
    def sign_in(self, browser: Browser, name: str) -> Any:
        data = {"login_view-current_step": "auth", "auth-username": name, "auth-password": PASSWORD}
        return browser.post("/account/login/", data, headers={"accept-language": "de"})

    def set_up(self, browser: Browser, phone: str) -> Any:
        steps = [{"": "welcome"}, {"": "method", "method-method": "call"}, {"": "call", "call-number": phone}]
        for step in steps:
            data = {name or "setup_view-current_step": value for name, value in step.items()}
            page = browser.post("/account/two_factor/setup/", data)
        return page

    def test_a_phone_is_set_up_and_signs_in_by_call(self, service: Service) -> None:
        make_user("ann")
        browser = Browser()
        self.sign_in(browser, "ann")
        page = self.set_up(browser, "+12025550131")
        assert "We are calling your phone right now" in page.text
        code = service.heard_by("+12025550131")
        wrong = {"setup_view-current_step": "validation", "validation-token": code_of_another(code)}
        assert "Entered token is not valid" in browser.post("/account/two_factor/setup/", wrong).text
        right = {"setup_view-current_step": "validation", "validation-token": code}
        assert browser.post("/account/two_factor/setup/", right).status_code == 302

        elsewhere = Browser()
        # The code of this half minute was said a moment ago: the same code is the same call.
        page = self.sign_in(elsewhere, "ann")
        assert "Wir rufen Sie" in page.text or "We are calling your phone right now" in page.text
        token = {"login_view-current_step": "token", "token-otp_token": code}
        assert elsewhere.post("/account/login/", token).status_code == 302
        assert elsewhere.get("/account/two_factor/").status_code == 200

    def test_the_call_speaks_the_language_of_the_page_with_every_digit(self, service: Service) -> None:
        from django.utils.translation import override
        from two_factor.plugins.phonenumber.models import PhoneDevice

        from letstalk_client.django import CallGateway

        device = PhoneDevice(user=make_user("bo"), number="+12025550132", method="call", name="default")
        with override("de"):
            CallGateway().make_call(device, "012345")
        assert service.heard_by("+12025550132") == "012345"

    def test_a_refusal_while_a_phone_is_set_up_is_said_on_the_page(self) -> None:
        make_user("cy")
        browser = Browser()
        self.sign_in(browser, "cy")
        page = self.set_up(browser, "+19005550133")  # never called
        assert page.status_code == 200
        assert "encountered an issue" in page.text

    def test_a_refusal_at_a_sign_in_is_a_message_and_no_error_page(self, caplog: pytest.LogCaptureFixture) -> None:
        from two_factor.plugins.phonenumber.models import PhoneDevice

        PhoneDevice.objects.create(user=make_user("di"), number="+19005550134", method="call", name="default")
        caplog.set_level(logging.WARNING)
        page = self.sign_in(Browser(), "di")
        assert page.status_code == 200
        assert 'name="token-otp_token"' in page.text
        assert "Premium-rate and shared-cost numbers are never called." in words_of(page)
        assert "403 destination_blocked, request" in caplog.text
        assert "5550134" not in caplog.text

    def test_a_service_that_is_away_locks_nobody_out_and_is_told_without_its_token(
        self, service: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        from two_factor.plugins.phonenumber.models import PhoneDevice

        PhoneDevice.objects.create(user=make_user("ed"), number="+12025550135", method="call", name="default")
        with override_settings(LETSTALK_TOKEN="lt_wrong"):
            page = self.sign_in(Browser(), "ed")
        assert "We can't call you right now. Try again in a moment." in words_of(page)
        assert "lt_wrong" not in caplog.text + page.text
        assert service.calls_of("+12025550135") == []

    def test_settings_that_are_missing_are_named(self) -> None:
        from django.core.exceptions import ImproperlyConfigured

        from letstalk_client.django import client_from_settings

        for wrong in ({"LETSTALK_URL": None}, {"LETSTALK_TOKEN": ""}, {"LETSTALK_URL": "calls.example.com"}):
            with override_settings(**wrong), pytest.raises(ImproperlyConfigured, match="LETSTALK_URL"):
                client_from_settings()


class TestAllauth:
    def test_signing_up_with_a_phone_by_call(self, service: Service) -> None:
        browser = Browser()
        data = {"phone": "+12025550141", "password1": PASSWORD}
        page = browser.post("/accounts/signup/", data)
        assert (page.status_code, page.headers["location"]) == (302, "/accounts/phone/verify/")
        code = service.heard_by("+12025550141")
        assert re.fullmatch(r"\d{6}", code)
        browser.post("/accounts/phone/verify/", {"code": code_of_another(code), "action": "verify"})
        page = browser.post("/accounts/phone/verify/", {"code": code, "action": "verify"})
        assert (page.status_code, page.headers["location"]) == (302, settings.LOGIN_REDIRECT_URL)
        from django.contrib.auth import get_user_model

        user = get_user_model().objects.get(phone="+12025550141")
        assert user.phone_verified is True
        assert browser.session["_auth_user_id"] == str(user.pk)

    def test_a_refused_first_call_leads_back_with_a_message(self) -> None:
        browser = Browser()
        page = browser.post("/accounts/signup/", {"phone": "+19005550142", "password1": PASSWORD})
        assert (page.status_code, page.headers["location"]) == (302, "/accounts/signup/")
        page = browser.get("/accounts/signup/")
        assert "Premium-rate and shared-cost numbers are never called." in words_of(page)
        assert "_auth_user_id" not in browser.session

    def test_a_refused_second_call_keeps_the_first_code_right(self, service: Service) -> None:
        browser = Browser()
        browser.post("/accounts/signup/", {"phone": "+12025550143", "password1": PASSWORD})
        code = service.heard_by("+12025550143")
        page = browser.post("/accounts/phone/verify/", {"action": "resend"})
        assert (page.status_code, page.headers["location"]) == (302, "/accounts/phone/verify/")
        page = browser.get("/accounts/phone/verify/")
        assert page.status_code == 200
        assert re.search(r"You can try again in \d+ seconds\.", words_of(page))
        assert len(service.calls_of("+12025550143")) == 1
        page = browser.post("/accounts/phone/verify/", {"code": code, "action": "verify"})
        assert (page.status_code, page.headers["location"]) == (302, settings.LOGIN_REDIRECT_URL)


class TestPhoneVerify:
    @pytest.fixture(autouse=True)
    def _installed(self, phone_verify: Path | None) -> None:
        needed("django-phone-verify, by pip", phone_verify)

    def test_a_phone_is_verified_by_call(self, service: Service) -> None:
        browser = Browser()
        asked = browser.post("/api/phone/register", {"phone_number": "+12025550151"})
        assert asked.status_code == 200, asked.text
        body = {"phone_number": "+12025550151", "session_token": asked.json()["session_token"]}
        code = service.heard_by("+12025550151")
        assert browser.post("/api/phone/verify", {**body, "security_code": code_of_another(code)}).status_code == 400
        assert browser.post("/api/phone/verify", {**body, "security_code": code}).status_code == 200

    def test_a_refusal_reaches_the_app(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        browser = Browser()
        assert browser.post("/api/phone/register", {"phone_number": "+12025550152"}).status_code == 200
        code = service.heard_by("+12025550152")
        soon = browser.post("/api/phone/register", {"phone_number": "+12025550152"})
        assert soon.status_code == 429
        assert int(soon.headers["retry-after"]) > 10
        blocked = browser.post("/api/phone/register", {"phone_number": "+19005550153"})
        assert (blocked.status_code, list(blocked.json())) == (400, ["phone_number"])
        with override_settings(LETSTALK_URL=f"http://127.0.0.1:{free_port()}", LETSTALK_TOKEN="lt_other"):
            away = browser.post("/api/phone/register", {"phone_number": "+12025550154"})
        assert (away.status_code, away.json()["detail"]) == (503, "We can't call you right now. Try again in a moment.")
        assert code not in caplog.text

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("Welcome to Acme! Please use security code 048213 to proceed.", "048213"),
            ("048213", "048213"),
            ("Your code is 048213. It is valid for 5 minutes.", "048213"),
        ],
    )
    def test_the_code_is_found_in_a_sentence(self, text: str, code: str) -> None:
        from letstalk_client.spoken import code_in

        assert code_in(text) == code

    @pytest.mark.parametrize("text", ["", "Hello", "048213 or 048214", "order 4711: 048213", "a048213", "12345678901"])
    def test_a_sentence_without_exactly_one_code_is_not_spoken(self, text: str) -> None:
        from letstalk_client.spoken import code_in

        with pytest.raises(ValueError, match="codes of 4 to 10 digits") as caught:
            code_in(text)
        assert "048213" not in str(caught.value)
