"""The public keys of an issuer, set here or published by it (RFC 7517), and reading what it has signed (RFC 8725)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import Token

from letstalk.sso.models import IdentityRefused
from letstalk.sso.provider_client import ProviderClient, TtlCache, get_json

PublicKey = RSAKey | ECKey | OKPKey

KEY_TYPES: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
# The kind of key of each algorithm. No HS256, whose secret would be a public key; no `none` (RFC 8725, 3.1, 3.2).
KEY_TYPE_OF: dict[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
MIN_RSA_BITS = 2048
MAX_KEYS = 100


class KeyRing(Protocol):
    """The keys of an issuer."""

    def find_keys(self, key_id: str | None, algorithm: str) -> Iterable[PublicKey]:
        """The keys that a token with this header may be signed with, the likeliest first. Raises ProviderUnavailable
        while it is iterated.
        """
        ...  # pragma: no cover (a protocol)


class FixedKey:
    """The key in the settings."""

    def __init__(self, pem: str, algorithms: Sequence[str]) -> None:
        """Raises ValueError unless `pem` is a public key that is long enough and fits every algorithm."""
        if "PRIVATE" in pem:
            raise ValueError("public_key contains a private key")
        try:
            raw: Any = load_pem_public_key(pem.encode())
        except ValueError:
            raise ValueError("public_key is no public key in PEM") from None
        types = {KEY_TYPE_OF[algorithm] for algorithm in algorithms}
        found = [key_type for key_type in types if KEY_TYPES[key_type].binding.check_cryptography_key(raw)]
        if len(types) != 1 or not found:
            raise ValueError("public_key is not of the kind that the algorithms require")
        if getattr(raw, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and found == ["RSA"]:
            raise ValueError(f"public_key has fewer than {MIN_RSA_BITS} bits")
        self._key: PublicKey = KEY_TYPES[found[0]].import_key(raw)

    def find_keys(self, _key_id: str | None, _algorithm: str) -> Iterable[PublicKey]:
        return (self._key,)


class PublishedKeys:
    """The keys at an issuer's `jwks_uri`, read again for a token that none of them has signed."""

    def __init__(self, url: Callable[[], str], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`url` returns the address of the keys, and may use the network."""
        self._url = url
        self._keys = TtlCache(self._read, monotonic)

    def find_keys(self, key_id: str | None, algorithm: str) -> Iterable[PublicKey]:
        known = self._keys.get()
        yield from _fitting(known, key_id, algorithm)
        read_again = self._keys.refresh()
        if read_again is not known:
            yield from _fitting(read_again, key_id, algorithm)

    def _read(self) -> list[PublicKey]:
        with ProviderClient() as client:
            entries = get_json(client, self._url()).get("keys")
        keys = [_import(entry) for entry in entries[:MAX_KEYS]] if isinstance(entries, list) else []
        return [key for key in keys if key is not None]


def _import(entry: Any) -> PublicKey | None:
    """None for an unusable key: a set may contain keys for other uses and of unknown kinds (RFC 7517, section 5)."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    key_type = KEY_TYPES.get(str(entry.get("kty")))
    if key_type is None or (key_type is RSAKey and len(str(entry.get("n"))) * 6 < MIN_RSA_BITS):
        return None
    try:
        return key_type.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _fitting(keys: list[PublicKey], key_id: str | None, algorithm: str) -> list[PublicKey]:
    """The keys that fit the header of a token, those of its key id first. Without a key id in the token all keys of the
    algorithm's kind fit, and a key without one fits every token: `kid` is optional in both (RFC 7515, section 4.1.4;
    RFC 7517, section 4.5), and several keys may have the same.
    """
    fitting = [
        key
        for key in keys
        if key.key_type == KEY_TYPE_OF.get(algorithm)
        and key.get("alg") in (None, algorithm)
        and (key_id is None or key.get("kid") in (None, key_id))
    ]
    return sorted(fitting, key=lambda key: key.get("kid") is None)


MAX_TOKEN_LENGTH = 16_384
LEEWAY_SECONDS = 60  # the difference allowed between the issuer's clock and ours
# The errors that invalid text causes in the library and in Python's JSON reader.
MALFORMED = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


class _Algorithms(JWSRegistry):
    """Exactly the algorithms that are allowed."""

    max_header_length = 8192  # some issuers include a chain of certificates

    def get_alg(self, name: str) -> Any:
        # The library's own look-up warns on each use of EdDSA, a name that most issuers still use.
        if not self.allowed or name not in self.allowed:
            raise UnsupportedAlgorithmError(f"{name} is not allowed")
        return self.algorithms[name]


def read_signed(text: str, keys: KeyRing, algorithms: Collection[str]) -> Token:
    """The token, signed by one of `keys`; its claims are not checked. Raises IdentityRefused, ProviderUnavailable."""
    if len(text) > MAX_TOKEN_LENGTH or not text.isascii():
        raise IdentityRefused("malformed")
    allowed = frozenset(algorithms)
    # Unknown header parameters are no reason to refuse a token. A key address in the header is ignored.
    registry = _Algorithms(algorithms=allowed, strict_check_header=False)
    try:
        header = extract_compact(text.encode(), registry=registry).headers()
        if header["alg"] not in allowed:
            raise IdentityRefused("algorithm")
        reason = "unknown key"
        for key in keys.find_keys(header.get("kid"), header["alg"]):
            try:
                return jwt.decode(text, key, registry=registry)
            except BadSignatureError as error:
                reason = error.error
        raise IdentityRefused(reason)
    except UnsupportedAlgorithmError:
        raise IdentityRefused("algorithm") from None
    except MALFORMED as error:
        raise IdentityRefused(getattr(error, "error", "") or "malformed") from None
