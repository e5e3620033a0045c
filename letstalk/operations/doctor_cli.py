"""`flask doctor`: is this installation well?"""

from __future__ import annotations

import click

from letstalk.command_context import services


@click.command()
def doctor() -> None:
    """Check the database, the migrations, the worker and the queue. Exits with 1 if something is wrong."""
    health = services().health.check()
    for part, result in health.checks.items():
        click.echo(f"{part:<12} {result}")
    if not health.is_ready:
        raise SystemExit(1)
