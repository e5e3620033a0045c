"""Shows on a developer's terminal what a simulated phone hears."""

from __future__ import annotations

import sys


def print_speech(phone: str, text: str) -> None:
    """Print what the called phone hears, including the code. Only for development on a loopback address."""
    sys.stdout.write(f"\n  ☎  {phone} hears:\n     “{text}”\n\n")
    sys.stdout.flush()
