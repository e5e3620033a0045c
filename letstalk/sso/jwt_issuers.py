"""The issuers whose JWTs people sign in with, and what is checked (RFC 7519, RFC 8725, RFC 7523)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from letstalk.core.clock import Clock
from letstalk.sso import keys as issuer_keys
from letstalk.sso.models import Identity, IdentityRefused, JwtIssuerOptions, is_subject, read_identity

MAX_ID_LENGTH = 255
# A used token is stored until it expires, so its lifetime must be limited.
MAX_LIFETIME_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class VerifiedJwt:
    """A JWT that passed every check, except whether it was used before. `expires_at` is in Unix seconds."""

    identity: Identity
    token_id: str
    expires_at: int


class JwtIssuers:
    """Checks the tokens of the issuers. It may use the network: do not call it within a database transaction."""

    def __init__(
        self, issuers: Iterable[JwtIssuerOptions], clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises ValueError for a duplicate issuer, or for a key or algorithms that cannot be used."""
        self._clock = clock
        self._issuers: dict[str, tuple[JwtIssuerOptions, issuer_keys.KeyRing]] = {}
        for options in issuers:
            if options.issuer in self._issuers:
                raise ValueError(f"{options.issuer} is listed twice")
            self._issuers[options.issuer] = (options, _key_ring(options, monotonic))

    def read(self, text: str) -> VerifiedJwt:
        """The token in `text`, its signature and claims checked. Raises IdentityRefused, ProviderUnavailable."""
        found = self._issuers.get(_read_issuer(text))
        if found is None:
            raise IdentityRefused("issuer")
        options, keys = found
        claims = issuer_keys.read_signed(text, keys, options.algorithms).claims
        self._check(claims, options)
        return VerifiedJwt(
            identity=read_identity(options.issuer, claims),
            token_id=_id_of(claims, text),
            expires_at=int(claims["exp"]) + issuer_keys.LEEWAY_SECONDS + 1,
        )

    def _check(self, claims: dict[str, Any], options: JwtIssuerOptions) -> None:
        registry = JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=issuer_keys.LEEWAY_SECONDS,
            iss={"essential": True, "value": options.issuer},
            aud={"essential": True, "value": options.audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            registry.validate(claims)
            lives_too_long = claims["exp"] - claims["iat"] > MAX_LIFETIME_SECONDS
        except issuer_keys.MALFORMED as error:
            raise IdentityRefused(getattr(error, "claim", None) or type(error).__name__) from None
        if not is_subject(claims["sub"]):
            raise IdentityRefused("sub")
        if lives_too_long:
            raise IdentityRefused("exp")


def _id_of(claims: dict[str, Any], text: str) -> str:
    """What tells a token from others of its issuer. Without a `jti` it is a digest of what is signed, not of the whole
    text: others than the signer can write the same ECDSA signature in a second way. Raises IdentityRefused.
    """
    jti = claims.get("jti")
    if jti is None:
        return f"sha-256:{hashlib.sha256(text.rpartition('.')[0].encode()).hexdigest()}"
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_ID_LENGTH:
        raise IdentityRefused("jti")
    return jti


def _key_ring(options: JwtIssuerOptions, monotonic: Callable[[], float]) -> issuer_keys.KeyRing:
    if not options.algorithms or not set(options.algorithms) <= set(issuer_keys.KEY_TYPE_OF):
        raise ValueError(f"algorithms must be some of {', '.join(issuer_keys.KEY_TYPE_OF)}")
    if (options.jwks_url is None) == (options.public_key is None):
        raise ValueError("an issuer requires either jwks_url or public_key")
    if options.public_key is not None:
        return issuer_keys.FixedKey(options.public_key, options.algorithms)
    url = str(options.jwks_url)
    return issuer_keys.PublishedKeys(lambda: url, monotonic)


def _read_issuer(text: str) -> str:
    """The issuer that a token names, unverified. It selects the keys that verify the token."""
    if len(text) > issuer_keys.MAX_TOKEN_LENGTH or not text.isascii() or text.count(".") != 2:
        raise IdentityRefused("malformed")
    try:
        claims = json.loads(urlsafe_b64decode(text.split(".")[1].encode()))
    except (JoseError, ValueError, TypeError, RecursionError):
        raise IdentityRefused("malformed") from None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str):
        raise IdentityRefused("iss")
    return issuer
