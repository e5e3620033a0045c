"""An installation of the service to measure: its settings, its token, and the rows that are stored before it starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from tests.support.surroundings import environment_for_programs
from tools.benchmarks.rows import Rows

ROOT = Path(__file__).parents[2]
USER_ID = "acme"
# Raised, not switched off: every request is still counted against the limits.
OUT_OF_REACH = "100000000 per minute"
COMMAND_SECONDS = 120.0


@dataclass
class Installation:
    """A database with one token. Servers are started with `environment` in `tree`, a checkout of the project."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT
    environment: dict[str, str] = field(init=False)
    token: str = field(init=False)
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        encryption_key = Fernet.generate_key().decode("ascii")
        self.environment = {
            "FLASK_ENV": "production",
            "SECRET_KEY": "a secret key for this measurement only",
            "DASHBOARD_PASSWORD": "correct horse battery staple",
            "ENCRYPTION_KEYS": encryption_key,
            "DATABASE_URL": f"sqlite:///{self.folder}/letstalk.db",
            "SQLITE_SYNCHRONOUS": "NORMAL",
            "TELEPHONY_PROVIDER": "simulator",
            "SIMULATOR_SPEED": "1000",
            "MAX_CONCURRENT_CALLS": "1",
            "RATE_LIMIT_TOKEN": OUT_OF_REACH,
            "RATE_LIMIT_ADDRESS": OUT_OF_REACH,
            **dict.fromkeys(("RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK"), "100000000 per hour"),
            "BLOCK_BREAKER": "off",  # nobody types in what is sent here
            "HOST": "127.0.0.1",
            "MALLOC_ARENA_MAX": "2",  # as the files in deploy/ set it
            **self.settings,
        }
        self.token = self._run("tokens", "create", "--user-id", USER_ID).split()[-1]
        self.rows = Rows(self.environment["DATABASE_URL"], encryption_key, USER_ID)

    @property
    def authorization(self) -> str:
        """The line of the request's header."""
        return f"Authorization: Bearer {self.token}\r\n"

    def _run(self, *arguments: str) -> str:
        """The output of a `flask` command, which also creates the tables."""
        environment = environment_for_programs({"PUBLIC_URL": "http://127.0.0.1:1", **self.environment})
        command = [sys.executable, "-m", "flask", *arguments]
        done = subprocess.run(
            command, cwd=self.tree, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout


@contextmanager
def installed(folder: Path, settings: Mapping[str, str] | None = None, *, tree: Path = ROOT) -> Iterator[Installation]:
    """A new installation in `folder`; its connections are closed at the end of the block."""
    installation = Installation(folder, settings or {}, tree)
    try:
        yield installation
    finally:
        installation.rows.close()


def phones(prefix: str) -> Iterator[str]:
    """Valid numbers, all different, none of those that the simulator treats in a special way.

    `prefix` is 70, 75, 77 or 78.
    """
    for number in range(10**7):
        if number % 10**4 // 100 != 99:
            yield f"+256{prefix}{number:07d}"
