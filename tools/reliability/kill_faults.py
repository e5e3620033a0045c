"""One of several killed without warning: a server, a worker. What it had begun is finished by the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tools.reliability.fleets import Fleet, running_fleet
from tools.reliability.people import Crowd
from tools.reliability.verdicts import Promise

CHANNELS = 4
DOWN_SECONDS = 3.0


@contextmanager
def _set_up(folder: Path, promise: Promise) -> Iterator[tuple[Fleet, Crowd, list[httpx.Client]]]:
    """Two servers and two workers, and a client of each server, both of one owner."""
    with ExitStack() as stack:
        fleet = stack.enter_context(
            running_fleet(folder, servers=2, workers=2, channels=CHANNELS, telnyx={"speed": 10})
        )
        headers = {"Authorization": f"Bearer {fleet.issue_token('acme')}"}
        clients = [
            stack.enter_context(httpx.Client(base_url=base, headers=headers, timeout=20)) for base in fleet.bases
        ]
        yield fleet, Crowd(fleet.telnyx, promise, CHANNELS), clients


def server_killed(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, crowd, clients):
        victim, other = fleet.servers[0], clients[1]
        # Accepted by the one that dies, whose calls' webhooks come to it too.
        crowd.ask(clients[:1], 8)
        fleet.telnyx.wait_until(lambda state: state["live"] > 0)
        victim.kill()
        crowd.ask([other], 4)
        died, asked = time.monotonic(), 0
        while time.monotonic() - died < DOWN_SECONDS:
            answer = other.get("/calls")
            asked += 1
            if answer.status_code != 200:
                promise.breaches.append(f"the other server answered {answer.status_code}")
            time.sleep(0.05)
        started = time.monotonic()
        victim.start()
        back_seconds = time.monotonic() - started
        _finish(fleet, crowd)
        promise.measured = (
            f"{asked} requests answered by the other server meanwhile; {crowd.waits()}; serving again "
            f"{back_seconds:.1f} s after its start"
        )


def worker_killed(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, crowd, clients):
        crowd.ask(clients, 12)
        # In the middle: some are live, some claimed, some wait.
        fleet.telnyx.wait_until(lambda state: state["live"] > 0)
        fleet.workers[0].kill()
        _finish(fleet, crowd)
        waits = crowd.waits()
        fleet.workers[0].start()
        promise.measured = f"{waits}, the worker away all the while; its place was taken by the others"


def _finish(fleet: Fleet, crowd: Crowd) -> None:
    """Everyone hears a code and types it, everything comes to rest, and no channel is kept."""
    crowd.listen_and_type(crowd.people)
    crowd.come_to_rest()
    held = fleet.query("SELECT count(*) AS n FROM calls WHERE holds_channel")[0]["n"]
    if held:
        crowd.promise.breaches.append(f"{held} channels are held")


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "server-killed": (
        "A server killed: what it accepted is called all the same, once; the other servers answer meanwhile",
        server_killed,
    ),
    "worker-killed": (
        "A worker killed: others finish what it had begun, no call is lost or placed twice, no channel is kept",
        worker_killed,
    ),
}
