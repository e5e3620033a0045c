"""Encryption of what the database must not give away: Fernet under keys that can rotate."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from letstalk.core.secret_files import make_encryption_key

generate_key = make_encryption_key


class LostKey(Exception):
    """A value was encrypted under a key that is no longer among ENCRYPTION_KEYS."""


class Vault:
    """Encrypts under the first key, decrypts under any."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """Raises ValueError for a key that is not 32 bytes in URL-safe base64."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, value: bytes) -> str:
        return self._fernet.encrypt(value).decode("ascii")

    def decrypt(self, sealed: str) -> bytes:
        """The value. Raises LostKey when no key opens it."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise LostKey("no key in ENCRYPTION_KEYS opens this value") from None

    def rotate(self, sealed: str) -> str:
        """The same value under the first key. Raises LostKey when no key opens it."""
        try:
            return self._fernet.rotate(sealed).decode("ascii")
        except InvalidToken:
            raise LostKey("no key in ENCRYPTION_KEYS opens this value") from None
