"""The keys of the code digests: random, kept encrypted in the database, the same for every instance."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import uuid

from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault, generate_key
from letstalk.db.database import Database
from letstalk.verifications import repository as storage
from letstalk.verifications.codes import DIGEST_KEY_BYTES


def generate_encryption_key() -> str:
    """A new key for ENCRYPTION_KEYS."""
    return generate_key()


class DigestKeys:
    """Reads the keys once, makes the first one where there is none."""

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
        """A key for something else that all instances must agree on, bound to `purpose`."""
        keys = self._keys or self._load()
        first = next(iter(keys.values()))
        return hmac.new(first, purpose.encode(), hashlib.sha256).digest()

    def _load(self) -> dict[str, bytes]:
        with self._lock:
            with self._db.read() as connection:
                stored = storage.list_digest_keys(connection)
            if not stored:
                stored = self._make_first()
            self._keys = {key_id: self._vault.decrypt(sealed) for key_id, sealed in stored}
            return self._keys

    def _make_first(self) -> list[tuple[str, str]]:
        with self._db.write() as connection:
            self._db.lock(connection, "digest_keys")
            if not storage.list_digest_keys(connection):
                sealed = self._vault.encrypt(secrets.token_bytes(DIGEST_KEY_BYTES))
                storage.insert_digest_key(connection, str(uuid.uuid4()), sealed, self._clock())
            return storage.list_digest_keys(connection)
