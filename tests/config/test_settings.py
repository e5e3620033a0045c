"""What the settings take, what they refuse, and how they say so."""

from __future__ import annotations

import base64
import re
import stat
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from letstalk.config.settings import (
    PROJECT_ROOT,
    SECRET_NAMES,
    SETTING_NAMES,
    Settings,
    SettingsError,
    ensure_password_is_uncommon,
    load_settings,
    read_env_file,
)

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 (nothing here listens)
PRODUCTION = {
    "SECRET_KEY": "s" * 32,
    "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "DASHBOARD_PASSWORD": "correct horse battery",
    "TELEPHONY_PROVIDER": "simulator",
}
TELNYX = {
    "TELNYX_API_KEY": "KEY0123",
    "TELNYX_CONNECTION_ID": "1293384261075731499",
    "TELNYX_FROM_NUMBER": "+15551234567",
    "TELNYX_PUBLIC_KEY": base64.b64encode(b"k" * 32).decode(),
    "PUBLIC_URL": "https://calls.example.com",
}
MAIL = {
    "SMTP_HOST": "mail.example.com",
    "SMTP_USERNAME": "letstalk",
    "SMTP_PASSWORD": "pw-mail",
    "MAIL_FROM": "Let's Talk <calls@example.com>",
}
ELSEWHERE = {"OIDC_CLIENT_SECRET": "secret-of-the-client"}


def load(root: Path, **given: str) -> Settings:
    """Settings in development from `given` alone."""
    return load_settings({"FLASK_ENV": "development", **given}, None, root=root)


def load_production(root: Path, **given: str) -> Settings:
    return load_settings({**PRODUCTION, **given}, None, root=root)


def refusal(root: Path, **given: str) -> str:
    """The one line that refuses `given` in development."""
    with pytest.raises(SettingsError) as caught:
        load(root, **given)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load_production(tmp_path)
    assert (settings.flask_env, settings.host, settings.port) == ("production", ANY_ADDRESS, 5000)
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/instance/letstalk.db"
    assert (settings.sqlite_synchronous, settings.redis_url) == ("NORMAL", None)
    assert (settings.max_concurrent_calls, settings.answering_machine) == (10, "hang_up")
    assert (settings.rate_limit_token, settings.rate_limit_address) == ("600 per minute", "1200 per minute")
    assert settings.rate_limit_phone == "5 per 10 minutes; 10 per day"
    assert settings.rate_limit_phone_all == "10 per 10 minutes; 30 per day"
    assert settings.default_region is None
    assert settings.allowed_countries == settings.blocked_countries == frozenset()
    assert (settings.trusted_proxies, settings.simulator_speed, settings.brand_name) == (0, 1.0, "Let's Talk")
    assert not settings.dashboard_password_was_made


def test_the_process_environment_is_read_when_no_other_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SETTING_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLASK_ENV", "development")
    monkeypatch.setenv("PORT", "5001")
    assert load_settings(root=tmp_path).port == 5001
    assert load(tmp_path).port == 5000, "an environment that was handed over is the only one"


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text('FLASK_ENV=development\nPORT=5001\nBRAND_NAME="Acme $HOME ${X}"\nexport WEB_THREADS=3\n')
    settings = load_settings({"PORT": "5002"}, env_file, root=tmp_path)
    assert (settings.port, settings.web_threads) == (5002, 3)
    assert settings.brand_name == "Acme $HOME ${X}", "what looks like a variable is taken as it stands"


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    settings = load(tmp_path, PORT="", TELNYX_API_KEY=" ", TELNYX_API_KEY_FILE="", HOST="")
    assert (settings.port, settings.telephony_provider, settings.host) == (5000, "simulator", "127.0.0.1")


def test_env_file_names_another_file_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("FLASK_ENV=development\nPORT=5001\n")
    monkeypatch.setenv("ENV_FILE", "")
    assert load_settings(root=tmp_path).port == 5001
    (tmp_path / "other.env").write_text("FLASK_ENV=development\nPORT=5002\n")
    monkeypatch.setenv("ENV_FILE", "other.env")
    assert load_settings(root=tmp_path).port == 5002
    monkeypatch.setenv("ENV_FILE", "missing.env")
    with pytest.raises(SettingsError, match=r"^ENV_FILE names a file that does not exist$"):
        load_settings(root=tmp_path)


def test_a_broken_line_of_the_env_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=5000\nSECRET_KEY='never closed\n")
    with pytest.raises(SettingsError, match=r"^\.env requires NAME=value in line 2$"):
        load_settings({}, env_file, root=tmp_path)


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS", "DASHBOARD_PASSWORD", "TELEPHONY_PROVIDER"])
def test_production_does_not_start_without(name: str, tmp_path: Path) -> None:
    given = {other: value for other, value in PRODUCTION.items() if other != name}
    with pytest.raises(SettingsError, match=rf"^{name} is missing: it requires .+"):
        load_settings(given, None, root=tmp_path)
    assert not (tmp_path / "instance" / name.lower()).exists()


def test_all_missing_and_wrong_settings_are_named_at_once_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"PORT": "http"}, None, root=tmp_path)
    *lines, remedy = str(caught.value).split("\n")
    named = {line.split()[0] for line in lines}
    assert named == {"SECRET_KEY", "ENCRYPTION_KEYS", "DASHBOARD_PASSWORD", "TELEPHONY_PROVIDER", "PORT"}
    assert len(lines) == 5
    for way in ("make run", "FLASK_ENV=development", "flask keys generate"):
        assert way in remedy


def test_production_refuses_a_short_password_that_development_takes(tmp_path: Path) -> None:
    assert load(tmp_path, DASHBOARD_PASSWORD="short").dashboard_password.get_secret_value() == "short"
    with pytest.raises(SettingsError, match=r"^DASHBOARD_PASSWORD requires a password of 12 characters"):
        load_production(tmp_path, DASHBOARD_PASSWORD="short")


@pytest.mark.parametrize(
    "common", ["password1234", "Password1234!", "qwertyuiop12", "letstalk1234", "aaaaaaaaaaaaaaaa"]
)
def test_production_refuses_a_password_that_everybody_uses(tmp_path: Path, common: str) -> None:
    with pytest.raises(SettingsError, match=r"^DASHBOARD_PASSWORD is easy to guess") as refused:
        ensure_password_is_uncommon(load_production(tmp_path, DASHBOARD_PASSWORD=common))
    assert common not in str(refused.value)
    assert "\n" not in str(refused.value)
    # Nobody can sign in with it, or from elsewhere.
    ensure_password_is_uncommon(load_production(tmp_path, DASHBOARD_PASSWORD=common, OWNER_SIGN_IN="off"))
    ensure_password_is_uncommon(load(tmp_path, DASHBOARD_PASSWORD=common))
    ensure_password_is_uncommon(load_production(tmp_path, DASHBOARD_PASSWORD="correct horse battery staple"))


def test_development_makes_its_keys_once_and_a_password_each_time(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert first.secret_key == second.secret_key
    assert first.encryption_keys == second.encryption_keys
    assert first.dashboard_password != second.dashboard_password
    assert first.dashboard_password_was_made
    for name in ("secret_key", "encryption_keys"):
        assert stat.S_IMODE((tmp_path / "instance" / name).stat().st_mode) == 0o600


def test_development_keeps_what_it_was_given_and_makes_nothing(tmp_path: Path) -> None:
    given = {name: PRODUCTION[name] for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "DASHBOARD_PASSWORD")}
    settings = load(tmp_path, **given)
    assert settings.secret_key.get_secret_value() == given["SECRET_KEY"]
    assert not settings.dashboard_password_was_made
    assert list((tmp_path / "instance").iterdir()) == []


def test_development_listens_on_loopback_only(tmp_path: Path) -> None:
    assert load(tmp_path, HOST="::1").host == "::1"
    assert load(tmp_path, HOST="localhost").host == "localhost"
    assert refusal(tmp_path, HOST=ANY_ADDRESS).startswith("HOST requires a loopback address")
    assert refusal(tmp_path, HOST="localhost.example.com").startswith("HOST requires a loopback address")


def test_a_number_of_proxies_is_accepted_only_where_nobody_else_can_connect(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load_production(tmp_path, HOST=host, TRUSTED_PROXIES="2").trusted_proxies == 2
    for host in (ANY_ADDRESS, "::", "10.0.0.5", "calls.example.com", ""):
        with pytest.raises(SettingsError) as caught:
            load_production(tmp_path, HOST=host, TRUSTED_PROXIES="1")
        for remedy in ("HOST=127.0.0.1", "TRUSTED_PROXIES=10.0.0.0/24"):
            assert remedy in str(caught.value)
        assert load_production(tmp_path, HOST=host, TRUSTED_PROXIES="0").trusted_proxies == 0


def test_proxies_are_named_by_their_networks(tmp_path: Path) -> None:
    settings = load_production(tmp_path, TRUSTED_PROXIES="10.0.0.0/24, 192.0.2.1,2001:db8::/64, ::ffff:192.0.2.2")
    assert settings.trusted_proxies == tuple(
        ip_network(text) for text in ("10.0.0.0/24", "192.0.2.1", "2001:db8::/64", "192.0.2.2")
    )


def test_an_api_key_chooses_telnyx(tmp_path: Path) -> None:
    settings = load_settings({**PRODUCTION, **TELNYX, "TELEPHONY_PROVIDER": ""}, None, root=tmp_path)
    assert settings.telephony_provider == "telnyx"


def test_a_named_simulator_wins_over_an_api_key(tmp_path: Path) -> None:
    assert load_production(tmp_path, **TELNYX).telephony_provider == "simulator"


@pytest.mark.parametrize("name", sorted(TELNYX))
def test_telnyx_does_not_start_without(name: str, tmp_path: Path) -> None:
    given = {other: value for other, value in TELNYX.items() if other != name}
    assert refusal(tmp_path, TELEPHONY_PROVIDER="telnyx", **given) == (
        f"{name} must be set when TELEPHONY_PROVIDER is telnyx"
    )


@pytest.mark.parametrize("missing", ["MAIL_FROM", "PUBLIC_URL"])
def test_a_mail_server_alone_is_not_enough(missing: str, tmp_path: Path) -> None:
    given = {**PRODUCTION, **MAIL, "PUBLIC_URL": TELNYX["PUBLIC_URL"]}
    assert load_settings(given, None, root=tmp_path).mail_from == ("Let's Talk", "calls", "example.com")
    del given[missing]
    with pytest.raises(SettingsError, match=r"^MAIL_FROM, PUBLIC_URL must be set when SMTP_HOST is$"):
        load_settings(given, None, root=tmp_path)


def test_no_password_for_the_mail_server_travels_in_the_clear(tmp_path: Path) -> None:
    assert refusal(tmp_path, **MAIL, SMTP_SECURITY="none").startswith("SMTP_SECURITY requires starttls or tls")
    on_this_machine = {**MAIL, "SMTP_HOST": "127.0.0.1"}
    assert load(tmp_path, **on_this_machine, SMTP_SECURITY="none").smtp_security == "none"
    del on_this_machine["SMTP_PASSWORD"]
    assert refusal(tmp_path, **on_this_machine) == "SMTP_USERNAME and SMTP_PASSWORD require each other"


def test_nobody_can_register_where_no_address_can_be_verified(tmp_path: Path) -> None:
    assert load(tmp_path, REGISTRATION="open").registration == "open", "the terminal shows the link"
    with pytest.raises(SettingsError, match=r"^REGISTRATION requires SMTP_HOST when it is open"):
        load_production(tmp_path, REGISTRATION="open")


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_can_stand_in_a_file(name: str, tmp_path: Path) -> None:
    given = {**PRODUCTION, **TELNYX, **MAIL, **ELSEWHERE}
    given |= {"REDIS_URL": "redis://:pw@host:6379/0", "DATABASE_URL": "postgresql://u:p@h/n"}
    (tmp_path / "secret").write_text(given.pop(name) + "\n")
    by_file = load_settings({**given, f"{name}_FILE": "secret"}, None, root=tmp_path)
    assert by_file == load_settings({**given, name: (tmp_path / "secret").read_text().rstrip()}, None, root=tmp_path)


@pytest.mark.parametrize("name", SECRET_NAMES)
@pytest.mark.parametrize(("before", "after"), [("", "\n"), ("", "\r\n"), ("\ufeff", ""), ("\ufeff", "\n\n")])
def test_what_an_editor_adds_is_no_part_of_a_secret(name: str, before: str, after: str, tmp_path: Path) -> None:
    given = {**PRODUCTION, **TELNYX, **MAIL, **ELSEWHERE}
    given |= {"REDIS_URL": "redis://:pw@host:6379/0", "DATABASE_URL": "postgresql://u:p@h/n"}
    expected = load_settings(given, None, root=tmp_path)
    assert load_settings({**given, name: f"{before}{given[name]}{after}"}, None, root=tmp_path) == expected
    (tmp_path / "secret").write_text(f"{before}{given.pop(name)}{after}", encoding="utf-8")
    assert load_settings({**given, f"{name}_FILE": "secret"}, None, root=tmp_path) == expected


@pytest.mark.parametrize("key", ["KEY of two words", "schlüssel", "KEY\nKEY", "KEY\0"])
def test_an_api_key_that_no_header_can_carry_is_refused(key: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, TELNYX_API_KEY=key)
    assert text == "TELNYX_API_KEY requires the API key of a Telnyx account, without spaces"


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 32)
    text = refusal(tmp_path, SECRET_KEY="t" * 32, SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert text == "SECRET_KEY and SECRET_KEY_FILE are both set: set one of them"


def test_a_secret_file_in_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SECRET_KEY={'e' * 32}\n")
    (tmp_path / "secret").write_text("f" * 32)
    given = {"FLASK_ENV": "development", "SECRET_KEY_FILE": "secret"}
    assert load_settings(given, tmp_path / ".env", root=tmp_path).secret_key.get_secret_value() == "f" * 32


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_file_that_is_of_no_use_is_named_without_its_path(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "hidden-name").write_bytes(content)
    text = refusal(tmp_path, SECRET_KEY_FILE="hidden-name")
    assert text.startswith("SECRET_KEY_FILE requires a")
    assert "hidden-name" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLASK_ENV", "Production"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("HOST", "not a host"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "postgresql+asyncpg://host/name"),
        ("DATABASE_URL", "postgresql://host"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "letstalk.db"),
        ("SQLITE_SYNCHRONOUS", "OFF"),
        ("REDIS_URL", "http://host"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port"),
        ("TELEPHONY_PROVIDER", "twilio"),
        ("TELNYX_CONNECTION_ID", "an id"),
        ("TELNYX_FROM_NUMBER", "0700123456"),
        ("TELNYX_FROM_NUMBER", "+1 555 123 4567"),
        ("TELNYX_PUBLIC_KEY", "not base64!"),
        ("TELNYX_PUBLIC_KEY", base64.b64encode(b"k" * 31).decode()),
        ("TELNYX_BASE_URL", "api.telnyx.com"),
        ("PUBLIC_URL", "http://calls.example.com"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://calls.example.com/?a=b"),
        ("PUBLIC_URL", "https://user@calls.example.com"),
        ("PUBLIC_URL", "https://example.com/otp"),
        ("PUBLIC_URL", "https://example.com/otp/"),
        ("PUBLIC_URL", "http://127.0.0.1:5000/otp"),
        ("REGISTRATION", "yes"),
        ("SMTP_HOST", "smtp://host"),
        ("SMTP_PORT", "0"),
        ("SMTP_SECURITY", "ssl"),
        ("MAIL_FROM", "Let's Talk"),
        ("MAIL_FROM", "calls@@example.com"),
        ("MAIL_FROM", "a..b@example.com"),
        ("MAIL_FROM", "Acme\tInc <calls@example.com>"),
        ("MAX_CONCURRENT_CALLS", "0"),
        ("MAX_CONCURRENT_CALLS", "10001"),
        ("ANSWERING_MACHINE", "true"),
        ("RATE_LIMIT_TOKEN", "many"),
        ("RATE_LIMIT_ADDRESS", "none"),
        ("RATE_LIMIT_PHONE", "0 per minute"),
        ("RATE_LIMIT_PHONE_ALL", "5 per fortnight"),
        ("DEFAULT_REGION", "Uganda"),
        ("ALLOWED_COUNTRIES", "UG,,KE"),
        ("BLOCKED_COUNTRIES", "UG,XX"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "yes"),
        ("TRUSTED_PROXIES", "101"),
        ("METRICS_ADDRESSES", "on"),
        ("METRICS_ADDRESSES", "0.0.0.0/0"),
        ("TOKENS_WITHOUT_CREDENTIALS", "no"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 1"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,"),
        ("SIMULATOR_SPEED", "0"),
        ("SIMULATOR_SPEED", "nan"),
        ("SIMULATOR_SPEED", "inf"),
        ("BRAND_NAME", "<speak>"),
        ("BRAND_NAME", "two\nlines"),
        ("BRAND_NAME", "x" * 61),
        ("WORKER_THREADS", "0"),
        ("WEB_THREADS", "1000"),
        ("SECRET_KEY", "short"),
        ("ENCRYPTION_KEYS", "short"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_setting(name: str, value: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, **{name: value})
    assert re.match(rf"{name} requires \w+", text)
    assert "pydantic" not in text
    assert "Error" not in text
    is_quoted = name not in SECRET_NAMES and "@" not in value
    assert (f", not {value[:60]!r}" in text) is is_quoted
    assert is_quoted or ", not " not in text


def test_the_choices_are_listed_for_a_value_that_is_none_of_them(tmp_path: Path) -> None:
    assert refusal(tmp_path, ANSWERING_MACHINE="shout") == "ANSWERING_MACHINE requires hang_up or speak, not 'shout'"


def test_values_are_read_as_people_write_them(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        ALLOWED_COUNTRIES="ug, KE",
        DEFAULT_REGION="ug",
        PUBLIC_URL="http://127.0.0.1:5000/",
        RATE_LIMIT_TOKEN="off",
        PORT=" 5001 ",
        SIMULATOR_SPEED="50",
        BRAND_NAME="Café Ñandú",
    )
    assert settings.allowed_countries == {"UG", "KE"}
    assert settings.default_region == "UG"
    assert settings.public_url == "http://127.0.0.1:5000"
    assert settings.rate_limit_token is None
    assert (settings.port, settings.simulator_speed, settings.brand_name) == (5001, 50.0, "Café Ñandú")


def test_a_path_that_the_pages_would_leave_is_refused_by_name(tmp_path: Path) -> None:
    assert "without path" in refusal(tmp_path, PUBLIC_URL="https://example.com/otp")
    for bare in ("https://example.com", "https://example.com/", "https://example.com:8443"):
        assert load(tmp_path, PUBLIC_URL=bare).public_url == bare.rstrip("/")


def test_keys_keep_their_order_because_the_first_one_encrypts(tmp_path: Path) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(3)]
    settings = load(tmp_path, ENCRYPTION_KEYS=", ".join(keys))
    assert [key.get_secret_value() for key in settings.encryption_keys] == keys


def test_a_relative_sqlite_path_starts_at_the_root_and_its_folder_is_made(tmp_path: Path) -> None:
    settings = load(tmp_path, DATABASE_URL="sqlite:///var/data/calls.db")
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/var/data/calls.db"
    assert (tmp_path / "var" / "data").is_dir()
    elsewhere = f"sqlite:///{tmp_path}/elsewhere/calls.db"
    assert load(tmp_path, DATABASE_URL=elsewhere).database_url.get_secret_value() == elsewhere


def test_nothing_secret_shows_in_what_is_printed(tmp_path: Path) -> None:
    given = {**PRODUCTION, **TELNYX, **MAIL, **ELSEWHERE}
    given |= {"REDIS_URL": "redis://:pw-redis@host", "DATABASE_URL": "postgresql://u:pw-db@h/n"}
    shown = repr(load_settings(given, None, root=tmp_path)) + str(load_settings(given, None, root=tmp_path))
    for name in set(SECRET_NAMES) - {"TELNYX_PUBLIC_KEY"}:
        assert given[name] not in shown


def test_settings_do_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).port = 1  # type: ignore[misc]  # what the test is about


def test_the_example_holds_every_setting_with_its_default_and_nothing_else(tmp_path: Path) -> None:
    example = PROJECT_ROOT / ".env.example"
    assert sorted(read_env_file(example)) == sorted(SETTING_NAMES)
    assert load_settings(PRODUCTION, example, root=tmp_path) == load_settings(PRODUCTION, None, root=tmp_path)


def test_the_example_explains_each_setting() -> None:
    for block in (PROJECT_ROOT / ".env.example").read_text().split("\n\n"):
        lines = block.splitlines()
        names = [line.split("=")[0] for line in lines if not line.startswith("#")]
        assert not names or lines[0].startswith("# "), f"{names} stand without a comment"
        for name in set(names) & set(SECRET_NAMES):
            assert "(secret)" in lines[0], f"{name} can be given as {name}_FILE"


def test_sites_are_named_as_their_browsers_name_them(tmp_path: Path) -> None:
    assert load(tmp_path).cors_origins == frozenset()
    given = "https://app.example.com, HTTPS://Shop.example.com:443,http://localhost:3000,http://[::1]:8080"
    assert load(tmp_path, CORS_ORIGINS=given).cors_origins == {
        *("https://app.example.com", "https://shop.example.com", "http://localhost:3000", "http://[::1]:8080")
    }


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "https://*", "https://*.example.com", "null", "app.example.com", "https://", "ftp://app.example.com"),
        *("http://app.example.com", "https://app.example.com/", "https://app.example.com/path", "https://a.example:"),
        *(
            "https://user@app.example.com",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://é.example",
        ),
        *(
            "https://app.example.com:99999",
            "https://app.example.com,",
            "https://app.example.com *",
            "http://127.0.0.1.nip.io",
        ),
    ],
)
def test_what_is_no_origin_to_name_ends_the_start(origin: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, CORS_ORIGINS=origin).startswith(
        "CORS_ORIGINS requires origins such as https://app.example.com"
    )
    assert refusal(tmp_path, CORS_ORIGINS=f"https://a.example, {origin}").startswith("CORS_ORIGINS requires")
