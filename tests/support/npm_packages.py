"""Packages of npm that tests need: installed once, outside the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.services import npm_binary

INSTALL_SECONDS = 100


def installed_modules(sources: Path) -> Path | None:
    """The folder of the modules that `sources`/package-lock.json names.

    They are installed once for each state of that file. None where npm is missing or reaches no registry.
    """
    lock = sources / "package-lock.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "letstalk-tests"
    target = cache / f"{sources.name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    npm = npm_binary()
    if not target.exists() and npm is not None:
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(sources / name, folder)
        command: list[str | Path] = [
            npm,
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retry-mintimeout=1000",
        ]
        with suppress(subprocess.SubprocessError, OSError):
            subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=INSTALL_SECONDS)
            # Whole or not at all, since another test process may be doing the same.
            folder.rename(target)
        shutil.rmtree(folder, ignore_errors=True)
    return target / "node_modules" if target.exists() else None
