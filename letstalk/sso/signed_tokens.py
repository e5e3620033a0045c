"""Verification of signed tokens, the same for ID tokens and for JWTs that people sign in with (RFC 8725)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry
from joserfc.jwt import Token

from letstalk.sso.keys import KeyRing, PublicKey
from letstalk.sso.provider import IdentityRefused

MAX_TOKEN_LENGTH = 16_384
LEEWAY_SECONDS = 60  # how far the issuer's clock may be from ours
# What the library and Python's JSON parser raise for malformed input.
MALFORMED = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


class _Algorithms(JWSRegistry):
    """Only the allowed algorithms."""

    max_header_length = 8192  # some issuers put a certificate chain there

    def get_alg(self, name: str) -> Any:
        # The library's own look-up warns for each use of EdDSA, the name that most issuers still use.
        if not self.allowed or name not in self.allowed:
            raise UnsupportedAlgorithmError(f"{name} is not allowed")
        return self.algorithms[name]


def read_signed(text: str, keys: KeyRing, algorithms: Collection[str]) -> Token:
    """The header and the claims of a token that one of `keys` has signed with one of `algorithms`. The claims are not
    validated here. Raises IdentityRefused, ProviderUnavailable.
    """
    if len(text) > MAX_TOKEN_LENGTH or not text.isascii():
        raise IdentityRefused("malformed")
    allowed = frozenset(algorithms)

    def find_key(signed: Any) -> PublicKey:
        header = signed.headers()
        if header["alg"] not in allowed:
            raise IdentityRefused("algorithm")
        return keys.find_key(header.get("kid"), header["alg"])

    try:
        # Unknown header fields are no reason to refuse a token. A key or a key URL in the header is never used.
        return jwt.decode(text, find_key, registry=_Algorithms(algorithms=allowed, strict_check_header=False))
    except UnsupportedAlgorithmError:
        raise IdentityRefused("algorithm") from None
    except MALFORMED as error:
        raise IdentityRefused(getattr(error, "error", "") or "malformed") from None
