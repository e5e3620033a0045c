"""Putting everything that is encrypted under the first of ENCRYPTION_KEYS, while the service runs."""

from __future__ import annotations

from letstalk.db.crypto import LostKey as LostKey  # raised here, so named here for callers
from letstalk.db.crypto import SealedColumn, Vault, list_sealed, list_sealed_columns, replace_sealed
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

BATCH = 200  # a write transaction of some 10 ms: nobody who waits for it notices
CHECKED = 10_000


class KeyRotation:
    def __init__(self, db: Database, vault: Vault, *, batch: int = BATCH) -> None:
        self._db = db
        self._vault = vault
        self._batch = batch

    def rotate_keys(self) -> dict[str, int]:
        """Encrypt every value under the first key again. Returns how many of each kind.

        Afterwards the other keys may be dropped, once every instance runs with the new first key. A value that
        changed meanwhile was encrypted by an instance that knows the new key, or is erased; it is left alone.
        Raises LostKey, having rotated the batches before it, for a value that no key opens.
        """
        counts = {column.name: self._rotate_column(column) for column in list_sealed_columns()}
        log.info("keys_rotated", **{name.replace(" ", "_"): count for name, count in counts.items()})
        return counts

    def check_keys(self) -> str | None:
        """None when the keys open what is stored; else the sentence that says what they don't open.

        Looks at CHECKED values of each kind, a tenth of a second's work. Ids are random, so where there are more it
        would take fewer than one lost value in a thousand to slip through; `rotate_keys` opens every one.
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
                # Taken by whoever changes several tokens: two that update the same rows in different orders would end
                # in a deadlock on PostgreSQL.
                self._db.lock(connection, "tokens")
                batch = list_sealed(connection, column, after, self._batch)
                for key, old in batch:
                    try:
                        new = self._vault.rotate(old)
                    except LostKey:
                        raise LostKey(f"no key in ENCRYPTION_KEYS opens {column.name} {key}") from None
                    rotated += replace_sealed(connection, column, key, old, new)
            if len(batch) < self._batch:
                return rotated
            after = batch[-1][0]
