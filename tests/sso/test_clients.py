"""Single sign-on for clients of the API: tokens for an app that opens the person's browser itself."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.accounts.models import AccountChanges, NewAccount
from letstalk.accounts.repository import update_account
from letstalk.config.settings import SettingsError
from tests.config.test_settings import load
from tests.support.apps import OWNER, TurnableClock, make_app, services_of
from tests.support.fixtures.logs import LogOutput
from tests.support.openid_provider import FakeOpenIdProvider, Person

SITE, APP, LOOPBACK = "https://app.example.com/signed-in?x=1", "com.example.app:/signed-in", "http://127.0.0.1/done"
SECRET = "s" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(SECRET.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, provider: FakeOpenIdProvider, clock: TurnableClock) -> Flask:
    """A service in which Ada has an account."""
    app = make_app(tmp_path, clock, **provider.settings, OIDC_REDIRECT_URIS=f"{SITE}, {APP},{LOOPBACK}")
    services_of(app).accounts.service.create_account(NewAccount("ada@example.com", "ada", "developer"))
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


def start(client: FlaskClient, redirect_uri: str = SITE, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/auth/sso/start", json={"redirect_uri": redirect_uri, **more})
    assert answer.status_code == 200, answer.text
    assert "Set-Cookie" not in answer.headers
    return dict(answer.get_json())


def finish(client: FlaskClient, brought: dict[str, str], redirect_uri: str = SITE, **more: Any) -> TestResponse:
    return client.post("/api/auth/sso", json={"redirect_uri": redirect_uri, **brought, **more})


def code_of(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


@pytest.mark.parametrize(
    "redirect_uri", [SITE, APP, LOOPBACK, "http://127.0.0.1:51004/done"], ids=["site", "app", "loopback", "port"]
)
def test_a_client_gets_the_tokens_of_a_sign_in(
    client: FlaskClient, provider: FakeOpenIdProvider, redirect_uri: str
) -> None:
    started = start(client, redirect_uri, code_challenge=CHALLENGE)
    brought = provider.sign_in(started["authorization_url"])
    assert (brought["state"], started["expires_in"]) == (started["state"], 600)
    answer = finish(client, brought, redirect_uri, code_verifier=SECRET)
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert set(body) == {"token", "refresh_token", "token_type", "expires_in", "user_id", "username", "role"}
    me = client.get("/api/auth/me", headers={"Authorization": f"Bearer {body['token']}"}).get_json()
    assert (me["username"], me["session"]["kind"], me["session"]["method"]) == ("ada", "api", "sso")
    refreshed = client.post("/api/auth/refresh", json={"refresh_token": body["refresh_token"]})
    assert refreshed.status_code == 200
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://app.example.com/signed-in",
        "https://app.example.com/signed-in?x=1&y",
        "https://app.example.com:444/signed-in?x=1",
        "http://app.example.com/signed-in?x=1",
        "https://evil.example/signed-in?x=1",
        "https://app.example.com@evil.example/signed-in?x=1",
        "http://127.0.0.1:51004/elsewhere",
        "http://127.0.0.1:51004@evil.example/done",
        "http://127.0.0.1.evil.example/done",
        "http://localhost:51004/done",
        "com.example.app:/elsewhere",
        "javascript:alert(1)",
        "/api/auth/sso/callback",
        "http://127.0.0.1:5000/api/auth/sso/callback",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    client: FlaskClient, provider: FakeOpenIdProvider, redirect_uri: str
) -> None:
    answer = client.post("/api/auth/sso/start", json={"redirect_uri": redirect_uri, "code_challenge": CHALLENGE})
    assert code_of(answer) == (400, "invalid_request")
    assert [detail["field"] for detail in answer.get_json()["details"]] == ["redirect_uri"]
    assert provider.asked.total() == 0


def test_without_the_setting_no_address_is(tmp_path: Path, provider: FakeOpenIdProvider) -> None:
    client = make_app(tmp_path, **provider.settings).test_client()
    answer = client.post("/api/auth/sso/start", json={"redirect_uri": LOOPBACK, "code_challenge": CHALLENGE})
    assert code_of(answer) == (400, "invalid_request")


def test_without_a_provider_there_is_nothing(tmp_path: Path) -> None:
    client = make_app(tmp_path, OIDC_REDIRECT_URIS=SITE).test_client()
    assert code_of(client.post("/api/auth/sso/start", json={"redirect_uri": SITE})) == (404, "sso_not_configured")
    assert code_of(finish(client, {"code": "c", "state": "s"})) == (404, "sso_not_configured")


def test_an_apps_own_scheme_requires_a_secret(client: FlaskClient) -> None:
    answer = client.post("/api/auth/sso/start", json={"redirect_uri": APP})
    assert code_of(answer) == (400, "invalid_request")
    assert [detail["field"] for detail in answer.get_json()["details"]] == ["code_challenge"]


def test_a_state_is_good_once_and_with_its_own_address_and_secret_only(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    brought = provider.sign_in(start(client, code_challenge=CHALLENGE)["authorization_url"])
    refused = (400, "sso_failed")
    assert code_of(finish(client, brought)) == refused
    assert code_of(finish(client, brought, code_verifier="t" * 43)) == refused
    assert code_of(finish(client, brought, code_verifier=CHALLENGE)) == refused
    assert code_of(finish(client, brought, LOOPBACK, code_verifier=SECRET)) == refused
    assert code_of(finish(client, {**brought, "state": "x" * 43}, code_verifier=SECRET)) == refused
    assert provider.asked["/token"] == 0
    assert finish(client, brought, code_verifier=SECRET).status_code == 200
    assert code_of(finish(client, brought, code_verifier=SECRET)) == refused
    without_secret = provider.sign_in(start(client)["authorization_url"])
    assert code_of(finish(client, without_secret, code_verifier=SECRET)) == refused
    assert finish(client, without_secret).status_code == 200


def test_of_many_at_once_with_one_state_one_gets_tokens(app: Flask, provider: FakeOpenIdProvider) -> None:
    brought = provider.sign_in(start(app.test_client())["authorization_url"])
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: finish(app.test_client(), brought), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 5]


def test_a_state_of_a_client_is_none_of_a_browser_and_the_other_way_round(
    app: Flask, provider: FakeOpenIdProvider
) -> None:
    browser = app.test_client()
    brought = provider.sign_in(start(browser, code_challenge=CHALLENGE)["authorization_url"])
    browser.set_cookie("letstalk_sso", CHALLENGE)
    for state in (brought["state"], f"{brought['state']}\0{SITE}", f"{SITE}\0{brought['state']}"):
        answer = browser.get("/api/auth/sso/callback", query_string={**brought, "state": state})
        assert code_of(answer) == (400, "sso_failed")
    assert provider.asked["/token"] == 0
    of_browser = provider.sign_in(browser.get("/api/auth/sso/start").headers["Location"])
    for redirect_uri in ("http://127.0.0.1:5000/api/auth/sso/callback", SITE):
        assert code_of(finish(browser, of_browser, redirect_uri)) == (400, "sso_failed")
    assert browser.get("/api/auth/sso/callback", query_string=of_browser).status_code == 302
    assert finish(browser, brought, code_verifier=SECRET).status_code == 200


def test_a_state_expires(client: FlaskClient, provider: FakeOpenIdProvider, clock: TurnableClock) -> None:
    brought = provider.sign_in(start(client)["authorization_url"])
    clock.move(601)
    assert code_of(finish(client, brought)) == (400, "sso_failed")


def test_a_code_of_another_sign_in_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    stolen = provider.sign_in(start(client)["authorization_url"])
    brought = provider.sign_in(start(client)["authorization_url"])
    assert code_of(finish(client, {**brought, "code": stolen["code"]})) == (400, "sso_failed")


def test_a_client_need_not_say_who_sent_the_code_but_must_not_name_another(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    for iss, status in (({}, 200), ({"iss": provider.issuer}, 200), ({"iss": "https://evil.example"}, 400)):
        brought = provider.sign_in(start(client)["authorization_url"])
        assert finish(client, brought, **iss).status_code == status


def test_who_has_no_account_gets_no_tokens(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    brought = provider.sign_in(start(client)["authorization_url"], Person("eve-1", "eve@example.com"))
    assert code_of(finish(client, brought)) == (403, "sso_refused")
    accounts = services_of(app).accounts.service
    ada = accounts.find_by_username("ada")
    assert ada is not None
    accounts.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
    assert code_of(finish(client, provider.sign_in(start(client)["authorization_url"]))) == (403, "sso_refused")


def test_a_second_factor_is_asked_for_before_there_are_tokens(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    accounts = services_of(app).accounts
    account = accounts.service.find_by_username("ada")
    assert account is not None
    with app.extensions["letstalk_db"].write() as connection:
        update_account(connection, replace(account, phone="+12025550142", second_factor=True))
    answer = finish(client, provider.sign_in(start(client)["authorization_url"]))
    assert code_of(answer) == (401, "second_factor_required")
    assert answer.get_json()["challenge"]
    assert "token" not in answer.get_json()
    assert accounts.sessions.list_sessions(account.account_id) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("code", value) for value in ("", "a\nb", "c" * 4097, 7, None)),
        *(("state", value) for value in ("", "s" * 4097, ["s"], None)),
        *(("redirect_uri", value) for value in ("", "r" * 2001, 7)),
        *(("code_verifier", value) for value in ("", "s" * 42, "s" * 129, "ß" * 43, "s" * 42 + "\n", 7)),
        ("more", "x"),
    ],
)
def test_a_field_that_can_not_be_is_named(
    client: FlaskClient, provider: FakeOpenIdProvider, field: str, value: Any
) -> None:
    answer = finish(client, {"code": "c", "state": "s"}, **{field: value})
    assert code_of(answer) == (400, "invalid_request")
    assert [detail["field"] for detail in answer.get_json()["details"]] == [field]
    assert provider.asked.total() == 0


@pytest.mark.parametrize("challenge", ["", "c" * 42, "c" * 44, "=" * 43, "c" * 43 + "\n", 7])
def test_what_is_no_challenge_is_refused(client: FlaskClient, challenge: Any) -> None:
    answer = client.post("/api/auth/sso/start", json={"redirect_uri": SITE, "code_challenge": challenge})
    assert [detail["field"] for detail in answer.get_json()["details"]] == ["code_challenge"]


def test_so_many_start_and_no_more(client: FlaskClient) -> None:
    answers = [client.post("/api/auth/sso/start", json={"redirect_uri": SITE}) for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {200}
    assert code_of(answers[60]) == (429, "rate_limited")


def test_no_secret_is_logged(client: FlaskClient, provider: FakeOpenIdProvider, log_output: LogOutput) -> None:
    brought = provider.sign_in(start(client, code_challenge=CHALLENGE)["authorization_url"])
    finish(client, brought, code_verifier="t" * 43)
    tokens = finish(client, brought, code_verifier=SECRET).get_json()
    output = log_output.getvalue()
    assert "sso_refused" in output
    for secret in (brought["code"], brought["state"], SECRET, tokens["token"], tokens["refresh_token"]):
        assert secret not in output


def test_the_setting_takes_what_a_client_can_be_reached_at(tmp_path: Path) -> None:
    assert load(tmp_path).oidc_redirect_uris == ()
    given = (SITE, LOOPBACK, "http://[::1]:80/", "http://localhost:3000/x", APP, "com.example.app://back")
    assert load(tmp_path, OIDC_REDIRECT_URIS=" , ".join(given)).oidc_redirect_uris == given


@pytest.mark.parametrize(
    "wrong",
    [
        *("*", "https://*.example.com/x", "https://app.example.com/#x", "http://app.example.com/", "https:///x"),
        *(
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/x",
            "app.example.com/x",
            "/x",
            "https://u@app.example.com/",
        ),
        *("https://app.example.com:99999/", "https://app.example.com/a b", "https://\u00e9.example/", "x" * 2001),
        f"{SITE},",
    ],
)
def test_what_is_no_address_to_be_sent_back_to_ends_the_start(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SettingsError, match="OIDC_REDIRECT_URIS requires addresses such as"):
        load(tmp_path, OIDC_REDIRECT_URIS=wrong)
