"""Identities at other services, the options of those services, and the errors of asking them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from letstalk.accounts.models import check_email
from letstalk.core.errors import InvalidRequest

MAX_SUBJECT_LENGTH = 255  # OpenID Connect Core 1.0, section 2: `sub` must not exceed 255 ASCII characters


class IdentityRefused(Exception):
    """The presented code or token proves nothing. `reason` is for the log and the audit trail, never for a response."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProviderUnavailable(Exception):
    """The provider did not respond, or its response is invalid: try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as an issuer knows them: `issuer` and `subject` together identify them for ever (OpenID Connect Core
    1.0, section 5.7). `verified_email` is None unless the issuer says that the address is theirs; `name` is what they
    want to be called, and proves nothing.
    """

    issuer: str
    subject: str
    verified_email: str | None = None
    name: str = ""


def is_subject(value: object) -> bool:
    """Whether `value` can be a `sub`: text of 1 to 255 ASCII characters, none of them a control character."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT_LENGTH and value.isascii() and value.isprintable()


def read_email(email: object, is_verified: object) -> str | None:
    """The address, if the issuer says `true` for verified and nothing else, and it can be an address."""
    if not isinstance(email, str) or is_verified is not True:
        return None
    try:
        return check_email(email)
    except InvalidRequest:
        return None


def read_identity(issuer: str, claims: Mapping[str, Any], *, is_verified: object) -> Identity:
    """The person of `claims`, whose `sub` was checked. `is_verified` is what the issuer says of the e-mail address."""
    name = str(claims.get("preferred_username") or claims.get("name") or "")
    return Identity(issuer, claims["sub"], read_email(claims.get("email"), is_verified), name)


@dataclass(frozen=True, slots=True)
class OpenIdOptions:
    """An OpenID Connect provider. Without a secret this service is a public client, which only PKCE protects."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: str
    redirect_url: str


@dataclass(frozen=True, slots=True)
class JwtIssuerOptions:
    """An issuer of JWTs to sign in with. Only `algorithms` are accepted; the key is `public_key` (PEM), or one of those
    published at `jwks_url`.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks_url: str | None = None
    public_key: str | None = None
