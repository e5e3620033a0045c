"""`POST /api/auth/jwt`: who is signed in by the JWT of another issuer, and that it works once."""

from __future__ import annotations

import json
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from letstalk.accounts.models import AccountChanges, NewAccount, Role
from letstalk.config.settings import SettingsError
from tests.support.apps import OWNER, make_app, services_of
from tests.support.fixtures.logs import LogOutput
from tests.support.openid_provider import KEYS, Claims, FakeOpenIdProvider, sign, signed_with_public_key, unsigned

ISSUER = "https://app.example.com"
OPEN_ISSUER = "https://open.example.com"


def jwt_issuers(**more: Any) -> str:
    """The setting: one issuer that brings in whom we know, and one that brings in everybody."""
    shared = {"audience": "letstalk", "algorithms": ["RS256"], "public_key": KEYS[0].as_pem(private=False).decode()}
    issuers = [{"issuer": ISSUER, **shared, **more}, {"issuer": OPEN_ISSUER, **shared, "sign_up": "developer"}]
    return json.dumps(issuers)


def with_ada(app: Flask) -> Flask:
    services_of(app).accounts.service.create_account(NewAccount("ada@example.com", "ada", "developer"))
    return app


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return with_ada(make_app(tmp_path, JWT_ISSUERS=jwt_issuers()))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(params=["sqlite", "postgresql"])
def app_on_each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    more = {"DATABASE_URL": request.getfixturevalue("migrated_postgresql_url")} if request.param == "postgresql" else {}
    app = with_ada(make_app(tmp_path, JWT_ISSUERS=jwt_issuers(), **more))
    yield app
    app.extensions["letstalk_db"].close()


def claims(**changed: Any) -> Claims:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": "ada-1",
        "aud": "letstalk",
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
        "email": "ada@example.com",
        "email_verified": True,
        **changed,
    }


def present(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/api/auth/jwt", json={"token": token})


def assert_refused(answer: TestResponse) -> None:
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_token"), answer.text
    assert answer.get_json()["error"] == "Invalid or revoked token"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="letstalk", error="invalid_token"'


def test_it_answers_as_a_login_does(client: FlaskClient) -> None:
    answer = present(client, sign(KEYS[0], claims()))
    assert answer.status_code == 200
    body = answer.get_json()
    assert set(body) == {"token", "refresh_token", "token_type", "expires_in", "user_id", "username", "role"}
    assert (body["username"], body["role"]) == ("ada", "developer")
    me = client.get("/api/auth/me", headers={"Authorization": f"Bearer {body['token']}"}).get_json()
    assert (me["session"]["method"], me["session"]["kind"]) == ("jwt", "api")


def test_a_token_works_once(app_on_each: Flask) -> None:
    client = app_on_each.test_client()
    token = sign(KEYS[0], claims())
    assert present(client, token).status_code == 200
    assert_refused(present(client, token))
    assert present(client, sign(KEYS[0], claims())).status_code == 200


def test_a_token_without_id_works_once_however_its_signature_is_written(tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256", {"kid": "ec"})
    changed = {"algorithms": ["ES256"], "public_key": key.as_pem(private=False).decode()}
    client = with_ada(make_app(tmp_path, JWT_ISSUERS=jwt_issuers(**changed))).test_client()
    without_id = claims()
    del without_id["jti"]
    token = sign(key, without_id, "ES256")
    assert present(client, token).status_code == 200
    assert_refused(present(client, token))
    assert_refused(present(client, with_other_signature(token)))
    another = sign(key, {**without_id, "iat": without_id["iat"] - 1}, "ES256")
    assert present(client, with_other_signature(another)).status_code == 200, "it is one that counts"
    assert_refused(present(client, another))


def with_other_signature(token: str) -> str:
    """The same ES256 token: (r, n - s) signs what (r, s) signs, and anyone can compute it."""
    signed, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = order - int.from_bytes(raw[32:], "big")
    return f"{signed}.{urlsafe_b64encode(raw[:32] + other.to_bytes(32, 'big')).rstrip(b'=').decode()}"


def test_of_twenty_at_once_with_one_token_one_is_signed_in(app_on_each: Flask) -> None:
    token = sign(KEYS[0], claims())
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: present(app_on_each.test_client(), token), range(20)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [401] * 19
    for answer in answers:
        if answer.status_code == 401:
            assert_refused(answer)
    accounts = services_of(app_on_each).accounts.service
    ada = accounts.find_by_username("ada")
    assert ada is not None
    assert len(services_of(app_on_each).accounts.sessions.list_sessions(ada.account_id)) == 1


def test_of_twenty_at_once_that_bring_one_stranger_all_reach_one_account(app_on_each: Flask) -> None:
    def bring(_: int) -> TestResponse:
        token = sign(KEYS[0], claims(iss=OPEN_ISSUER, sub="eve-1", email="eve@example.com"))
        return present(app_on_each.test_client(), token)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(bring, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["user_id"] for answer in answers}) == 1


def test_two_issuers_may_use_the_same_id(client: FlaskClient) -> None:
    for issuer in (ISSUER, OPEN_ISSUER):
        assert present(client, sign(KEYS[0], claims(iss=issuer, jti="1"))).status_code == 200


def test_whatever_is_wrong_gets_the_same_answer(app: Flask, client: FlaskClient) -> None:
    now = int(time.time())
    wrong = [
        "nothing",
        "a.b.c",
        unsigned(claims()),
        signed_with_public_key(KEYS[0], claims()),
        sign(KEYS[1], claims()),
        sign(KEYS[0], claims(iss="https://evil.example")),
        sign(KEYS[0], claims(aud="another")),
        sign(KEYS[0], claims(iat=now - 400, exp=now - 100)),
        sign(KEYS[0], claims(nbf=now + 3600)),
        sign(KEYS[0], claims(jti="")),
        sign(KEYS[0], claims(jti=None)),
        sign(KEYS[0], claims(sub="eve-1", email="eve@example.com")),
        sign(KEYS[0], claims(email_verified=False)),
    ]
    for token in wrong:
        assert_refused(present(client, token))
    accounts = services_of(app).accounts.service
    ada = accounts.find_by_username("ada")
    assert ada is not None
    accounts.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
    assert_refused(present(client, sign(KEYS[0], claims())))


def test_without_issuers_every_token_is_refused(tmp_path: Path) -> None:
    assert_refused(present(make_app(tmp_path).test_client(), sign(KEYS[0], claims())))


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 1}, {"token": "x" * 20_000}, {"token": "a\0b"}])
def test_a_body_that_holds_no_token_is_a_bad_request(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.post("/api/auth/jwt", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")


def test_a_token_is_not_lost_to_who_is_let_in_later(app: Flask, client: FlaskClient) -> None:
    token = sign(KEYS[0], claims(sub="eve-1", email="eve@example.com"))
    assert_refused(present(client, token))
    services_of(app).accounts.service.create_account(NewAccount("eve@example.com", "eve"))
    assert present(client, token).status_code == 200


def test_an_issuer_may_bring_in_strangers(app: Flask, client: FlaskClient) -> None:
    body = present(client, sign(KEYS[0], claims(iss=OPEN_ISSUER, sub="eve-1", email="eve@example.com"))).get_json()
    account = services_of(app).accounts.service.find(body["user_id"])
    assert account is not None
    assert (account.email, account.role, account.owner_ids) == ("eve@example.com", Role.DEVELOPER, ("eve",))
    assert not account.has_password


def test_keys_that_can_not_be_read_are_no_verdict(tmp_path: Path, provider: FakeOpenIdProvider) -> None:
    more = {"public_key": None, "jwks_url": f"{provider.issuer}/jwks"}
    client = with_ada(make_app(tmp_path, JWT_ISSUERS=jwt_issuers(**more))).test_client()
    provider.answers["/jwks"] = (500, b"")
    token = sign(KEYS[0], claims())
    answer = present(client, token)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_key_that_can_not_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_ISSUERS can't be used: public_key"):
        make_app(tmp_path, JWT_ISSUERS=jwt_issuers(public_key="nothing"))


def test_no_token_is_logged(client: FlaskClient, log_output: LogOutput) -> None:
    token = sign(KEYS[0], claims())
    present(client, token)
    present(client, token)
    assert "jwt_refused" in log_output.getvalue()
    assert token.split(".")[1] not in log_output.getvalue()
