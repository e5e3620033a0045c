"""All tables of all features, for those who need every one: Alembic, and copies of the whole database."""

from __future__ import annotations

import importlib
import pkgutil

import letstalk
from letstalk.db.schema import metadata

__all__ = ["import_tables", "metadata"]


def import_tables() -> None:
    """Import every module of the features, so that `metadata` holds every table."""
    for module in pkgutil.walk_packages(letstalk.__path__, prefix="letstalk."):
        if not module.name.startswith(("letstalk.wiring", "letstalk.db.migrations")):
            importlib.import_module(module.name)
