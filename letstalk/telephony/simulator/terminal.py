"""The simulator's phone, as a developer's terminal shows it."""

from __future__ import annotations

import sys


def print_what_a_phone_hears(phone: str, text: str) -> None:
    """Show on the terminal what the called phone hears, the code included: in development on loopback only."""
    sys.stdout.write(f"\n  ☎  {phone} hears:\n     “{text}”\n\n")
    sys.stdout.flush()
