"""A form is taken from our own page only, and who is refused learns why."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.core.secret_files import make_encryption_key
from letstalk.http import form_checks
from tests.support.apps import PASSWORD, make_app

HTTPS = "https://localhost"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def token_in(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found
    return found[1]


def sign_in(client: FlaskClient, base: str = HTTPS, token: str | None = None, **headers: str) -> TestResponse:
    token = token_in(client.get("/sign-in", base_url=base)) if token is None else token
    form = {"csrf_token": token, "password": PASSWORD}
    return client.post("/sign-in", data=form, base_url=base, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://localhost"},
        {"Origin": "https://localhost:443"},
        {"Referer": "https://localhost/sign-in"},
        {"Origin": "https://localhost", "Referer": "https://localhost/sign-in"},
    ],
)
def test_over_https_either_header_is_enough(app: Flask, headers: dict[str, str]) -> None:
    assert sign_in(app.test_client(), **headers).status_code == 302


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({}, form_checks.NO_SOURCE),
        ({"Origin": "https://evil.example"}, form_checks.OTHER_SITE),
        ({"Origin": "https://evil.example", "Referer": "https://localhost/sign-in"}, form_checks.OTHER_SITE),
        ({"Referer": "https://evil.example/localhost"}, form_checks.OTHER_SITE),
        ({"Origin": "null"}, form_checks.OTHER_SITE),
        ({"Origin": "http://localhost"}, form_checks.OTHER_SITE),
        ({"Origin": "https://localhost:8443"}, form_checks.OTHER_SITE),
        ({"Origin": "https://localhost:99999"}, form_checks.OTHER_SITE),
        ({"Origin": "https://localhost.evil.example"}, form_checks.OTHER_SITE),
    ],
)
def test_another_source_is_refused_with_the_cause(app: Flask, headers: dict[str, str], cause: str) -> None:
    refused = sign_in(app.test_client(), **headers)
    assert refused.status_code == 403
    assert cause in html.unescape(refused.text)


def test_a_form_that_has_expired_says_so(app: Flask) -> None:
    client = app.test_client()
    client.get("/sign-in", base_url=HTTPS)
    refused = sign_in(client, token="old", Origin=HTTPS)
    assert refused.status_code == 403
    assert form_checks.EXPIRED in html.unescape(refused.text)


def test_a_browser_without_cookies_is_told_so(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    refused = sign_in(client, "http://localhost")
    assert refused.status_code == 403
    assert form_checks.NO_COOKIE in html.unescape(refused.text)


def test_behind_a_proxy_that_ends_https_the_public_address_is_ours(tmp_path: Path) -> None:
    app = make_app(
        tmp_path, FLASK_ENV="production", PUBLIC_URL="https://calls.example.com", ENCRYPTION_KEYS=make_encryption_key()
    )
    client = app.test_client(use_cookies=False)
    refused = sign_in(client, "http://127.0.0.1", Origin="https://calls.example.com")
    assert refused.status_code == 403
    assert form_checks.NOT_HTTPS in html.unescape(refused.text)
    assert form_checks.OTHER_SITE not in html.unescape(refused.text)
