"""Rows that may stand already: both of our databases say `ON CONFLICT`, for which SQLAlchemy has a class for each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sqlalchemy import Table


def insert_into(table: Table, dialect_name: str) -> Any:
    """An INSERT in the dialect of that name, with its `on_conflict_do_nothing` and `on_conflict_do_update`."""
    # The other database's would stay in memory for nothing: PostgreSQL's takes 2 MB.
    return import_module(f"sqlalchemy.dialects.{dialect_name}").insert(table)
