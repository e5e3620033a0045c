"""`flask db`: the shape of the database, and copies of it."""

from __future__ import annotations

from pathlib import Path

import click

from letstalk.command_context import database, services
from letstalk.db import migrations
from letstalk.operations import backups


@click.group()
def db() -> None:
    """Migrate (each start does so too), back up and restore the database."""


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


@db.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Write a consistent copy to PATH while the service runs. ENCRYPTION_KEYS are not in it: keep them elsewhere."""
    try:
        backups.back_up(database(), path)
    except backups.BackupFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Wrote {path}.")


@db.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.confirmation_option(prompt="This replaces the whole database. Has every server and worker been stopped?")
def restore(path: Path) -> None:
    """Put the copy at PATH in place of the database."""
    try:
        backups.restore(database(), path)
        migrations.upgrade(database())
    except backups.BackupFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Restored {path}.")
    lost = services().key_rotation.check_keys()
    if lost is not None:
        raise click.ClickException(f"{lost}: nothing starts before it is back")
