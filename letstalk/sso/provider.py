"""Options of identity providers, and the two ways in which one can fail."""

from __future__ import annotations

from dataclasses import dataclass


class IdentityRefused(Exception):
    """The presented token or code is not valid. `reason` is for the log and the audit trail, never for a response."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProviderUnavailable(Exception):
    """The provider did not respond, or its response was not valid: try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OpenIdOptions:
    """One OpenID Connect provider. Without a secret we are a public client, protected by PKCE alone."""

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
