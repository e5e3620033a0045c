"""Bringing the database to the shape that this code expects: numbered, linear, applied once by the first to start."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from letstalk.db.database import Database

FOLDER = Path(__file__).parent
HEAD = max(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def is_current(connection: Connection) -> bool:
    return current_revision(connection) == HEAD


def upgrade(db: Database) -> None:
    """Apply what is missing, in one transaction that holds everyone else's upgrade back."""
    with db.read() as connection:
        if is_current(connection):
            return
    with db.write() as connection:
        db.lock(connection, "migrations")
        _run(connection, "upgrade", "head")


def downgrade(db: Database, revision: str) -> None:
    """Take migrations back to `revision` (`base` for all)."""
    with db.write() as connection:
        db.lock(connection, "migrations")
        _run(connection, "downgrade", revision)


def _run(connection: Connection, direction: str, revision: str) -> None:
    # Imported only where something is to migrate: it costs a start 0.2 s and 10 MB.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)
