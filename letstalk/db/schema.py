"""What every table is declared with: the metadata, the timestamp column type and partial indexes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Index, MetaData, text
from sqlalchemy.types import TypeDecorator

import letstalk

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp in UTC. It is always aware in Python, `timestamptz` on PostgreSQL, and sortable text on SQLite.

    Raises ValueError for a naive datetime.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _timestamp_to_text if dialect.name == "sqlite" else _timestamp_to_driver

    def result_processor(self, dialect: Dialect, _coltype: object) -> Callable[[Any], Any]:
        # The row of a call has eleven timestamps. SQLAlchemy's chain of processors takes longer than SQLite's read.
        return _timestamp_from_text if dialect.name == "sqlite" else _timestamp_from_driver


def partial_index(name: str, condition: str, *columns: Any, unique: bool = False) -> Index:
    """An index of the rows for which `condition` holds. On PostgreSQL it needs `complete_for_postgresql`."""
    return Index(name, *columns, unique=unique, sqlite_where=text(condition))


def complete_for_postgresql() -> None:
    """Make all partial indexes partial on PostgreSQL too.

    This is separate because an index that names PostgreSQL loads its dialect, which takes 2 MB that SQLite never needs.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


def _timestamp_to_driver(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive datetime must not reach the database")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _timestamp_to_text(value: datetime | None) -> str | None:
    timestamp = _timestamp_to_driver(value)
    return None if timestamp is None else timestamp.isoformat(" ", "microseconds").removesuffix("+00:00")


def _timestamp_from_driver(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _timestamp_from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


__all__ = ["import_tables", "metadata"]


def import_tables() -> None:
    """Import every module of the features, so that `metadata` holds every table."""
    for module in pkgutil.walk_packages(letstalk.__path__, prefix="letstalk."):
        if not module.name.startswith(("letstalk.wiring", "letstalk.db.migrations")):
            importlib.import_module(module.name)
