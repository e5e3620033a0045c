"""The programs that some tests need beside Python: where they are, and what to do without them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LEFT_OUT = "left out, not on this machine: "


def postgres_binaries() -> Path | None:
    """The folder that holds PostgreSQL's `initdb` and `postgres`; Debian keeps it out of the PATH."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


def redis_binary() -> Path | None:
    return _first_of("redis-server", "valkey-server")


def chromium_binary() -> Path | None:
    return _first_of("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def node_binary() -> Path | None:
    """Node, if it has `fetch` and `readline/promises`, as from version 18 on."""
    found = _first_of("node", "nodejs")
    if found is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    return found if int(version.strip().lstrip("v").split(".")[0]) >= 18 else None


def npm_binary() -> Path | None:
    return _first_of("npm")


def needed(service: str, found: Path | None) -> Path:
    """`found`; without it the test is skipped, or fails where REQUIRE_ALL=1 says that nothing may be left out."""
    if found is not None:
        return found
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"REQUIRE_ALL=1, and {service} is not on this machine", pytrace=False)
    pytest.skip(LEFT_OUT + service)


def _first_of(*names: str) -> Path | None:
    return next((Path(found) for found in map(shutil.which, names) if found), None)
