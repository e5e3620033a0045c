"""Packages of PyPI that only one test needs, and that must not be beside the others: installed once, in a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

INSTALL_SECONDS = 100


def installed_packages(requirements: Path) -> Path | None:
    """A folder with what `requirements` names, without what that depends on. It is filled once for each state of the
    file. None where pip reaches no index.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "letstalk-tests"
    mark = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    target = cache / f"{requirements.parent.name}-{mark}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        options += ["--retries", "1", "--timeout", "15"]  # without a network, the test is soon skipped
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), "-r", str(requirements)]
        with suppress(subprocess.SubprocessError, OSError):
            subprocess.run(command, capture_output=True, check=True, timeout=INSTALL_SECONDS)
            # Whole or not at all, since another test process may be doing the same.
            folder.rename(target)
        shutil.rmtree(folder, ignore_errors=True)
    return target if target.exists() else None
