"""Rows that may stand already: both of our databases say `ON CONFLICT`, for which SQLAlchemy has a class for each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(table: Table, dialect_name: str) -> Any:
    """An INSERT in the dialect of that name, with its `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return sqlite.insert(table) if dialect_name == "sqlite" else postgresql.insert(table)
