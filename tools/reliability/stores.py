"""PostgreSQL and Redis as programs that a run can kill and measure."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

from tests.support.fixtures.processes import private_folder, run_once
from tests.support.services import postgres_binaries, redis_binary
from tools.reliability.programs import Program, free_port

# Killing a process does not lose what it has given to the operating system. Only a power cut needs fsync.
NO_FSYNC = ("fsync=off",)


@contextmanager
def running_postgresql(folder: Path, *options: str) -> Iterator[tuple[Program, str]]:
    """A new server with its log in `folder`, and the DATABASE_URL of an empty database. Killed at the end."""
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("This needs PostgreSQL: initdb and postgres.")
    user = _server_user()
    with private_folder("reliability", user) as own:
        data = own / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        run_once([*initdb, "--no-sync", "--no-locale"], own, user)
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(own)]
        for option in ("listen_addresses=", "max_connections=200", *options):
            command += ["-c", option]
        address = f"host={own} user=postgres dbname=postgres"

        def is_ready() -> bool:
            try:
                psycopg.connect(address, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        program = Program("PostgreSQL", command, folder / "postgresql.log", is_ready, folder=own, user=user)
        program.start()
        try:
            yield program, f"postgresql://postgres@/postgres?host={quote(str(own), safe='')}"
        finally:
            program.kill()


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


@contextmanager
def running_redis(folder: Path) -> Iterator[tuple[Program, int]]:
    """A new server that stores nothing on disk, and its port on loopback. Killed at the end."""
    binary = redis_binary()
    if binary is None:
        raise SystemExit("This needs Redis: redis-server.")
    port = free_port()
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def is_ready() -> bool:
        try:
            with redis.Redis(port=port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    program = Program("Redis", command, folder / "redis.log", is_ready, folder=folder)
    program.start()
    try:
        yield program, port
    finally:
        program.kill()
