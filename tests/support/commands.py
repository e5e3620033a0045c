"""`flask …` as an operator types it: a process of its own, with the settings of an installation in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from click.testing import Result
from flask import Flask

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.verifications.repository import verifications
from tests.support.apps import ROOT, ServerProcess

Found = TypeVar("Found")
PATIENCE_SECONDS = 60.0


@dataclass
class Installation:
    """`key` is the encryption key that it begins with. `server` is not started."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    key: str = field(default_factory=make_encryption_key)

    def __post_init__(self) -> None:
        self.server = ServerProcess(self.folder, **{"ENCRYPTION_KEYS": self.key, **self.settings})

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment

    def flask(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return self._run(["-m", "flask", *words], typed)

    def serve_and_fail(self) -> subprocess.CompletedProcess[str]:
        """`python app.py`, which is expected to end by itself."""
        return self._run(["app.py"], "")

    def code_of(self, verification_id: str) -> str:
        """The code that still waits, read from the database with the installation's keys."""
        vault = Vault(tuple(self.environment["ENCRYPTION_KEYS"].split(",")))
        with closing(Database(self.environment["DATABASE_URL"])) as db, db.read() as connection:
            query = verifications.select().where(verifications.c.verification_id == verification_id)
            return str(json.loads(vault.decrypt(connection.execute(query).one().speech_sealed))["code"])

    def _run(self, words: list[str], typed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )


def invoke(app: Flask, *words: str, typed: str = "") -> Result:
    """The same within this process, on an application that stands already."""
    with app.app_context():
        return app.test_cli_runner().invoke(args=list(words), input=typed)


def eventually(find: Callable[[], Found], what: str) -> Found:
    """The first thing found that is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what}: {found!r}"
        time.sleep(0.05)
    return found


def only_line(text: str) -> str:
    (line,) = text.splitlines()
    return line
