"""The settings: one frozen, typed object, and the only code that reads the environment.

Each field is the setting of the same name in upper case. Its description says in the error for a wrong value what the
setting requires. Passwords, keys and URLs that may contain a password are never in a repr.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from letstalk.config import values as values_of
from letstalk.config.values import JwtIssuer, read_jwt_issuers
from letstalk.core.common_passwords import IS_COMMON
from letstalk.core.ip_addresses import Network
from letstalk.core.numbering import CALLABLE_TYPES, DEFAULT_TYPES
from letstalk.core.secret_files import make_encryption_key, make_password, make_secret_key, read_or_make


class SettingsError(Exception):
    """Settings are wrong or missing. Its text has a line for each, which names the setting and contains no secret."""


def gather(
    names: Collection[str], secret_names: Collection[str], env: Mapping[str, str], env_file: Path | None, root: Path
) -> dict[str, str]:
    """The values given for `names`, by name. `env` wins over `env_file`, and an empty value counts as none.

    NAME_FILE may give the file of a secret, one of `secret_names`. A relative path starts at `root`.
    Raises SettingsError for a file that can't be read, and for a secret that one source gives in both ways.
    """
    values = _pick(read_env_file(env_file) if env_file else {}, names, secret_names, root)
    return values | _pick(env, names, secret_names, root)


def env_file_of(env: Mapping[str, str], root: Path) -> Path:
    """The file that ENV_FILE in `env` names, by default `root`/.env. Raises SettingsError for a name without a file."""
    named = env.get("ENV_FILE", "").strip()
    path = root / (named or ".env")
    if named and not path.exists():
        raise SettingsError("ENV_FILE names a file that does not exist")
    return path


def read_env_file(path: Path) -> dict[str, str]:
    """The values of a `.env` by name, taken literally: `$` is not expanded. A missing file counts as empty."""
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for binding in parse_stream(file):
                if binding.error:
                    raise SettingsError(f"{path.name} requires NAME=value in line {binding.original.line}")
                if binding.key:
                    values[binding.key] = binding.value or ""
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path.name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} must be text in UTF-8") from None
    return values


def _pick(
    given: Mapping[str, str], names: Collection[str], secret_names: Collection[str], root: Path
) -> dict[str, str]:
    values = {name: given[name] for name in names if given.get(name, "").strip()}
    # A password may begin or end with a space, but not with a line break: editors and `echo` add those.
    values = {name: _trim(value) if name in secret_names else value.strip() for name, value in values.items()}
    for name in secret_names:
        file_name = f"{name}_FILE"
        path = given.get(file_name, "").strip()
        if not path:
            continue
        if name in values:
            raise SettingsError(f"{name} and {file_name} are both set: set one of them")
        values[name] = _read_secret(file_name, root, path)
    return values


def _read_secret(file_name: str, root: Path, path: str) -> str:
    # No error quotes the path: by mistake, it may be the secret itself.
    try:
        secret = _trim((root / path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file_name} requires a file that can be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{file_name} requires a text file in UTF-8") from None
    if not secret.strip():
        raise SettingsError(f"{file_name} requires a file with the secret in it, but the file is empty")
    return secret


def _trim(secret: str) -> str:
    """`secret` without the byte order mark and the line breaks that a text editor adds."""
    return secret.removeprefix("\ufeff").strip("\r\n")


PROJECT_ROOT = Path(__file__).resolve().parents[2]
MIN_PRODUCTION_PASSWORD_LENGTH = 12
MISSING_REMEDY = (
    "To try the service, run `make run`, or set FLASK_ENV=development: it makes its own secrets. For production, "
    "`flask keys generate` prints a value for ENCRYPTION_KEYS, and .env.example explains every setting."
)

RateLimit = Annotated[
    str | None,
    BeforeValidator(values_of.read_rate_limit),
    Field(description="limits such as `600 per minute` or `5 per 10 minutes; 10 per day`, or off"),
]
NetworksOrOff = Annotated[
    tuple[Network, ...] | None,
    BeforeValidator(values_of.read_networks_or_off),
    Field(description="networks such as 10.0.0.0/24, never all addresses, or off"),
]
Regions = Annotated[
    frozenset[str],
    BeforeValidator(values_of.read_regions),
    Field(
        description="ISO 3166 codes of countries that have phone numbers, such as `UG,KE`, or 001, separated by commas"
    ),
]
HourAndDay = Annotated[
    str | None,
    BeforeValidator(values_of.read_hour_and_day),
    Field(description="limits for an hour and a day, such as `100 per hour; 300 per day`, or off"),
]
Days = Annotated[int, Field(ge=1, le=36_500, description="a whole number of days, at least 1")]
Threads = Annotated[int, Field(ge=1, le=256, description="a whole number from 1 to 256")]


class Settings(BaseModel):
    """The settings of this installation. Build it with `load_settings`: the constructor reads nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flask_env: Literal["production", "development"] = Field("production", description="production or development")
    port: int = Field(5000, ge=0, le=65535, description="a port from 1 to 65535, or 0 for any that is free")
    host: Annotated[str, BeforeValidator(values_of.read_host)] = Field(description="an address or a host name")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )

    secret_key: SecretStr = Field(min_length=32, description="32 random characters or more")
    encryption_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(values_of.read_encryption_keys)] = Field(
        description="Fernet keys, separated by commas (`flask keys generate` prints one)"
    )
    dashboard_password: SecretStr = Field(
        description=f"a password of {MIN_PRODUCTION_PASSWORD_LENGTH} characters or more"
    )
    dashboard_password_was_made: bool = False  # not a setting: the start prints a password made for it

    owner_sign_in: Annotated[bool, BeforeValidator(values_of.read_switch)] = Field(True, description="on or off")
    password_rules: Literal["nist", "classic"] = Field("nist", description="nist or classic")
    access_token_seconds: int = Field(900, ge=60, le=3600, description="a whole number of seconds from 60 to 3600")
    refresh_token_seconds: int = Field(
        604_800, ge=3600, le=7_776_000, description="a whole number of seconds from 3600 to 7776000 (90 days)"
    )

    registration: Literal["open", "closed"] = Field("closed", description="open or closed")
    smtp_host: Annotated[str | None, BeforeValidator(values_of.read_host)] = Field(
        None, description="an address or a host name"
    )
    smtp_port: int | None = Field(None, ge=1, le=65535, description="a port from 1 to 65535")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls or none")
    smtp_username: Annotated[str | None, BeforeValidator(values_of.read_visible_text)] = Field(
        None, description="the name that the mail server knows this service by"
    )
    smtp_password: SecretStr | None = Field(None, description="the password that goes with SMTP_USERNAME")
    mail_from: Annotated[tuple[str, str, str] | None, BeforeValidator(values_of.read_mail_from)] = Field(
        None, description="an e-mail address, such as calls@example.com or Acme <calls@example.com>"
    )

    oidc_issuer: Annotated[str | None, BeforeValidator(values_of.read_provider_url)] = Field(
        None, description="the https address of an OpenID Connect provider (http on loopback only)"
    )
    oidc_client_id: Annotated[str | None, BeforeValidator(values_of.read_visible_text)] = Field(
        None, description="the id that the provider has given to this service"
    )
    oidc_client_secret: Annotated[SecretStr | None, BeforeValidator(values_of.read_visible_text)] = Field(
        None, description="the secret that the provider has given to this service"
    )
    oidc_name: Annotated[str, BeforeValidator(values_of.read_brand_name)] = Field(
        "single sign-on", description="1 to 60 characters, none of them a control character, < or >"
    )
    oidc_scopes: Annotated[str, BeforeValidator(values_of.read_scopes)] = Field(
        "openid email profile", description="scopes with spaces between them, openid among them"
    )
    oidc_sign_up: Literal["off", "viewer", "developer"] = Field("off", description="off, viewer or developer")
    oidc_redirect_uris: Annotated[tuple[str, ...], BeforeValidator(values_of.read_redirect_uris)] = Field(
        (),
        description="addresses such as https://app.example.com/signed-in,http://127.0.0.1/,com.example.app:/signed-in "
        "(http on loopback only)",
    )
    cors_origins: Annotated[frozenset[str], BeforeValidator(values_of.read_origins)] = Field(
        frozenset(),
        description="origins such as https://app.example.com, separated by commas, never * (http on loopback only)",
    )
    jwt_issuers: Annotated[tuple[JwtIssuer, ...], BeforeValidator(read_jwt_issuers)] = Field(
        (), description="a JSON list of objects with issuer, audience, algorithms, and either jwks_url or public_key"
    )

    database_url: SecretStr = Field(description="sqlite:///path/to/file.db or postgresql://user:password@host/name")
    sqlite_synchronous: Literal["NORMAL", "FULL"] = Field("NORMAL", description="NORMAL or FULL")
    redis_url: Annotated[SecretStr | None, BeforeValidator(values_of.read_redis_url)] = Field(
        None, description="redis://host:port/0 or rediss://host:port/0"
    )

    telephony_provider: Literal["telnyx", "simulator"] = Field(
        description="telnyx, or simulator, which calls no phone (production requires this setting)"
    )
    telnyx_api_key: Annotated[SecretStr | None, BeforeValidator(values_of.read_visible_text)] = Field(
        None, description="the API key of a Telnyx account, without spaces"
    )
    telnyx_connection_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]{1,64}\z", description="the id of a Telnyx call control application"
    )
    telnyx_from_number: Annotated[str | None, BeforeValidator(values_of.read_e164)] = Field(
        None, description="a phone number as + and 7 to 15 digits"
    )
    telnyx_public_key: Annotated[str | None, BeforeValidator(values_of.read_ed25519_public_key)] = Field(
        None, description="the account's public key: 32 bytes in base64, 44 characters"
    )
    telnyx_base_url: Annotated[str | None, BeforeValidator(values_of.read_api_url)] = Field(
        None, description="an http or https address"
    )
    public_url: Annotated[str | None, BeforeValidator(values_of.read_public_url)] = Field(
        None, description="an https address without path, user, query and fragment (http on loopback only)"
    )
    max_concurrent_calls: int = Field(10, ge=1, le=10_000, description="a whole number from 1 to 10000")
    answering_machine: Literal["hang_up", "speak"] = Field("hang_up", description="hang_up or speak")
    simulator_speed: float = Field(
        1.0, gt=0, le=100_000, allow_inf_nan=False, description="a number above 0, at most 100000"
    )
    brand_name: Annotated[str, BeforeValidator(values_of.read_brand_name)] = Field(
        "Let's Talk", description="1 to 60 characters, none of them a control character, < or >"
    )

    brand_names: Annotated[frozenset[str], BeforeValidator(values_of.read_brand_names)] = Field(
        frozenset(), description="names as BRAND_NAME is one, separated by commas"
    )
    twilio_sms: Literal["refuse", "call"] = Field("refuse", description="refuse or call")
    custom_message: Literal["on", "templates", "off"] = Field("on", description="on, templates or off")
    # By name. The setting is the path of a file with them.
    message_templates: dict[str, str] = Field(
        {}, description="a file with a JSON object of texts by their names, each name of 1 to 64 of a-z, 0-9, _ and -"
    )

    rate_limit_token: RateLimit = "600 per minute"
    rate_limit_address: RateLimit = "1200 per minute"
    rate_limit_token_creation: RateLimit = "30 per hour"
    rate_limit_phone: RateLimit = "5 per 10 minutes; 10 per day"
    rate_limit_phone_all: RateLimit = "10 per 10 minutes; 30 per day"
    rate_limit_owner: HourAndDay = "1000 per hour; 4000 per day"
    rate_limit_country: HourAndDay = "500 per hour; 2000 per day"
    rate_limit_block: HourAndDay = "100 per hour; 300 per day"
    block_breaker: Annotated[bool, BeforeValidator(values_of.read_switch)] = Field(True, description="on or off")
    default_region: Annotated[str | None, BeforeValidator(values_of.read_region)] = Field(
        None, description="the ISO 3166 code of a country that has phone numbers, such as `UG`"
    )
    allowed_countries: Regions = frozenset()
    blocked_countries: Regions = frozenset()
    trusted_proxies: Annotated[int | tuple[Network, ...], BeforeValidator(values_of.read_trusted_proxies)] = Field(
        0, description="networks such as 10.0.0.0/24, never all addresses, or a whole number from 0 to 100"
    )

    webhook_allowed_networks: NetworksOrOff = None
    metrics_addresses: NetworksOrOff = None
    tokens_without_credentials: Annotated[bool, BeforeValidator(values_of.read_switch)] = Field(
        True, description="on or off"
    )
    number_types: Annotated[frozenset[str], BeforeValidator(values_of.read_number_types)] = Field(
        DEFAULT_TYPES, description=f"types out of {', '.join(sorted(CALLABLE_TYPES))}, separated by commas"
    )

    retention_days: Days = 90
    audit_retention_days: Days = 365

    worker_threads: Threads = 8
    worker_metrics: Annotated[tuple[str, int] | None, BeforeValidator(values_of.read_listening_address)] = Field(
        None, description="an address and a port to listen on, such as 127.0.0.1:9101"
    )
    web_threads: Threads = 4
    web_processes: int = Field(1, ge=1, le=64, description="a whole number from 1 to 64")
    fast_path: Annotated[bool, BeforeValidator(values_of.read_switch)] = Field(True, description="on or off")

    @property
    def is_development(self) -> bool:
        return self.flask_env == "development"

    @property
    def is_on_loopback_only(self) -> bool:
        """Whether this is development, and PUBLIC_URL does not say that others reach it."""
        host = None if self.public_url is None else urlsplit(self.public_url).hostname
        return self.is_development and (host is None or values_of.is_loopback(host))

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.is_development and not values_of.is_loopback(self.host):
            raise ValueError("HOST requires a loopback address such as 127.0.0.1 with FLASK_ENV=development")
        if isinstance(self.trusted_proxies, int) and self.trusted_proxies and not values_of.is_loopback(self.host):
            raise ValueError(
                "TRUSTED_PROXIES requires HOST=127.0.0.1 when it is a number, because whoever connects could name any "
                "address. Otherwise name the proxies' networks, such as TRUSTED_PROXIES=10.0.0.0/24"
            )
        if not self.is_development and len(self.dashboard_password.get_secret_value()) < MIN_PRODUCTION_PASSWORD_LENGTH:
            raise ValueError(f"DASHBOARD_PASSWORD requires {_wish('dashboard_password')} in production")
        if self.web_processes > 1 and self.redis_url is None:
            raise ValueError("WEB_PROCESSES requires REDIS_URL when it is more than 1: the processes share limits")
        self._check_mail()
        if self.oidc_issuer is not None and (self.oidc_client_id is None or self.public_url is None):
            raise ValueError("OIDC_CLIENT_ID, PUBLIC_URL must be set when OIDC_ISSUER is")
        if self.telephony_provider == "telnyx":
            wanted = ("telnyx_api_key", "telnyx_connection_id", "telnyx_from_number", "telnyx_public_key", "public_url")
            missing = [name.upper() for name in wanted if getattr(self, name) is None]
            if missing:
                raise ValueError(f"{', '.join(missing)} must be set when TELEPHONY_PROVIDER is telnyx")
        return self

    def _check_mail(self) -> None:
        if self.smtp_host is None:
            if self.registration == "open" and not self.is_development:
                raise ValueError("REGISTRATION requires SMTP_HOST when it is open: addresses are verified by mail")
            return
        if self.mail_from is None or (self.public_url is None and not self.is_development):
            raise ValueError("MAIL_FROM, PUBLIC_URL must be set when SMTP_HOST is")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("SMTP_USERNAME and SMTP_PASSWORD require each other")
        in_the_clear = self.smtp_security == "none" and not values_of.is_loopback(self.smtp_host)
        if in_the_clear and self.smtp_password is not None:
            raise ValueError("SMTP_SECURITY requires starttls or tls when SMTP_PASSWORD is set")


SETTING_NAMES = tuple(name.upper() for name in Settings.model_fields if name != "dashboard_password_was_made")

# Each of these can also be given as NAME_FILE, and no error quotes its value.
SECRET_NAMES = (
    *("SECRET_KEY", "ENCRYPTION_KEYS", "DASHBOARD_PASSWORD", "DATABASE_URL", "REDIS_URL"),
    *("SMTP_PASSWORD", "OIDC_CLIENT_SECRET", "TELNYX_API_KEY", "TELNYX_PUBLIC_KEY"),
)


def load_settings(
    env: Mapping[str, str] | None = None, env_file: Path | None = None, *, root: Path = PROJECT_ROOT
) -> Settings:
    """The settings in `env` and `env_file`; `env` wins. Relative paths start at `root`.

    Without `env`: the process's environment, and the file that its ENV_FILE names, by default `root`/.env.

    Creates the folder of an SQLite database, and in development the missing secrets: SECRET_KEY and ENCRYPTION_KEYS
    once, kept in `root`/instance; a new DASHBOARD_PASSWORD each time.
    Raises SettingsError for all settings that are wrong or missing.
    """
    if env is None:
        env, env_file = os.environ, env_file_of(os.environ, root)
    given = gather(SETTING_NAMES, SECRET_NAMES, env, env_file, root)
    values: dict[str, object] = {name.lower(): value for name, value in given.items()}
    is_development = values.get("flask_env") == "development"
    values.setdefault("host", "127.0.0.1" if is_development else "0.0.0.0")  # noqa: S104 (the contract's default)
    if "telnyx_api_key" in values:
        values.setdefault("telephony_provider", "telnyx")
    if given.get("OWNER_SIGN_IN", "").lower() == "off":
        # Nobody signs in with it, so it is not required.
        values.setdefault("dashboard_password", make_password())
    if is_development:
        values.setdefault("telephony_provider", "simulator")
        _add_made_secrets(values, root / "instance")
    if "message_templates" in values:
        values["message_templates"] = _read_templates(root / given["MESSAGE_TEMPLATES"])
    values["database_url"] = _place_database(given.get("DATABASE_URL", "sqlite:///instance/letstalk.db"), root)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_describe(error)) from None


def ensure_password_is_uncommon(settings: Settings) -> None:
    """Raises SettingsError if in production the built-in owner signs in with a password that is commonly used.

    Another process looks: the lists would take 14 MB of this one for good.
    """
    if settings.is_development or not settings.owner_sign_in:
        return
    names = (settings.brand_name, "Let's Talk", "letstalk", "dashboard")
    command = [sys.executable, "-m", "letstalk.core.common_passwords", *names]
    password = settings.dashboard_password.get_secret_value()
    result = subprocess.run(command, cwd=PROJECT_ROOT, input=password, encoding="utf-8", check=False)  # noqa: S603
    if result.returncode == IS_COMMON:
        raise SettingsError(
            "DASHBOARD_PASSWORD is easy to guess: production requires a password that is not commonly used "
            "(`openssl rand -base64 18` prints one)"
        )


def _add_made_secrets(values: dict[str, object], folder: Path) -> None:
    for name, make in (("secret_key", make_secret_key), ("encryption_keys", make_encryption_key)):
        if name not in values:
            try:
                values[name] = read_or_make(folder / name, make)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise SettingsError(f"{name.upper()} can't be kept in instance/{name}: {reason}") from None
    if "dashboard_password" not in values:
        values |= {"dashboard_password": make_password(), "dashboard_password_was_made": True}


def _read_templates(path: Path) -> dict[str, str]:
    try:
        return values_of.read_templates(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise SettingsError(f"MESSAGE_TEMPLATES requires {_wish('message_templates')}{reason}") from None


def _place_database(text: str, root: Path) -> str:
    try:
        url = values_of.read_database_url(text, root)
    except ValueError:
        raise SettingsError(f"DATABASE_URL requires {_wish('database_url')}") from None
    path = values_of.sqlite_path(url)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"DATABASE_URL requires a folder that can be made: {error.strerror}") from None
    return url


def _describe(error: ValidationError) -> str:
    """What is wrong, a line for each setting, and what to do about settings that are missing."""
    errors = error.errors(include_url=False)
    # What else is required depends on this one.
    errors = [one for one in errors if one["loc"] == ("flask_env",)] or errors
    lines = [_describe_one(one) for one in errors]
    if any(one["type"] == "missing" for one in errors):
        lines.append(MISSING_REMEDY)
    return "\n".join(lines)


def _describe_one(error: ErrorDetails) -> str:
    if not error["loc"]:
        return str(error["ctx"]["error"])
    field = str(error["loc"][0])
    name, wish = field.upper(), _wish(field)
    if error["type"] == "missing":
        return f"{name} is missing: it requires {wish}"
    value = str(error["input"])
    # Any URL may contain a password.
    may_be_shown = name not in SECRET_NAMES and "@" not in value
    return f"{name} requires {wish}" + (f", not {value[:60]!r}" if may_be_shown else "")


def _wish(field: str) -> str:
    return Settings.model_fields[field].description or "another value"
