"""Installing the peers from npm and PyPI, once, into a folder outside the repository."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "letstalk-benchmarks"
INSTALL_SECONDS = 1_800  # npm compiles SQLite's driver if it cannot download it


class NotInstalled(Exception):
    """A peer cannot be installed on this machine. The text says why."""


def install_better_auth() -> Path:
    """The folder to run `node server.mjs` in. Raises NotInstalled."""
    folder, source = CACHE / "better_auth", HERE / "better_auth"

    def install() -> None:
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel", "error"], folder)

    _install(folder, source / "package.json", install)
    shutil.copyfile(source / "server.mjs", folder / "server.mjs")
    return folder


def install_python_peers() -> Path:
    """The `bin` of a virtual environment with django-phone-verify and gunicorn. Raises NotInstalled."""
    folder = CACHE / "python"

    def install() -> None:
        _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
        pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--disable-pip-version-check", "--requirement", str(folder / "requirements.txt")], folder)

    _install(folder, HERE / "django_phone_verify" / "requirements.txt", install)
    return folder / "venv" / "bin"


def describe_peers() -> str:
    """Their versions in one line."""
    packages = json.loads((CACHE / "better_auth" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    wanted = (CACHE / "python" / "requirements.txt").read_text(encoding="utf-8").split()
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    versions = [f"{name} {version}" for name, version in packages.items() if name in ("better-auth", "better-sqlite3")]
    return ", ".join([f"Node {node.lstrip('v')}", *versions, *(line.replace("==", " ") for line in wanted)])


def _install(folder: Path, requirements: Path, install: Callable[[], None]) -> None:
    """Install again whenever `requirements` has changed. A copy of it stays in `folder`."""
    done = folder / "installed"
    kept = folder / requirements.name
    if done.exists() and kept.exists() and filecmp.cmp(requirements, kept, shallow=False):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(requirements, kept)
    install()
    done.touch()


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{command[0]}: {error}") from None
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
