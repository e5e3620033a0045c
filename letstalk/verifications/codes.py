"""Codes: made from a CSPRNG, stored as a keyed digest, compared in constant time; and the keys of the digests."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import uuid

from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.verifications import digest_key_repository
from letstalk.verifications.models import DEFAULT_CODE_LENGTH

DIGEST_KEY_BYTES = 32


def generate_code(length: int = DEFAULT_CODE_LENGTH) -> str:
    """`length` decimal digits, every sequence equally likely, leading zeros included."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def digest_code(key: bytes, verification_id: str, code: str) -> str:
    """HMAC-SHA256 in hex, bound to its verification (OWASP ASVS 6.6.2).

    Six digits have too little entropy for any plain hash: without `key`, which is stored encrypted, a copy of the
    digests can't be searched.
    """
    return hmac.digest(key, f"{verification_id}:{code}".encode(), "sha256").hex()


def is_code(key: bytes, verification_id: str, code: str, digest: str) -> bool:
    return hmac.compare_digest(digest_code(key, verification_id, code), digest)


class DigestKeys:
    """The keys of the code digests: random, stored encrypted, the same for every instance.

    Reads them once, and makes the first one when there is none.
    """

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, bytes] = {}

    def current(self) -> tuple[str, bytes]:
        """(key id, key) for new codes. Raises LostKey when ENCRYPTION_KEYS no longer opens it."""
        keys = self._keys or self._load()
        key_id = next(reversed(keys))
        return key_id, keys[key_id]

    def find(self, key_id: str) -> bytes:
        """The key of a stored digest. Raises LostKey, or KeyError for an id that the database does not hold."""
        if key_id in self._keys:
            return self._keys[key_id]
        return self._load()[key_id]

    def derive(self, purpose: str) -> bytes:
        """A key for another `purpose` on which all instances must agree."""
        keys = self._keys or self._load()
        first = next(iter(keys.values()))
        return hmac.new(first, purpose.encode(), hashlib.sha256).digest()

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 in hex with the key of a `purpose`."""
        return hmac.digest(self.derive(purpose), text.encode(), "sha256").hex()

    def digest_session(self, owner_id: str, session: str | None) -> str:
        """What stands for an app's session in the database: 128 bits in hex, and nothing without a session.

        A copy of the database does not tell a session, nor that two owners use the same.
        """
        return "" if session is None else self.digest("sessions", f"{owner_id}\0{session}")[:32]

    def _load(self) -> dict[str, bytes]:
        with self._lock:
            with self._db.read() as connection:
                stored = digest_key_repository.list_digest_keys(connection)
            if not stored:
                stored = self._make_first()
            self._keys = {key_id: self._vault.decrypt(sealed) for key_id, sealed in stored}
            return self._keys

    def _make_first(self) -> list[tuple[str, str]]:
        with self._db.write() as connection:
            self._db.lock(connection, "digest_keys")
            if not digest_key_repository.list_digest_keys(connection):
                sealed = self._vault.encrypt(secrets.token_bytes(DIGEST_KEY_BYTES))
                digest_key_repository.insert_digest_key(connection, str(uuid.uuid4()), sealed, self._clock())
            return digest_key_repository.list_digest_keys(connection)
