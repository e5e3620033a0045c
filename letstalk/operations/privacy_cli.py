"""`flask privacy`: a copy of what is known of one phone, and its erasure."""

from __future__ import annotations

import json

import click

from letstalk.command_context import services
from letstalk.core.errors import LetsTalkError


@click.group()
def privacy() -> None:
    """Answer a person who asks what is kept about their phone."""


@privacy.command()
@click.argument("phone")
def export(phone: str) -> None:
    """Print all that is stored of PHONE, as JSON."""
    try:
        found = services().privacy.export_phone(phone)
    except LetsTalkError as error:
        raise click.ClickException(error.message) from None
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@privacy.command()
@click.argument("phone")
@click.confirmation_option(prompt="This can't be undone. Erase it?")
def erase(phone: str) -> None:
    """Delete all that is stored of PHONE. Backups made before keep it until they are deleted."""
    try:
        count = services().privacy.erase_phone(phone)
    except LetsTalkError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"Erased {count} verifications.")
