"""The columns that hold values encrypted with Fernet, for the rotation of keys.

A table declares such a column with `Column("secret", Text, info=sealed_as("secrets"))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Connection, select, update

from letstalk.db.schema import metadata

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
    """The encrypted columns of every table that has been imported, by name."""
    columns = [
        SealedColumn(column.info[_SEALED_AS], table.primary_key.columns[0], column)
        for table in metadata.tables.values()
        for column in table.columns
        if _SEALED_AS in column.info
    ]
    return sorted(columns, key=attrgetter("name"))


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
