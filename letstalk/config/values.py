"""How the text of a setting becomes its value. Each function raises ValueError for text that it does not accept."""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import phonenumbers
from cryptography.fernet import Fernet
from limits import parse_many
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from letstalk.core.ip_addresses import Network, read_networks
from letstalk.core.numbering import CALLABLE_TYPES, GLOBAL_REGION

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322, section 3.2.3
_MAIL_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_HOST_NAME.pattern})")
_NAMED_ADDRESS = re.compile(r'"?([^"<>]{0,100}?)"?\s*<([^<>]+)>')
_HOST_HEADER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_loopback_host_header(text: str) -> bool:
    """Whether the Host header `text` names this machine, with or without a port (RFC 9110, section 7.2)."""
    found = _HOST_HEADER.fullmatch(text)
    return found is not None and is_loopback(found[1] or found[2]) and int(found[3] or 0) <= 65_535


def read_trusted_proxies(text: str) -> int | tuple[Network, ...]:
    """The number of proxies in front, or their networks."""
    if not (text.isascii() and text.isdigit()):
        return read_networks(text)
    if int(text) > 100:
        raise ValueError("too many")
    return int(text)


def read_networks_or_off(text: str) -> tuple[Network, ...]:
    return () if text.lower() == "off" else read_networks(text)


def read_host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise
    return text


def read_listening_address(text: str) -> tuple[str, int]:
    """`host:port` as its two parts."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("no port")
    return read_host(host.strip("[]")), int(port)


def read_encryption_keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(","))
    for key in keys:
        Fernet(key)
    return keys


def read_database_url(text: str, root: Path) -> str:
    """The URL, with an SQLite path made absolute from `root`."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("not a database address") from None
    if url.drivername not in ("sqlite", "postgresql") or not url.database:
        raise ValueError("another database, or none")
    if url.drivername == "postgresql":
        return text
    # Each connection to `:memory:` would have its own database.
    if url.host or url.query or url.database.startswith((":", "file:")):
        raise ValueError("not a file")
    return url.set(database=str(root / url.database)).render_as_string(hide_password=False)


def sqlite_path(database_url: str) -> Path | None:
    """The file of an SQLite URL; None for PostgreSQL."""
    url = make_url(database_url)
    return Path(url.database) if url.drivername == "sqlite" and url.database else None


def read_switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError("neither on nor off")
    return text.lower() == "on"


def read_redis_url(text: str) -> str:
    _check_url(text, ("redis", "rediss"))
    return text


def read_api_url(text: str) -> str:
    """An `http` or `https` URL without query, fragment and trailing slash."""
    _check_url(text, ("http", "https"))
    if "?" in text or "#" in text:
        raise ValueError("a query or a fragment")
    return text.rstrip("/")


def read_public_url(text: str) -> str:
    """As `read_api_url`, without a path, and `http` on loopback only: events must not be sent unencrypted.

    Pages, redirects and cookies would leave the path, so it is refused.
    """
    text = read_api_url(read_provider_url(text))
    if urlsplit(text).path:
        raise ValueError("a path")
    return text


def read_provider_url(text: str) -> str:
    """An address without query and fragment, `https` or on loopback. Unchanged: issuers are compared exactly."""
    parts = urlsplit(read_api_url(text))
    if parts.username is not None or (parts.scheme == "http" and not is_loopback(parts.hostname or "")):
        raise ValueError("not encrypted")
    return text


def read_origins(text: str) -> frozenset[str]:
    """Origins separated by commas, each as a browser writes it: lower case, without the default port. Never `*`."""
    return frozenset(_read_origin(part.strip()) for part in text.split(","))


def _read_origin(text: str) -> str:
    read_provider_url(text)
    parts = urlsplit(text)
    if not text.isascii() or parts.path or parts.netloc.endswith(":") or "*" in text:
        raise ValueError("more, or less, than an origin")
    host = parts.hostname or ""
    read_host(host)
    is_usual = parts.port is None or parts.port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if is_usual else f':{parts.port}'}"


def read_redirect_uris(text: str) -> tuple[str, ...]:
    """Addresses separated by commas that people may be sent back to: https, http on loopback, or a client's own scheme
    with a dot, such as `com.example.app:/signed-in` (RFC 8252, section 7).
    """
    return tuple(_read_redirect_uri(part.strip()) for part in text.split(","))


def _read_redirect_uri(text: str) -> str:
    parts = urlsplit(text)
    if not re.fullmatch(r"[!-~]{1,2000}", text) or re.search(r"[#*\\<>\"]", text) or parts.username is not None:
        raise ValueError("not an address to be sent back to")
    if parts.scheme in ("http", "https"):
        _check_url(text, ("http", "https"))
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("not encrypted")
    elif "." not in parts.scheme:
        raise ValueError("a scheme that belongs to nobody")
    return text


def read_visible_text(text: str) -> str:
    """1 to 500 visible ASCII characters, without surrounding spaces. Nothing else can be sent in an HTTP header."""
    text = text.strip()
    if not re.fullmatch(r"[!-~]{1,500}", text):
        raise ValueError("empty, too long, or with spaces")
    return text


def read_scopes(text: str) -> str:
    """OAuth scopes (RFC 6749, section 3.3) in the order given, `openid` among them."""
    scopes = text.split()
    if "openid" not in scopes or not all(re.fullmatch(r"[!#-\[\]-~]{1,200}", scope) for scope in scopes):
        raise ValueError("no scopes of OpenID Connect")
    return " ".join(scopes)


def _check_url(text: str, schemes: tuple[str, ...]) -> None:
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or re.search(r"\s", text):
        raise ValueError("another kind of address")
    if parts.port == 0:  # reading `port` raises ValueError unless it is a number from 0 to 65535
        raise ValueError("no port")


def read_mail_from(text: str) -> tuple[str, str, str]:
    """The display name, which may be empty, and the two parts of the address. The address is ASCII: some servers accept
    nothing else.
    """
    named = _NAMED_ADDRESS.fullmatch(text)
    name, address = ("", text) if named is None else named.groups()
    found = _MAIL_ADDRESS.fullmatch(address)
    if found is None or len(address) > 254 or not name.isprintable():
        raise ValueError("not an address")
    return name, found[1], found[2]


def read_rate_limit(text: str) -> str | None:
    """The limit in Flask-Limiter's notation; None for `off`."""
    if text.lower() == "off":
        return None
    if any(limit.amount < 1 for limit in parse_many(text)):
        raise ValueError("nothing would be let through")
    return text


def read_region(text: str) -> str:
    region = text.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("no such region")
    return region


def read_regions(text: str) -> frozenset[str]:
    parts = [part.strip() for part in text.split(",")]
    return frozenset(part if part == GLOBAL_REGION else read_region(part) for part in parts)


def read_number_types(text: str) -> frozenset[str]:
    types = frozenset(part.strip().lower() for part in text.split(","))
    if not types <= CALLABLE_TYPES:
        raise ValueError("no such type of number")
    return types


def read_hour_and_day(text: str) -> str | None:
    """The same as `read_rate_limit`, for an hour and a day only, which is what is counted."""
    limit = read_rate_limit(text)
    windows = [] if limit is None else [item.get_expiry() for item in parse_many(limit)]
    if not set(windows) <= {3600, 86_400} or len(windows) != len(set(windows)):
        raise ValueError("another window")
    return limit


def read_e164(text: str) -> str:
    if not _E164.fullmatch(text):
        raise ValueError("not E.164")
    return text


def read_ed25519_public_key(text: str) -> str:
    if len(base64.b64decode(text, validate=True)) != 32:
        raise ValueError("not 32 bytes")
    return text


def read_brand_name(text: str) -> str:
    """A name of 1 to 60 characters that is safe in SSML, in a terminal and in a page."""
    # Categories C, Zl and Zp: control characters, invisible marks and line breaks.
    odd = any(unicodedata.category(character)[0] == "C" or character in "<>\u2028\u2029" for character in text)
    if odd or not 1 <= len(text) <= 60:
        raise ValueError("not a name to speak")
    return text


def read_brand_names(text: str) -> frozenset[str]:
    """Names with commas between them, each as `read_brand_name` takes it."""
    return frozenset(read_brand_name(name.strip()) for name in text.split(",") if name.strip())


Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[!-~]+\z")]


class JwtIssuer(BaseModel):
    """One issuer. `sso` checks its algorithms, and whether the key fits them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    issuer: Text
    audience: Text
    algorithms: list[Text] = Field(min_length=1)
    jwks_url: Annotated[str, AfterValidator(read_provider_url)] | None = None
    public_key: str | None = None
    sign_up: Literal["off", "viewer", "developer"] = "off"

    @model_validator(mode="after")
    def _check_key(self) -> JwtIssuer:
        if (self.jwks_url is None) == (self.public_key is None):
            raise ValueError("either jwks_url or public_key")
        return self


_ISSUERS: TypeAdapter[list[JwtIssuer]] = TypeAdapter(Annotated[list[JwtIssuer], Field(max_length=20)])


Templates = dict[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}\z")], str]
_TEMPLATES: TypeAdapter[Templates] = TypeAdapter(Templates, config=ConfigDict(strict=True))


def read_templates(content: bytes) -> Templates:
    """Texts by their names. What can be spoken is not checked here."""
    return _TEMPLATES.validate_json(content)  # its error is a ValueError


def read_jwt_issuers(text: str) -> tuple[JwtIssuer, ...]:
    try:
        return tuple(_ISSUERS.validate_json(text))
    except ValidationError:
        raise ValueError("not a list of issuers") from None
