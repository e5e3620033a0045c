"""The scaled-out set-up: servers and workers on one PostgreSQL and one Redis, and a stand-in for Telnyx."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from cryptography.fernet import Fernet

from tests.support.fake_telnyx import StandaloneTelnyx
from tests.support.surroundings import environment_for_programs
from tools.reliability.programs import Program, free_port
from tools.reliability.stores import NO_FSYNC, running_postgresql, running_redis

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"


@dataclass
class Fleet:
    """All programs of one run. `bases` are the addresses of the servers, in the same order."""

    folder: Path
    postgresql: Program
    redis: Program
    servers: list[Program]
    workers: list[Program]
    bases: list[str]
    telnyx: StandaloneTelnyx
    environment: dict[str, str]
    database: str  # for psycopg
    channels: int
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> list[Program]:
        return [*self.servers, *self.workers]

    @property
    def programs(self) -> list[Program]:
        return [*self.ours, self.postgresql, self.redis]

    def query(self, statement: str) -> list[dict[str, Any]]:
        """Rows of the database, by column name."""
        with psycopg.connect(self.database, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()

    def issue_token(self, owner_id: str, **fields: Any) -> str:
        """The text of a new token of `user_id`, made by the first server."""
        body = {"user_id": owner_id, **fields}
        headers = {"Authorization": f"Bearer {self.admin_token()}"}
        answer = httpx.post(f"{self.bases[0]}/api/tokens", json=body, headers=headers, timeout=20)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def admin_token(self) -> str:
        """The text of an admin token, the same one each time, made on the command line."""
        if "admin" not in self.tokens:
            command = [sys.executable, "-m", "flask", "tokens", "create", "--user-id", "admin", "--scopes", "admin"]
            self.tokens["admin"] = self.run(command).strip()
        return self.tokens["admin"]

    def run(self, command: list[str]) -> str:
        """The output of a command that is run with the service's settings."""
        environment = environment_for_programs(self.environment)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout


@contextmanager
def running_fleet(
    folder: Path,
    *,
    servers: int = 3,
    workers: int = 2,
    channels: int = 20,
    first_web_processes: str = "1",
    telnyx: dict[str, Any] | None = None,
    **settings: str,
) -> Iterator[Fleet]:
    """The whole set-up, ready for work, until the end of the block. `telnyx` are the stand-in's options.

    `first_web_processes` is the first server's WEB_PROCESSES.
    """
    with ExitStack() as stack:
        postgresql, database = stack.enter_context(running_postgresql(folder, *NO_FSYNC))
        redis_program, redis_port = stack.enter_context(running_redis(folder))
        stand_in = stack.enter_context(StandaloneTelnyx(**{"speed": 3.0, "retry_speed": 1.0, **(telnyx or {})}))
        ports = [free_port() for _ in range(servers)]
        bases = [f"http://127.0.0.1:{port}" for port in ports]
        environment = {
            "FLASK_ENV": "production",
            "SECRET_KEY": "a secret key for this run only, nothing else",
            "DASHBOARD_PASSWORD": PASSWORD,
            "ENCRYPTION_KEYS": Fernet.generate_key().decode("ascii"),
            "DATABASE_URL": database,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "MAX_CONCURRENT_CALLS": str(channels),
            "RATE_LIMIT_TOKEN": "off",
            "RATE_LIMIT_ADDRESS": "off",
            "RATE_LIMIT_TOKEN_CREATION": "off",
            **dict.fromkeys(("RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK", "BLOCK_BREAKER"), "off"),
            "HOST": "127.0.0.1",
            "PUBLIC_URL": bases[0],
            **stand_in.environment,
            **settings,
        }
        fleet = Fleet(
            folder,
            postgresql,
            redis_program,
            [
                _server(folder, number, port, environment, "1" if number else first_web_processes)
                for number, port in enumerate(ports)
            ],
            [_worker(folder, number, bases, environment) for number in range(workers)],
            bases,
            stand_in,
            environment,
            database,
            channels,
        )
        stack.callback(_stop_all, fleet.ours)
        for program in fleet.ours:
            program.launch()
        for program in fleet.ours:
            program.wait_until_ready()
        yield fleet


def _stop_all(programs: list[Program]) -> None:
    with ThreadPoolExecutor(len(programs)) as pool:
        list(pool.map(Program.stop, programs))


@contextmanager
def temporary_fleet(telnyx: dict[str, Any], **settings: str) -> Iterator[Fleet]:
    """Three servers and two workers, in a folder that is deleted at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="letstalk-reliability-") as name:
        Path(name).chmod(0o755)
        with running_fleet(Path(name), servers=3, workers=2, channels=20, telnyx=telnyx, **settings) as fleet:
            yield fleet


def _server(folder: Path, number: int, port: int, environment: dict[str, str], processes: str) -> Program:
    base = f"http://127.0.0.1:{port}"
    # Each has its own PUBLIC_URL, because there is no load balancer: a webhook to a server that is down comes again.
    return Program(
        f"server {number + 1}",
        [sys.executable, "app.py"],
        folder / f"server-{number + 1}.log",
        lambda: _answers(base),
        {"WEB_PROCESSES": processes, **environment, "PORT": str(port), "PUBLIC_URL": base},
        ROOT,
    )


def _worker(folder: Path, number: int, bases: list[str], environment: dict[str, str]) -> Program:
    log_path = folder / f"worker-{number + 1}.log"
    program = Program(
        f"worker {number + 1}",
        [sys.executable, "-m", "flask", "worker"],
        log_path,
        lambda: False,
        {**environment, "PUBLIC_URL": bases[number % len(bases)]},
        ROOT,
    )
    program.is_ready = lambda: program.is_running and _has_reported(environment["DATABASE_URL"], program.pid)
    return program


def _has_reported(database: str, pid: int) -> bool:
    """Whether the worker with that process id has written its heartbeat."""
    try:
        with psycopg.connect(database, connect_timeout=2) as connection:
            row = connection.execute("SELECT 1 FROM workers WHERE worker_id LIKE %s", [f"%-{pid}-%"]).fetchone()
    except psycopg.Error:
        return False
    return row is not None


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def keep_logs(fleet: Fleet, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for program in fleet.programs:
        if program.log_path.exists():
            shutil.copy(program.log_path, target / program.log_path.name)
