"""`flask db`: the shape of the database."""

from __future__ import annotations

import click

from letstalk.cli import database
from letstalk.storage import migrations


@click.group()
def db() -> None:
    """Bring the database to the shape that this version expects (each start does so too)."""


@db.command()
def upgrade() -> None:
    """Apply the migrations that are missing."""
    migrations.upgrade(database())
    click.echo(f"The database is at {migrations.HEAD}.")


@db.command()
def current() -> None:
    """Say which migration the database is at, and which this version expects."""
    with database().read() as connection:
        found = migrations.current_revision(connection)
    click.echo(f"database: {found or 'none'}, expected: {migrations.HEAD}")
