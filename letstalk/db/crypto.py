"""Encryption of what the database must not give away: Fernet under keys that can rotate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Column, Connection, select, update

from letstalk.db.schema import metadata


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


_SEALED_AS = "sealed_as"


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of encrypted values, and the primary key of its rows. `name` says in the plural what the values are."""

    name: str
    key: Column[str]
    value: Column[str]


def sealed_as(name: str) -> dict[str, Any]:
    """The `info` of a column of encrypted values, in a table whose primary key is one column of text."""
    return {_SEALED_AS: name}


def list_sealed_columns() -> list[SealedColumn]:
    """The encrypted columns of every table that has been imported, in the order of their names."""
    found = [
        SealedColumn(column.info[_SEALED_AS], table.primary_key.columns[0], column)
        for table in metadata.tables.values()
        for column in table.columns
        if _SEALED_AS in column.info
    ]
    return sorted(found, key=lambda column: column.name)


def list_sealed(connection: Connection, column: SealedColumn, after: str, limit: int) -> Sequence[tuple[str, str]]:
    """(key, encrypted value) of the rows after the key `after`, in the order of their keys."""
    statement = (
        select(column.key, column.value)
        .where(column.key > after, column.value.is_not(None))
        .order_by(column.key)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def replace_sealed(connection: Connection, column: SealedColumn, key: str, old: str, new: str) -> bool:
    """Replace `old` with `new`. Returns False when the value has changed since it was read."""
    statement = update(column.key.table).where(column.key == key, column.value == old).values({column.value: new})
    return connection.execute(statement).rowcount == 1
