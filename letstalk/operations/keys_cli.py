"""`flask keys`: the encryption keys."""

from __future__ import annotations

import click

from letstalk.command_context import services
from letstalk.operations.key_rotation import LostKey
from letstalk.verifications.codes import generate_encryption_key


@click.group()
def keys() -> None:
    """Make and rotate encryption keys."""


@keys.command()
def generate() -> None:
    """Print a new key for ENCRYPTION_KEYS."""
    click.echo(generate_encryption_key())


@keys.command()
def rotate() -> None:
    """Encrypt everything under the first of ENCRYPTION_KEYS, while the service runs.

    docs/operations.md has the steps: every instance must know the new key before any encrypts with it, and all must
    encrypt with it before the old one may go.
    """
    try:
        counts = services().key_rotation.rotate_keys()
    except LostKey as error:
        raise click.ClickException(str(error)) from None
    for name, count in counts.items():
        click.echo(f"{name:<18} {count}")


@keys.command("rotate-signing")
def rotate_signing() -> None:
    """Sign access tokens with a new key; those that were signed before work until they expire. Prints the key's id."""
    click.echo(services().people.access_tokens.rotate_keys())
