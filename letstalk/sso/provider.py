"""What is agreed with those whose word we take on who a person is, and what can go wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from letstalk.core.clock import Clock

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


class IdentityRefused(Exception):
    """What was presented proves nothing. `reason` is for the log and the audit trail, never for an answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProviderUnavailable(Exception):
    """The provider did not answer, or with something that it should not: ask again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OpenIdOptions:
    """One OpenID Connect provider. Without a secret we are a public client, whom PKCE alone protects."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: str
    redirect_url: str


@dataclass(frozen=True, slots=True)
class JwtIssuerOptions:
    """An issuer of JWTs to sign in with. `algorithms` are the only ones that count; the key is `public_key` (PEM), or
    among those published at `jwks_url`.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks_url: str | None = None
    public_key: str | None = None


def build_openid_provider(options: OpenIdOptions | None, clock: Clock) -> OpenIdProvider | None:
    """None where there is none."""
    if options is None:
        return None
    from letstalk.sso.openid import OpenIdProvider

    return OpenIdProvider(options, clock)


def build_jwt_issuers(issuers: Sequence[JwtIssuerOptions], clock: Clock) -> JwtIssuers | None:
    """None where there is none. Raises ValueError for keys or algorithms that can't be used."""
    if not issuers:
        return None
    from letstalk.sso.jwt_issuers import JwtIssuers

    return JwtIssuers(issuers, clock)
