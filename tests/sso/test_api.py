"""Single sign-on in the steps of a browser, with an honest provider and with a dishonest one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter
from werkzeug.test import TestResponse

from letstalk.accounts.models import AccountChanges, AccountState, NewAccount
from letstalk.audit.repository import EventQuery, list_events
from tests.support.apps import OWNER, TurnableClock, make_app, services_of
from tests.support.fixtures.logs import LogOutput
from tests.support.openid_provider import (
    CLIENT_ID,
    KEYS,
    Claims,
    FakeOpenIdProvider,
    Person,
    sign,
    signed_with_public_key,
    unsigned,
)

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COOKIE = "letstalk_sso"


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, provider: FakeOpenIdProvider, clock: TurnableClock) -> Flask:
    """A service in which Ada has an account."""
    app = make_app(tmp_path, clock, **provider.settings)
    services_of(app).accounts.service.create_account(NewAccount("Ada@Example.com", "ada", "developer"))
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, FakeOpenIdProvider]]:
    """A service and its provider for many tests that leave nothing behind but a linked account."""
    with FakeOpenIdProvider() as provider:
        app = make_app(tmp_path_factory.mktemp("steady"), **provider.settings)
        services_of(app).accounts.service.create_account(NewAccount("ada@example.com", "ada"))
        yield app, provider


def start(client: FlaskClient, next_path: str | None = None) -> str:
    """Where the provider's page is, for this browser."""
    answer = client.get("/api/auth/sso/start", query_string={} if next_path is None else {"next": next_path})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def come_back(client: FlaskClient, brought: dict[str, str]) -> TestResponse:
    return client.get("/api/auth/sso/callback", query_string=brought, headers=BROWSER)


def sign_in(client: FlaskClient, provider: FakeOpenIdProvider, person: Person | None = None) -> TestResponse:
    return come_back(client, provider.sign_in(start(client), person))


def is_signed_in(client: FlaskClient) -> bool:
    status = client.get("/api/auth/me").status_code
    assert status in (200, 401)
    return status == 200


def assert_refused(client: FlaskClient, answer: TestResponse, status: int = 400) -> None:
    """Refused by a page that people understand, and not signed in."""
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text
    assert ("Signing in did not work" if status == 400 else "You have no account here") in answer.text
    assert not is_signed_in(client)


def test_who_has_an_account_is_signed_in_and_sent_where_they_wanted_to_go(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    answer = come_back(client, provider.sign_in(start(client, "/api/tokens/dashboard?x=1")))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/api/tokens/dashboard?x=1")
    me = client.get("/api/auth/me").get_json()
    assert (me["username"], me["role"]) == ("ada", "developer")
    assert (me["session"]["kind"], me["session"]["method"]) == ("browser", "sso")


def test_it_says_what_is_set_up(client: FlaskClient, tmp_path: Path) -> None:
    assert client.get("/api/auth/sso").get_json() == {
        "configured": True,
        "name": "single sign-on",
        "start_url": "http://127.0.0.1:5000/api/auth/sso/start",
    }
    (tmp_path / "other").mkdir()
    other = make_app(tmp_path / "other").test_client()
    assert other.get("/api/auth/sso").get_json() == {"configured": False, "name": None, "start_url": None}
    for path in ("start", "callback"):
        answer = other.get(f"/api/auth/sso/{path}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "sso_not_configured")


def test_no_other_site_is_where_it_ends(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"):
        answer = client.get("/api/auth/sso/start", query_string={"next": target})
        if answer.status_code == 400:
            continue
        back = come_back(client, provider.sign_in(answer.headers["Location"]))
        assert back.headers["Location"] == "/dashboard"


def test_the_cookie_is_for_this_flow_alone(client: FlaskClient) -> None:
    [cookie] = client.get("/api/auth/sso/start").headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"} <= set(cookie.split("; "))


def test_over_tls_the_cookie_can_be_set_by_no_other_host(tmp_path: Path, provider: FakeOpenIdProvider) -> None:
    app = make_app(tmp_path, **{**provider.settings, "PUBLIC_URL": "https://calls.example.com"})
    [cookie] = app.test_client().get("/api/auth/sso/start").headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-letstalk_sso=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_two_tabs_do_not_disturb_each_other(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    first, second = start(client, "/first"), start(client, "/second")
    assert come_back(client, provider.sign_in(second)).headers["Location"] == "/second"
    assert come_back(client, provider.sign_in(first)).headers["Location"] == "/first"


def test_another_state_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    brought = provider.sign_in(start(client))
    for state in ("", "x", brought["state"][:-1], brought["state"] + "x", "s" * 5000):
        assert_refused(client, come_back(client, {**brought, "state": state}))
    assert_refused(client, come_back(client, {"code": brought["code"]}))
    assert come_back(client, brought).status_code == 302, "the right one still counts"


def test_another_browser_is_refused(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    """Login CSRF: a victim's browser is sent to the end of a sign-in that an attacker began."""
    brought = provider.sign_in(start(client))
    victim = app.test_client()
    assert_refused(victim, come_back(victim, brought))
    start(victim)  # with a cookie of its own
    assert_refused(victim, come_back(victim, brought))
    assert not is_signed_in(client)


def test_a_callback_counts_once(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    brought = provider.sign_in(start(client))
    assert come_back(client, brought).status_code == 302
    again = app.test_client()
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    again.set_cookie(COOKIE, cookie.value)
    assert_refused(again, come_back(again, brought))


def test_an_attempt_expires(client: FlaskClient, provider: FakeOpenIdProvider, clock: TurnableClock) -> None:
    brought = provider.sign_in(start(client))
    clock.move(601)
    assert_refused(client, come_back(client, brought))


def test_a_code_that_was_used_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    used = provider.sign_in(start(client))
    assert come_back(client, used).status_code == 302
    client.delete_cookie("session")
    brought = provider.sign_in(start(client))
    assert_refused(client, come_back(client, {**brought, "code": used["code"]}))


def test_a_code_of_another_browsers_sign_in_is_refused(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    """PKCE: the verifier does not fit a code that was given for another attempt."""
    stolen = provider.sign_in(start(client))
    thief = app.test_client()
    brought = provider.sign_in(start(thief))
    assert_refused(thief, come_back(thief, {**brought, "code": stolen["code"]}))


def test_whoever_cancels_there_is_told_so(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    brought = provider.sign_in(start(client))
    answer = come_back(client, {"state": brought["state"], "error": "access_denied", "error_description": "<b>no</b>"})
    assert_refused(client, answer)
    assert "<b>no</b>" not in answer.text
    assert 'href="/sign-in"' in answer.text
    assert_refused(client, come_back(client, brought))  # the attempt is over


@pytest.mark.parametrize("error", ["access_denied", "login_required", "invalid_scope", "<script>", "e" * 4096])
def test_a_program_that_comes_back_with_a_no_is_told_where_to_start_again(
    client: FlaskClient, provider: FakeOpenIdProvider, error: str
) -> None:
    state = provider.sign_in(start(client))["state"]
    answer = client.get("/api/auth/sso/callback", query_string={"state": state, "error": error})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "sso_canceled")
    assert "/api/auth/sso/start" in answer.get_json()["hint"]
    assert error not in answer.text
    assert provider.asked["/token"] == 0
    assert not is_signed_in(client)
    assert sign_in(client, provider).status_code == 302


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_a_provider_that_can_not_now_is_no_refusal(
    client: FlaskClient, provider: FakeOpenIdProvider, error: str
) -> None:
    state = provider.sign_in(start(client))["state"]
    answer = client.get("/api/auth/sso/callback", query_string={"state": state, "error": error})
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert answer.headers["Retry-After"]


def test_a_no_that_belongs_to_no_sign_in_says_nothing_of_one(client: FlaskClient) -> None:
    answer = come_back(client, {"state": "s" * 43, "error": "access_denied"})
    assert_refused(client, answer)
    assert 'href="/sign-in"' in answer.text
    answer = client.get("/api/auth/sso/callback", query_string={"state": "s" * 43, "error": "access_denied"})
    assert answer.get_json()["code"] == "sso_failed"


@pytest.mark.parametrize("code", [None, "", "a\nb", "c" * 5000], ids=["none", "empty", "control", "long"])
def test_what_can_be_no_code_is_refused(client: FlaskClient, provider: FakeOpenIdProvider, code: str | None) -> None:
    state = provider.sign_in(start(client))["state"]
    assert_refused(client, come_back(client, {"state": state} if code is None else {"state": state, "code": code}))
    assert provider.asked["/token"] == 0


def test_an_answer_of_another_issuer_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    """RFC 9207: the mix-up attack."""
    brought = provider.sign_in(start(client))
    assert_refused(client, come_back(client, {**brought, "iss": "https://evil.example"}))
    brought = provider.sign_in(start(client))
    assert come_back(client, {**brought, "iss": provider.issuer}).status_code == 302


def test_an_issuer_that_promises_to_name_itself_has_to(tmp_path: Path, provider: FakeOpenIdProvider) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    client = make_app(tmp_path, **provider.settings).test_client()
    assert_refused(client, sign_in(client, provider))


def without(name: str) -> Callable[[Claims], Claims]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def with_(**changed: Any) -> Callable[[Claims], Claims]:
    return lambda claims: {**claims, **changed}


WRONG_CLAIMS = {
    "another nonce": with_(nonce="another"),
    "no nonce": without("nonce"),
    "another issuer": with_(iss="https://evil.example"),
    "no issuer": without("iss"),
    "another audience": with_(aud="another"),
    "several audiences without us": with_(aud=["a", "b"]),
    "several audiences, authorized for another": with_(aud=[CLIENT_ID, "b"], azp="b"),
    "one audience, authorized for another": with_(azp="b"),
    "no client for an authorized party": with_(aud=[CLIENT_ID], azp=""),
    "a list of nobody": with_(aud=[]),
    "no audience": without("aud"),
    "expired": lambda claims: {**claims, "exp": claims["iat"] - 61},
    "no expiry": without("exp"),
    "expiry as text": lambda claims: {**claims, "exp": str(claims["exp"])},
    "from the future": lambda claims: {**claims, "iat": claims["iat"] + 3600, "exp": claims["exp"] + 3600},
    "not yet": lambda claims: {**claims, "nbf": claims["iat"] + 3600},
    "no subject": without("sub"),
    "subject as number": with_(sub=1),
    "empty subject": with_(sub=""),
    "long subject": with_(sub="s" * 256),
    "subject with NUL": with_(sub="a\0b"),
    "hash of another access token": with_(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
}


@pytest.mark.parametrize("spoil", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
def test_an_id_token_that_says_something_else_is_refused(
    steady: tuple[Flask, FakeOpenIdProvider], monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Claims], Claims]
) -> None:
    app, provider = steady
    client = app.test_client()
    with monkeypatch.context() as changed:
        changed.setattr(provider, "spoil", spoil)
        assert_refused(client, sign_in(client, provider))
    assert sign_in(client, provider).status_code == 302


def test_an_id_token_may_have_more_audiences_than_us(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    for audiences in (CLIENT_ID, [CLIENT_ID], [CLIENT_ID, CLIENT_ID], ["b", CLIENT_ID]):
        for more in ({}, {"azp": None}, {"azp": CLIENT_ID}):
            provider.spoil = with_(aud=audiences, **more)
            assert sign_in(client, provider).status_code == 302, (audiences, more)


FORGERIES: dict[str, Callable[[Claims], str]] = {
    "algorithm none": unsigned,
    "HS256 with the public key": lambda claims: signed_with_public_key(KEYS[0], claims),
    "an algorithm that was not announced": lambda claims: sign(KEYS[0], claims, "PS256"),
    "another key under the same name": lambda claims: sign(KEYS[1], claims, kid=KEYS[0].kid),
    "a key that brings itself": lambda claims: sign(KEYS[1], claims, jwk=KEYS[1].as_dict(private=False)),
    "a changed claim": lambda claims: _with_payload_of(sign(KEYS[0], claims), sign(KEYS[0], {**claims, "sub": "x"})),
    "no JWT": lambda _claims: "nothing",
    "an extension that must be understood": lambda claims: sign_critical(claims),
}


def sign_critical(claims: Claims) -> str:
    registry = JWSRegistry({"exotic": HeaderParameter("for a test", "str")}, algorithms=["RS256"])
    header = {"alg": "RS256", "kid": KEYS[0].kid, "crit": ["exotic"], "exotic": "yes"}
    return jwt.encode(header, claims, KEYS[0], registry=registry)


def _with_payload_of(token: str, other: str) -> str:
    header, _, signature = token.split(".")
    return ".".join((header, other.split(".")[1], signature))


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_an_id_token_that_the_provider_has_not_signed_is_refused(
    steady: tuple[Flask, FakeOpenIdProvider], monkeypatch: pytest.MonkeyPatch, forge: Callable[[Claims], str]
) -> None:
    app, provider = steady
    client = app.test_client()
    with monkeypatch.context() as changed:
        changed.setattr(provider, "forge", forge)
        assert_refused(client, sign_in(client, provider))
    assert sign_in(client, provider).status_code == 302


def test_an_answer_without_id_token_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    provider.answers["/token"] = (200, b'{"access_token": "a", "token_type": "Bearer"}')
    assert_refused(client, sign_in(client, provider))


def test_the_secret_goes_where_the_provider_wants_it(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert sign_in(client, provider).status_code == 302


def test_an_address_is_asked_for_where_the_id_token_has_none(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    provider.sends_email_later = True
    provider.userinfo = with_(sub="somebody else")
    assert_refused(client, sign_in(client, provider))
    provider.userinfo = lambda claims: claims
    assert sign_in(client, provider).status_code == 302


@pytest.mark.parametrize("judgement", [{"email_verified": True}, {"xms_edov": "1"}])
def test_an_address_that_the_id_token_names_may_be_verified_at_userinfo(
    client: FlaskClient, provider: FakeOpenIdProvider, judgement: Claims
) -> None:
    provider.spoil = without("email_verified")
    provider.userinfo = with_(email_verified=None)
    assert_refused(client, sign_in(client, provider), 403)
    judged = {"email_verified": None, **judgement}
    provider.userinfo = with_(email="ada@elsewhere.example", **judged)
    assert_refused(client, sign_in(client, provider), 403)
    provider.userinfo = with_(sub="somebody else", **judged)
    assert_refused(client, sign_in(client, provider))
    provider.userinfo = with_(**judged)
    assert sign_in(client, provider).status_code == 302


def test_a_no_in_the_id_token_is_not_overruled_at_userinfo(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    provider.spoil = with_(email_verified=False)
    assert_refused(client, sign_in(client, provider), 403)
    provider.spoil = lambda claims: {**without("email_verified")(claims), "xms_edov": False}
    assert_refused(client, sign_in(client, provider), 403)
    assert provider.asked["/userinfo"] == 0, "what would verify an address that is denied?"


def test_without_userinfo_who_is_linked_comes_in_and_who_is_not_shall_try_again(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    provider.spoil = without("email_verified")
    provider.answers["/userinfo"] = (503, b"")
    answer = sign_in(client, provider)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    provider.answers.clear()
    assert sign_in(client, provider).status_code == 302
    client.delete_cookie("session")
    provider.answers["/userinfo"] = (401, b"{}")
    assert sign_in(client, provider).status_code == 302


def test_who_has_no_account_is_refused(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    assert_refused(client, sign_in(client, provider, Person("eve-1", "eve@example.com")), 403)
    assert services_of(app).accounts.service.find_by_email("eve@example.com") is None


@pytest.mark.parametrize("verified", [False, None, "true", 1, "yes"])
def test_an_unverified_address_links_nobody(
    client: FlaskClient, provider: FakeOpenIdProvider, verified: object
) -> None:
    assert_refused(client, sign_in(client, provider, Person(email_verified=verified)), 403)


def test_entra_ids_own_claim_verifies_an_address(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    person = Person(email_verified=None, more={"xms_edov": False})
    assert_refused(client, sign_in(client, provider, person), 403)
    person.more["xms_edov"] = True
    assert sign_in(client, provider, person).status_code == 302


def test_a_no_of_the_provider_is_not_overruled_by_another_claim(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    for verified in (False, "false", 0):
        person = Person(email_verified=verified, more={"xms_edov": True})
        assert_refused(client, sign_in(client, provider, person), 403)


def test_what_the_id_token_says_of_no_address_verifies_none_that_userinfo_names(
    client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    provider.sends_email_later = True
    for claims in ({"email_verified": True}, {"xms_edov": True}):
        provider.spoil = with_(**claims)
        assert_refused(client, sign_in(client, provider, Person(email_verified=None)), 403)
    provider.spoil = with_(email_verified=False)
    assert_refused(client, sign_in(client, provider), 403)
    provider.spoil = lambda claims: claims
    assert sign_in(client, provider).status_code == 302


def test_once_linked_the_subject_counts_and_no_address(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    assert sign_in(client, provider).status_code == 302
    client.delete_cookie("session")
    assert sign_in(client, provider, Person(email="new@example.com", email_verified=False)).status_code == 302
    assert client.get("/api/auth/me").get_json()["email"] == "Ada@Example.com"


def test_a_new_subject_with_a_known_address_is_refused(client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    """An address that was given to somebody new must not bring the account along."""
    assert sign_in(client, provider).status_code == 302
    client.delete_cookie("session")
    assert_refused(client, sign_in(client, provider, Person("ada-2")), 403)


def test_a_disabled_account_is_refused(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    assert sign_in(client, provider).status_code == 302
    accounts = services_of(app).accounts.service
    ada = accounts.find_by_username("ada")
    assert ada is not None
    accounts.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
    assert not is_signed_in(client)
    assert_refused(client, sign_in(client, provider), 403)


def test_a_developer_who_came_alone_creates_tokens_without_naming_an_owner(
    tmp_path: Path, provider: FakeOpenIdProvider
) -> None:
    app = make_app(tmp_path, **provider.settings, OIDC_SIGN_UP="developer")
    client = app.test_client()
    assert sign_in(client, provider, Person("eve-1", "eve@example.com")).status_code == 302
    me = client.get("/api/auth/me").get_json()
    assert (me["user_id"], me["user_ids"]) == ("ada", ["ada"])
    page = client.get("/dashboard/profile").text
    csrf = page.split('name="csrf_token" value="')[1].split('"')[0]
    made = client.post("/api/tokens", headers={"X-CSRFToken": csrf})
    assert (made.status_code, made.get_json()["user_id"]) == (201, "ada")


def test_by_setting_a_stranger_gets_an_account(tmp_path: Path, provider: FakeOpenIdProvider) -> None:
    app = make_app(tmp_path, **provider.settings, OIDC_SIGN_UP="viewer")
    client = app.test_client()
    assert_refused(client, sign_in(client, provider, Person("eve-1", "eve@example.com", email_verified=False)), 403)
    assert sign_in(client, provider, Person("eve-1", "eve@example.com")).status_code == 302
    me = client.get("/api/auth/me").get_json()
    assert (me["email"], me["role"], me["user_ids"]) == ("eve@example.com", "viewer", ["ada"])


def test_an_invitation_is_accepted_by_signing_in(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    accounts = services_of(app).accounts.service
    invited = NewAccount("grace@example.com", role="admin", owner_ids=("acme",), state=AccountState.INVITED)
    accounts.create_account(invited)
    person = Person("grace-1", "grace@example.com", more={"preferred_username": "Ada"})
    assert sign_in(client, provider, person).status_code == 302
    me = client.get("/api/auth/me").get_json()
    assert (me["email"], me["state"], me["role"]) == ("grace@example.com", "active", "admin")
    assert me["username"] == "Ada-2", "the name was taken"


def test_an_unverified_account_goes_to_whom_the_address_belongs(
    app: Flask, client: FlaskClient, provider: FakeOpenIdProvider
) -> None:
    """Somebody registered with another's address, and waits for its owner to sign in."""
    accounts = services_of(app).accounts
    password = "planted by somebody else"
    accounts.service.create_account(
        NewAccount(
            "grace@example.com", "grace", password=password, phone="+256700123456", state=AccountState.UNVERIFIED
        )
    )
    assert sign_in(client, provider, Person("grace-1", "grace@example.com")).status_code == 302
    account = accounts.service.find_by_email("grace@example.com")
    assert account is not None
    assert (account.state, account.has_password, account.phone) == (AccountState.ACTIVE, False, None)
    answer = client.post("/api/auth/login", json={"username": "grace", "password": password})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_credentials")


def test_a_program_gets_the_refusal_as_json(client: FlaskClient) -> None:
    answer = client.get("/api/auth/sso/callback?state=x&code=y")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "sso_failed")


def test_what_happens_stands_in_the_audit_trail(app: Flask, client: FlaskClient, provider: FakeOpenIdProvider) -> None:
    sign_in(client, provider)
    come_back(client, {"state": "x", "code": "y"})
    services = services_of(app)
    services.audit.flush()
    with app.extensions["letstalk_db"].read() as connection:
        events = {event.action: event for event in list_events(connection, EventQuery())}
    assert events["identity.linked"].detail == {"issuer": provider.issuer}
    assert events["session.started"].detail["method"] == "sso"
    assert events["refused"].detail == {"code": "sso_failed", "count": 1}


def test_neither_code_nor_state_nor_secret_is_logged(
    client: FlaskClient, provider: FakeOpenIdProvider, log_output: LogOutput
) -> None:
    url = start(client)
    brought = provider.sign_in(url)
    come_back(client, brought)
    come_back(client, brought)
    output = log_output.getvalue()
    assert "sso_refused" in output
    for secret in (brought["code"], brought["state"], "strange"):
        assert secret not in output


def test_a_browser_goes_off_so_often_and_no_more(client: FlaskClient) -> None:
    statuses = [client.get("/api/auth/sso/start").status_code for _ in range(61)]
    assert set(statuses[:60]) == {302}
    assert statuses[60] == 429
