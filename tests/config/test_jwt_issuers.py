"""What the settings take of those who vouch for people, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from letstalk.config.settings import Settings, SettingsError, load_settings

OIDC = {
    "OIDC_ISSUER": "https://id.example.com/realms/acme/",
    "OIDC_CLIENT_ID": "letstalk",
    "PUBLIC_URL": "https://calls.example.com",
}
ISSUER = {
    "issuer": "https://app.example.com",
    "audience": "letstalk",
    "algorithms": ["ES256"],
    "jwks_url": "https://app.example.com/jwks",
}


def load(root: Path, **given: str) -> Settings:
    return load_settings({"FLASK_ENV": "development", **given}, None, root=root)


def test_nobody_vouches_by_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.oidc_issuer, settings.oidc_sign_up, settings.jwt_issuers) == (None, "off", ())


def test_an_issuer_is_kept_to_the_letter(tmp_path: Path) -> None:
    settings = load(tmp_path, **OIDC)
    assert settings.oidc_issuer == OIDC["OIDC_ISSUER"]
    assert (settings.oidc_name, settings.oidc_scopes) == ("single sign-on", "openid email profile")
    assert settings.oidc_client_secret is None


def test_the_secret_can_stand_in_a_file_and_shows_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a-client-secret\n")
    settings = load(tmp_path, **OIDC, OIDC_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    assert settings.oidc_client_secret is not None
    assert settings.oidc_client_secret.get_secret_value() == "a-client-secret"
    assert "a-client-secret" not in repr(settings)


@pytest.mark.parametrize("missing", ["OIDC_CLIENT_ID", "PUBLIC_URL"])
def test_an_issuer_requires_a_client_and_our_address(tmp_path: Path, missing: str) -> None:
    given = {name: value for name, value in OIDC.items() if name != missing}
    with pytest.raises(SettingsError, match=r"^OIDC_CLIENT_ID, PUBLIC_URL must be set when OIDC_ISSUER is$"):
        load(tmp_path, **given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ISSUER", "http://id.example.com"),
        ("OIDC_ISSUER", "id.example.com"),
        ("OIDC_ISSUER", "https://user:word@id.example.com"),
        ("OIDC_ISSUER", "https://id.example.com?x=1"),
        ("OIDC_CLIENT_ID", "a b"),
        ("OIDC_CLIENT_SECRET", "two words"),
        ("OIDC_NAME", "<b>"),
        ("OIDC_SCOPES", "email profile"),
        ("OIDC_SCOPES", 'openid "email"'),
        ("OIDC_SIGN_UP", "admin"),
    ],
)
def test_other_values_are_refused_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{**OIDC, name: value})
    text = str(caught.value)
    assert text.startswith(f"{name} requires ")
    assert "\n" not in text
    assert "word" not in text


def test_issuers_of_jwts_are_read(tmp_path: Path) -> None:
    with_key = {**ISSUER, "issuer": "other", "jwks_url": None, "public_key": "-----BEGIN", "sign_up": "viewer"}
    first, second = load(tmp_path, JWT_ISSUERS=json.dumps([ISSUER, with_key])).jwt_issuers
    assert (first.issuer, first.audience, first.algorithms) == ("https://app.example.com", "letstalk", ["ES256"])
    assert (first.jwks_url, first.sign_up) == ("https://app.example.com/jwks", "off")
    assert (second.issuer, second.public_key, second.sign_up) == ("other", "-----BEGIN", "viewer")


def changed(**values: Any) -> str:
    return json.dumps([{name: value for name, value in {**ISSUER, **values}.items() if value != "absent"}])


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "{}",
        json.dumps(ISSUER),
        json.dumps([ISSUER] * 21),
        changed(issuer="absent"),
        changed(issuer=""),
        changed(audience=["letstalk"]),
        changed(algorithms="ES256"),
        changed(algorithms=[]),
        changed(jwks_url="http://app.example.com/jwks"),
        changed(jwks_url="absent"),
        changed(public_key="-----BEGIN"),
        changed(sign_up="admin"),
        changed(secret="x"),
    ],
)
def test_other_issuers_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_ISSUERS requires a JSON list") as caught:
        load(tmp_path, JWT_ISSUERS=text)
    assert "\n" not in str(caught.value)
