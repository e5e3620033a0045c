"""The template of every new SQLite database of the tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from letstalk.db import migrations
from letstalk.db.database import Database


@cache
def migrated_file() -> bytes:
    """An SQLite file that holds the tables and nothing in them."""
    with TemporaryDirectory(prefix="letstalk-template-") as folder:
        path = Path(folder) / "letstalk.db"
        db = Database(f"sqlite:///{path}")
        migrations.upgrade(db)
        db.close()
        return path.read_bytes()
