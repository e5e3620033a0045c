"""Secrets that are created once and kept in files that only their owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet


def make_encryption_key() -> str:
    """A new Fernet key: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode("ascii")


def make_secret_key() -> str:
    """288 random bits, in characters that need no quoting."""
    return secrets.token_urlsafe(36)


def make_password() -> str:
    """96 random bits: short enough to type, too long to guess."""
    return secrets.token_urlsafe(12)


def write_once(path: Path, text: str) -> bool:
    """Create `path` with mode 0600 and `text` in it. Returns False if it exists already.

    Of several processes that try at once, one creates it, and none can read it half written. Creates its folder too.
    Raises OSError.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # With O_EXCL on `path` itself, another process could read it before the text is written.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, created by `make` the first time. Raises OSError, or ValueError for an empty file."""
    if not path.exists():
        write_once(path, make() + "\n")
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError("the file is empty")
    return secret
