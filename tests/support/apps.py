"""An application on a database of its own: in this process for a test client, or served by one that can be killed."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.audit.service import AuditTrail
from letstalk.config.settings import load_settings
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.clock import Clock, utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.services import Services
from letstalk.tokens.models import NewToken
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from tests.support.ports import free_port
from tests.support.quick_apps import lay_out, quick_app
from tests.support.surroundings import environment_for_programs

ROOT = Path(__file__).parents[2]
OWNER = trusted_actor(ActorKind.OWNER, "127.0.0.1")
PASSWORD = "correct horse battery staple"
PHONE = "+256700123456"
# Our servers speak plain HTTP. A client that is given no context loads every certificate authority: 16 ms each time.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNLIMITED = dict.fromkeys(("RATE_LIMIT_TOKEN", "RATE_LIMIT_ADDRESS"), "off")


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Settings for a fast simulator and an SQLite file in `folder`, with request limits off, and then `settings`."""
    return {
        "FLASK_ENV": "development",
        "DASHBOARD_PASSWORD": PASSWORD,
        "SECRET_KEY": "a secret key for tests only, nothing else",
        "DATABASE_URL": f"sqlite:///{folder}/letstalk.db",
        "TELEPHONY_PROVIDER": "simulator",
        "SIMULATOR_SPEED": "100",
        **UNLIMITED,
        **settings,
    }


@dataclass
class TurnableClock:
    """Real time, plus what a test has added."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> Any:
        return utc_now() + self.ahead

    def move(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def make_app(folder: Path, clock: Clock = utc_now, **settings: str) -> Flask:
    """An application with nothing running in the background, and whose passwords cost little."""
    return quick_app(load_settings(environment(folder, **settings), None, root=folder), clock=clock)


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["letstalk"]
    return services


def issue_token(app: Flask, *scopes: str, owner_id: str = "acme", **fields: Any) -> str:
    """The text of a new token."""
    wanted = NewToken(owner_id=owner_id, scopes=scopes or ("read", "write"), **fields)
    return services_of(app).tokens.create_token(OWNER, wanted).secret


def tokens_of(db: Database, vault: Vault) -> TokenService:
    """The tokens of a server that has this database and these keys, made and found beside it."""
    audit = AuditTrail(db, clock=utc_now)
    usage = UsageCounter(db, clock=utc_now, audit=audit)
    return TokenService(db, vault=vault, clock=utc_now, usage=usage, audit=audit, default_rate=None)


def code_of(folder: Path, key: str, verification_id: str) -> str:
    """The code of a pending verification, as the worker that speaks it reads it."""
    statement = "SELECT speech_sealed FROM verifications WHERE verification_id = ?"
    with sqlite3.connect(folder / "letstalk.db") as connection:
        (sealed,) = connection.execute(statement, [verification_id]).fetchone()
    return str(json.loads(Vault((key,)).decrypt(sealed))["code"])


@contextmanager
def working(app: Flask) -> Iterator[None]:
    """The application's worker, sweeps and simulator, running in this process."""
    process = app.extensions["letstalk_background_work"]
    process.start()
    try:
        yield
    finally:
        process.stop()


@dataclass
class Api:
    """An app that calls the API with a token, through the test client."""

    client: FlaskClient
    token: str

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, json=body or {}, headers={"Authorization": f"Bearer {self.token}", **named})

    def get(self, path: str, **query: str | int) -> TestResponse:
        return self.client.get(path, query_string=query, headers={"Authorization": f"Bearer {self.token}"})


class ServerProcess:
    """`python app.py` as a process of its own, in production, on a free port; it can be killed and started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.command = [sys.executable, "app.py"]
        self.log_path = folder / "server.log"
        own = {
            "FLASK_ENV": settings.get("FLASK_ENV", "production"),
            "ENCRYPTION_KEYS": settings.get("ENCRYPTION_KEYS", make_encryption_key()),
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
        }
        self.environment = environment_for_programs({**environment(folder, **settings), **own})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it on a database that is migrated, as it is at every start but the first."""
        if "DATABASE_URL" in self.environment:
            lay_out(self.environment["DATABASE_URL"])
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait_seconds: float = 60) -> None:
        """Start it and wait until it answers."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + wait_seconds
        with httpx.Client(base_url=self.base, verify=NO_AUTHORITIES, timeout=1) as http:
            while time.monotonic() < deadline:
                try:
                    if http.get("/health").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.05)
                assert self._process.poll() is None, self.log_path.read_text()
        raise AssertionError(f"the server did not answer: {self.log_path.read_text()}")

    def stop(self) -> None:
        """As an operator does, with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def flask(self, *arguments: str) -> str:
        """What the command line prints."""
        result = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return result.stdout

    def issue_token(self, *scopes: str, owner_id: str = "acme") -> str:
        """The text of a new token, which the server finds in its database.

        `flask tokens create` takes a second longer, and has tests of its own.
        """
        keys = tuple(self.environment["ENCRYPTION_KEYS"].split(","))
        with closing(Database(self.environment["DATABASE_URL"])) as db:
            wanted = NewToken(owner_id=owner_id, scopes=scopes or ("read", "write"))
            return tokens_of(db, Vault(keys)).create_token(OWNER, wanted).secret

    def client(self, token: str, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.base, headers=headers, verify=NO_AUTHORITIES, timeout=30, **options)

    def log(self) -> str:
        return self.log_path.read_text()


def code_in(text: str) -> str:
    """The code that a spoken text holds: its digits, once."""
    runs = re.findall(r"\d(?:[ ,.]*\d){5,9}", text)
    return re.sub(r"\D", "", runs[0])


def heard_code(payload: str) -> str:
    """The code in a payload as a listener hears it: its digits, without the tags between them."""
    return code_in(re.sub(r"<[^>]*>", "", payload))
