"""Codes: made from a CSPRNG, stored as a keyed digest, compared in constant time."""

from __future__ import annotations

import hmac
import secrets

DEFAULT_CODE_LENGTH = 6  # NIST SP 800-63B-4, 3.1.3.1: at least 6 digits
MIN_CODE_LENGTH = 6
MAX_CODE_LENGTH = 10
DIGEST_KEY_BYTES = 32


def generate_code(length: int = DEFAULT_CODE_LENGTH) -> str:
    """`length` decimal digits, each sequence as likely as any other, leading zeros included."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def digest_code(key: bytes, verification_id: str, code: str) -> str:
    """HMAC-SHA256 in hex, bound to its verification (OWASP ASVS 6.6.2).

    Six digits have too little entropy for any plain hash: without `key`, which is stored encrypted, a copy of the
    digests can't be searched.
    """
    return hmac.digest(key, f"{verification_id}:{code}".encode(), "sha256").hex()


def is_code(key: bytes, verification_id: str, code: str, digest: str) -> bool:
    return hmac.compare_digest(digest_code(key, verification_id, code), digest)
