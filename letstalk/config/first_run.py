"""`python -m letstalk.config.first_run`: write a `.env` for development, with its own secrets, if there is none."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from letstalk.config.settings import PROJECT_ROOT
from letstalk.core.secret_files import make_encryption_key, make_password, make_secret_key, write_once


def write_env(root: Path) -> bool:
    """Create `root`/.env (mode 0600) from `root`/.env.example. Returns False, and changes nothing, if it exists.

    Raises OSError if a file can't be read or written, and ValueError if the example lacks a setting to fill in.
    """
    if (root / ".env").exists():
        return False
    text = (root / ".env.example").read_text(encoding="utf-8")
    filled_in = {
        "FLASK_ENV": "development",
        "SECRET_KEY": make_secret_key(),
        "ENCRYPTION_KEYS": make_encryption_key(),
        "DASHBOARD_PASSWORD": make_password(),
    }
    for name, value in filled_in.items():
        text, found = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f".env.example must have the line {name}= once")
    return write_once(root / ".env", text)


def main() -> None:
    try:
        made = write_env(PROJECT_ROOT)
    except (OSError, ValueError) as error:
        sys.exit(f".env can't be written: {error}")
    if made:
        sys.stdout.write("Wrote .env: a development set-up with its own secrets.\n")


if __name__ == "__main__":
    main()
