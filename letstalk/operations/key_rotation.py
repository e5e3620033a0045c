"""Rotation of ENCRYPTION_KEYS: encrypts everything with the first one, while the service runs."""

from __future__ import annotations

from letstalk.db.crypto import LostKey, SealedColumn, Vault, list_sealed, list_sealed_columns, replace_sealed
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

BATCH = 200  # a write transaction of some 10 ms
CHECKED = 10_000


class KeyRotation:
    def __init__(self, db: Database, vault: Vault, *, batch: int = BATCH) -> None:
        self._db = db
        self._vault = vault
        self._batch = batch

    def rotate_keys(self) -> dict[str, int]:
        """Encrypt every value with the first key. Returns how many of each kind.

        The other keys can be removed when every instance encrypts with the first one. A value that changes meanwhile is
        left as it is. Raises LostKey, after the batches before it, for a value that no key decrypts.
        """
        counts = {column.name: self._rotate_column(column) for column in list_sealed_columns()}
        log.info("keys_rotated", **{name.replace(" ", "_"): count for name, count in counts.items()})
        return counts

    def check_keys(self) -> str | None:
        """None if the keys decrypt what is stored, else a sentence that says what they don't decrypt.

        It checks up to CHECKED values of each kind, in a tenth of a second. `rotate_keys` decrypts all of them.
        """
        with self._db.read() as connection:
            for column in list_sealed_columns():
                for _, sealed in list_sealed(connection, column, "", CHECKED):
                    try:
                        self._vault.decrypt(sealed)
                    except LostKey:
                        return f"ENCRYPTION_KEYS no longer holds the key that the stored {column.name} need"
        return None

    def _rotate_column(self, column: SealedColumn) -> int:
        rotated, after = 0, ""
        while True:
            with self._db.write() as connection:
                # Every change of several tokens takes this lock: on PostgreSQL, two that update the same rows in
                # different orders would deadlock.
                self._db.lock(connection, "tokens")
                batch = list_sealed(connection, column, after, self._batch)
                for key, old in batch:
                    try:
                        new = self._vault.rotate(old)
                    except LostKey:
                        raise LostKey(f"no key in ENCRYPTION_KEYS decrypts {column.name} {key}") from None
                    rotated += replace_sealed(connection, column, key, old, new)
            if len(batch) < self._batch:
                return rotated
            after = batch[-1][0]
