"""A server or a worker is killed. The others finish its work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tools.reliability.callees import Callees
from tools.reliability.fleets import Fleet, running_fleet
from tools.reliability.verdicts import Promise

CHANNELS = 4
DOWN_SECONDS = 3.0


@contextmanager
def _set_up(folder: Path, promise: Promise) -> Iterator[tuple[Fleet, Callees, list[httpx.Client]]]:
    """Two servers and two workers, and a client for each server, both of one owner."""
    with ExitStack() as stack:
        fleet = stack.enter_context(
            running_fleet(folder, servers=2, workers=2, channels=CHANNELS, telnyx={"speed": 10})
        )
        headers = {"Authorization": f"Bearer {fleet.issue_token('acme')}"}
        clients = [
            stack.enter_context(httpx.Client(base_url=base, headers=headers, timeout=20)) for base in fleet.bases
        ]
        yield fleet, Callees(fleet.telnyx, promise, CHANNELS), clients


def server_killed(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, callees, clients):
        victim, other = fleet.servers[0], clients[1]
        # Accepted by the server that is killed, which also gets the webhooks of these calls.
        callees.ask(clients[:1], 8)
        fleet.telnyx.wait_until(lambda state: state["live"] > 0)
        victim.kill()
        callees.ask([other], 4)
        died, asked = time.monotonic(), 0
        while time.monotonic() - died < DOWN_SECONDS:
            answer = other.get("/calls")
            asked += 1
            if answer.status_code != 200:
                promise.breaches.append(f"the other server responded {answer.status_code}")
            time.sleep(0.05)
        started = time.monotonic()
        victim.start()
        back_seconds = time.monotonic() - started
        _finish(fleet, callees)
        promise.measured = (
            f"{asked} requests served by the other server meanwhile; {callees.waits()}; serving again "
            f"{back_seconds:.1f} s after its start"
        )


def worker_killed(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, callees, clients):
        callees.ask(clients, 12)
        # While some calls are live, some are claimed and some wait.
        fleet.telnyx.wait_until(lambda state: state["live"] > 0)
        fleet.workers[0].kill()
        _finish(fleet, callees)
        waits = callees.waits()
        fleet.workers[0].start()
        promise.measured = f"{waits}, while the worker stayed down"


def _finish(fleet: Fleet, callees: Callees) -> None:
    """Everyone hears a code and sends it, all calls end, and no channel is held."""
    callees.listen_and_type(callees.people)
    callees.wait_until_ended()
    held = fleet.query("SELECT count(*) AS n FROM calls WHERE holds_channel")[0]["n"]
    if held:
        callees.promise.breaches.append(f"{held} channels are held")


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "server-killed": (
        "A server is killed: the calls that it accepted are placed, once; the other server responds meanwhile",
        server_killed,
    ),
    "worker-killed": (
        "A worker is killed: others finish its work, no call is lost or placed twice, no channel is held",
        worker_killed,
    ),
}
