"""Indexes over some rows of a table only, on either database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, MetaData, text


def partial_index(name: str, condition: str, *columns: Any, unique: bool = False) -> Index:
    """An index of the rows for which `condition` holds. PostgreSQL learns of it by `complete_for_postgresql`."""
    return Index(name, *columns, unique=unique, sqlite_where=text(condition))


def complete_for_postgresql(metadata: MetaData) -> None:
    """Let all partial indexes be partial on PostgreSQL too.

    Apart from the indexes, since whoever names PostgreSQL in one loads its dialect: 2 MB for nothing on SQLite.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
