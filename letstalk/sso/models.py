"""Identities at other services, the options of those services, and the errors of asking them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from letstalk.accounts.models import check_email
from letstalk.core.errors import InvalidRequest
from letstalk.core.name_keys import name_key

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
    want to be called, and proves nothing. `is_incomplete` if the issuer could not be asked for all that it knows.
    """

    issuer: str
    subject: str
    verified_email: str | None = None
    name: str = ""
    is_incomplete: bool = False


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


def read_identity(issuer: str, *sources: Mapping[str, Any], domain_claim: str | None = None) -> Identity:
    """The person whom the claims of all `sources` are about. The first, whose `sub` was checked, takes precedence.

    Only a source that names the e-mail address verifies it, by `email_verified` or by `domain_claim`: an ID token may
    name it without a judgement that userinfo has. If any source says of either that it is not so, it is not verified.
    """
    claims = {name: value for source in reversed(sources) for name, value in source.items()}
    # People choose their names there, and to turn a long one into a username takes long.
    name = str(claims.get("preferred_username") or claims.get("name") or "")[:MAX_SUBJECT_LENGTH]
    email = next((source["email"] for source in sources if source.get("email") is not None), None)
    is_verified = any(
        True in judgements(source, domain_claim) for source in sources if _is_same(source.get("email"), email)
    )
    is_denied = any(False in judgements(source, domain_claim) for source in sources)
    return Identity(issuer, claims["sub"], read_email(email, is_verified and not is_denied), name)


def _is_same(email: object, other: object) -> bool:
    return isinstance(email, str) and isinstance(other, str) and name_key(email) == name_key(other)


def judgements(source: Mapping[str, Any], domain_claim: str | None) -> set[bool]:
    """What a source says of its address: True, False, both, or nothing. A value that is not understood is a no."""
    said = {value is True for value in (source.get("email_verified"),) if value is not None}
    if domain_claim is not None and source.get(domain_claim) is not None:
        said.add(source[domain_claim] in (True, "1", "true"))  # also the number 1
    return said


@dataclass(frozen=True, slots=True)
class OpenIdOptions:
    """Without a secret this service is a public client, which only PKCE protects."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: str
    redirect_url: str


@dataclass(frozen=True, slots=True)
class JwtIssuerOptions:
    """The key is `public_key` (PEM), or one of those at `jwks_url`. Only `algorithms` are accepted."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks_url: str | None = None
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class ClientReturn:
    """How a client of the API is told that its person has signed in: at `redirect_uri`.

    `challenge` is the SHA-256 digest, in Base64 for URLs, of a secret that only the client has (RFC 7636), or empty.
    """

    redirect_uri: str
    challenge: str = ""

    def ensure_allowed(self, registered: Collection[str]) -> None:
        """Raises InvalidRequest for an address that is not registered, and for an app's own scheme without a challenge:
        any other app may claim that scheme and read the code (RFC 8252, sections 7.3, 8.1 and 8.4).
        """
        if _without_port(self.redirect_uri) not in map(_without_port, registered):
            raise InvalidRequest.in_field("redirect_uri", "This redirect_uri is not one of OIDC_REDIRECT_URIS.")
        if not self.challenge and not self.redirect_uri.startswith(("https:", "http:")):
            raise InvalidRequest.in_field("code_challenge", "An app's own scheme requires a code_challenge.")


_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\])):[0-9]{1,5}(/.*)?")


def _without_port(uri: str) -> str:
    """A loopback address without its port, which an app gets from its system only when it starts."""
    found = _LOOPBACK.fullmatch(uri)
    return uri if found is None else found[1] + (found[2] or "")
