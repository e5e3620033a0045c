"""How soon webhooks arrive, and how soon calls are dialed, while some endpoints hang.

`python -m tools.benchmarks.hanging_endpoints [--endpoints 1000] [--hanging 100]` runs one server with its worker. Codes
are sent for twenty owners, in turns while nobody listens and while all endpoints do. Fails where the p95 of the
endpoints that do not hang is over two seconds, or where the median time until a call is dialed grows by over a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.connection import Connection
from statistics import median

import httpx
import sqlalchemy as sa

from letstalk.audit.service import AuditTrail
from letstalk.calls.repository import calls
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.clock import utc_now
from letstalk.core.ip_addresses import read_networks
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.events.endpoint_repository import webhook_endpoints
from letstalk.events.endpoints import EndpointService
from letstalk.events.models import AppEventType
from letstalk.events.publishing import Publisher
from letstalk.events.targets import TargetPolicy
from letstalk.tokens.models import NewToken
from letstalk.verifications.event_objects import render_event
from tests.support.apps import tokens_of
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import Installation, installed, phones
from tools.benchmarks.servers import new_folder, serving_installation

OWNERS = 20
SENDS_PER_SECOND = 2.0
HANG_SECONDS = 60.0  # longer than the service waits
MOST_SECONDS = 2.0
MOST_SLOWER = 0.10
LOOPBACK = "127.0.0.0/8"


@dataclass
class Answers:
    """What the endpoints that do not hang have received, in seconds from event to arrival."""

    delays: list[float] = field(default_factory=list)
    hung: int = 0


async def _receive(pipe: Connection) -> None:
    """Answer at once at /ok, never at /hang. Sends the port first, and what was received when asked."""
    answers = Answers()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                content = json.loads(await reader.readexactly(int(length)))
                if head.startswith(b"POST /hang"):
                    answers.hung += 1
                    await asyncio.sleep(HANG_SECONDS)
                    return
                answers.delays.append(time.time() - datetime.fromisoformat(content["timestamp"]).timestamp())
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()

    async def handle_quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the sender has closed the connection
            await handle(reader, writer)

    server = await asyncio.start_server(handle_quietly, "127.0.0.1", 0, backlog=1000)
    pipe.send(server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv):
        pipe.send((answers.delays, answers.hung))
        answers = Answers()


def _run_receiver(pipe: Connection) -> None:
    asyncio.run(_receive(pipe))


@contextmanager
def receiver() -> Iterator[tuple[int, Connection]]:
    """A receiver in a process of its own: its port, and the pipe that asks for what was received since it was asked."""
    own, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run_receiver, args=(other,), daemon=True)
    process.start()
    try:
        yield own.recv(), own
    finally:
        process.terminate()
        process.join()


def endpoints_of(db: Database, vault: Vault) -> EndpointService:
    """The endpoints of an installation, made beside its server."""
    policy, publisher = TargetPolicy(read_networks(LOOPBACK)), Publisher(db, utc_now, render_event)
    return EndpointService(db, vault, utc_now, AuditTrail(db, clock=utc_now), publisher, policy)


class Owners:
    """Owners with a token and endpoints each, stored beside the server."""

    def __init__(self, installation: Installation, port: int, endpoints: int, hanging: int) -> None:
        environment = installation.environment
        self.db = Database(environment["DATABASE_URL"])
        vault = Vault((environment["ENCRYPTION_KEYS"],))
        tokens, service = tokens_of(self.db, vault), endpoints_of(self.db, vault)
        self.tokens: list[str] = []
        for number in range(OWNERS):
            actor = replace(trusted_actor(ActorKind.OWNER), owner_id=f"owner-{number}")
            self.tokens.append(tokens.create_token(actor, NewToken(owner_id=actor.owner_id)).secret)
            for place in range(endpoints // OWNERS):
                path = "hang" if place < hanging // OWNERS else "ok"
                url = f"http://127.0.0.1:{port}/{path}/{place}"
                service.create_endpoint(actor, url, types=(AppEventType.VERIFICATION_CREATED,))

    def listen(self, is_listening: bool) -> None:
        disabled_at = None if is_listening else utc_now()
        with self.db.write() as connection:
            connection.execute(sa.update(webhook_endpoints).values(disabled_at=disabled_at, failing_since=None))

    def dial_seconds(self, since: datetime) -> list[float]:
        """From request to dial, of the calls since then."""
        dialed = sa.select(calls.c.created_at, calls.c.first_dial_at)
        dialed = dialed.where(calls.c.created_at >= since, calls.c.first_dial_at.is_not(None))
        with self.db.read() as connection:
            return [(dialed_at - created_at).total_seconds() for created_at, dialed_at in connection.execute(dialed)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.hanging_endpoints")
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--hanging", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    given = parser.parse_args()
    settings = {"WEBHOOK_ALLOWED_NETWORKS": LOOPBACK, "SIMULATOR_SPEED": "20", "MAX_CONCURRENT_CALLS": "20"}
    arrived: list[float] = []
    hung, dialed = 0, {False: list[float](), True: list[float]()}
    with new_folder() as folder, receiver() as (port, pipe), installed(folder, settings) as installation:
        owners = Owners(installation, port, given.endpoints, given.hanging)
        numbers = phones("77")
        with closing(owners.db), serving_installation(installation) as (server_port, _):
            for _ in range(given.rounds):
                for is_listening in (False, True):
                    owners.listen(is_listening)
                    since = utc_now()
                    _send(server_port, owners.tokens, numbers, given.seconds)
                    time.sleep(MOST_SECONDS)
                    dialed[is_listening] += owners.dial_seconds(since)
                    pipe.send(True)
                    delays, hung_now = pipe.recv()
                    arrived += delays
                    hung += hung_now
    p95 = percentile(arrived, 95)
    alone, beside = median(dialed[False]), median(dialed[True])
    print(f"{len(arrived)} webhooks arrived, {hung} hung")
    print(f"p50 {median(arrived):.2f} s, p95 {p95:.2f} s, longest {max(arrived):.2f} s")
    print(f"dialed after {alone * 1000:.2f} ms while nobody listens, {beside * 1000:.2f} ms while all do")
    return 0 if p95 <= MOST_SECONDS and beside <= alone * (1 + MOST_SLOWER) else 1


def _send(port: int, tokens: list[str], numbers: Iterator[str], seconds: float) -> None:
    """Send codes for one owner after the other, evenly over that time."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        started = time.monotonic()
        for number in range(int(seconds * SENDS_PER_SECOND)):
            time.sleep(max(0.0, started + number / SENDS_PER_SECOND - time.monotonic()))
            headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
            http.post("/calls/otp", json={"phone": next(numbers)}, headers=headers).raise_for_status()


if __name__ == "__main__":
    sys.exit(main())
