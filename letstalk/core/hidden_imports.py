"""Keeping libraries from importing what they could use and we don't: it would stay in memory for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let `packages` seem not to be installed meanwhile, where they are not imported yet."""
    found = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(found))  # type: ignore[arg-type]  # None is how Python spells "not to be had"
    try:
        yield
    finally:
        for name in found:
            del sys.modules[name]
