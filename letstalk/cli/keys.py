"""`flask keys`: the encryption keys."""

from __future__ import annotations

import click

from letstalk.services.digest_keys import generate_encryption_key


@click.group()
def keys() -> None:
    """Make encryption keys."""


@keys.command()
def generate() -> None:
    """Print a new key for ENCRYPTION_KEYS."""
    click.echo(generate_encryption_key())
