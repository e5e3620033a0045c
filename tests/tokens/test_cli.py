"""`flask tokens …`: standard output has only the token, or the list."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from letstalk.config.settings import load_settings
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.errors import InvalidToken
from letstalk.tokens.models import Token
from letstalk.tokens.service import TokenService
from tests.support.quick_apps import quick_app

TOKEN = re.compile(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}\n")
OWNER = trusted_actor(ActorKind.OWNER)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    env = {
        "FLASK_ENV": "development",
        "TELEPHONY_PROVIDER": "simulator",
        "DASHBOARD_PASSWORD": "correct horse battery staple",
        "DATABASE_URL": f"sqlite:///{tmp_path}/letstalk.db",
    }
    return quick_app(load_settings(env, None, root=tmp_path))


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["tokens", *words])


def service_of(app: Flask) -> TokenService:
    service: TokenService = app.extensions["letstalk"].tokens
    return service


def only_token(app: Flask) -> Token:
    (token,) = service_of(app).list_tokens(OWNER, include_revoked=True).tokens
    return token


def test_create_prints_the_token_alone(app: Flask) -> None:
    result = run(app, "create", "--user-id", "acme", "--scopes", "read,write")
    assert result.exit_code == 0
    assert TOKEN.fullmatch(result.stdout)
    assert result.stdout.strip() not in result.stderr
    actor = service_of(app).authenticator.authenticate(result.stdout.strip(), "127.0.0.1")
    assert actor.owner_id == "acme"


def test_create_takes_every_bound(app: Flask) -> None:
    bounds = ["--name", "shop", "--expires-in", "60", "--allowed-ips", "10.0.0.1, ::1", "--rate-limit", "5 per day"]
    assert run(app, "create", "--user-id", "acme", "--scopes", "otp:send", *bounds).exit_code == 0
    token = only_token(app)
    assert (token.owner_id, token.name, token.scopes) == ("acme", "shop", ("otp:send",))
    assert (token.allowed_ips, token.rate_limit) == (("10.0.0.1", "::1"), "5 per day")
    assert token.expires_at is not None
    assert (token.expires_at - token.created_at).total_seconds() == 60


@pytest.mark.parametrize(
    "words",
    [
        ["create", "--scopes", "everything"],
        ["create", "--scopes", ""],
        ["create", "--user-id", ""],
        ["create", "--expires-in", "0"],
        ["create", "--allowed-ips", ""],
        ["create", "--rate-limit", "often"],
        ["revoke", "nothing"],
        ["rotate", "nothing"],
        ["rotate", "nothing", "--grace-seconds", "-1"],
    ],
)
def test_a_refusal_is_one_line_on_standard_error(app: Flask, words: list[str]) -> None:
    result = run(app, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_list_is_a_table_without_any_secret(app: Flask) -> None:
    secret = run(app, "create", "--user-id", "acme", "--name", "shop").stdout.strip()
    token = only_token(app)
    header, row = run(app, "list").stdout.splitlines()
    assert header.split("  ")[0] == "TOKEN ID"
    assert all(text in row for text in (token.token_id, token.prefix, "acme", "shop", "read,write", "live"))
    assert secret.split("_")[2] not in row
    assert len(run(app, "list", "--user-id", "nobody").stdout.splitlines()) == 1


def test_list_can_be_json(app: Flask) -> None:
    run(app, "create", "--user-id", "acme")
    (entry,) = json.loads(run(app, "list", "--json").stdout)
    assert (entry["user_id"], entry["scopes"], entry["expires_at"]) == ("acme", ["read", "write"], None)
    assert entry["created_at"].endswith("Z")


def test_revoke_ends_a_token_and_can_be_repeated(app: Flask) -> None:
    secret = run(app, "create").stdout.strip()
    token_id = only_token(app).token_id
    for _ in range(2):
        result = run(app, "revoke", token_id)
        assert (result.exit_code, result.stdout) == (0, "")
    with pytest.raises(InvalidToken):
        service_of(app).authenticator.authenticate(secret, "127.0.0.1")
    assert token_id not in run(app, "list").stdout
    assert "revoked" in run(app, "list", "--include-revoked").stdout


def test_rotate_prints_the_new_token_alone(app: Flask) -> None:
    secret = run(app, "create").stdout.strip()
    result = run(app, "rotate", only_token(app).token_id, "--grace-seconds", "0")
    assert TOKEN.fullmatch(result.stdout)
    service_of(app).authenticator.authenticate(result.stdout.strip(), "127.0.0.1")
    with pytest.raises(InvalidToken):
        service_of(app).authenticator.authenticate(secret, "127.0.0.1")
