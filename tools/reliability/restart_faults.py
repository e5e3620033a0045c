"""SIGTERM: how long the stop takes, and that nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg

from tools.reliability.clients import Client, Record
from tools.reliability.fleets import Fleet, running_fleet
from tools.reliability.heard_codes import HeardCodes
from tools.reliability.journeys import QUICK
from tools.reliability.loads import Load
from tools.reliability.programs import Program
from tools.reliability.verdicts import Evidence, Promise, judge

STOP_LIMIT_SECONDS = 10.0
OWNERS = 3


def rolling_restart(folder: Path, promise: Promise) -> None:
    """Each program in turn gets SIGTERM and is started again, under load."""
    with running_fleet(folder, servers=2, workers=2, channels=8, telnyx={"speed": 10}) as fleet:
        record, heard_codes = Record(), HeardCodes(fleet.telnyx)
        clients = {f"owner-{n}": Client(fleet.bases, fleet.issue_token(f"owner-{n}"), record) for n in range(OWNERS)}
        load = Load(clients, heard_codes, per_second=4, kinds=QUICK, at_most=30)
        heard_codes.start()
        load.start()
        stop_seconds: dict[str, float] = {}
        for program in fleet.ours:
            time.sleep(1.0)
            stop_seconds[program.name] = program.stop()
            program.start()
        load.stop()
        _check_counters(fleet, record, promise)
        fleet.telnyx.wait_until(lambda state: state["live"] == 0, 60)
        _wait_until_all_over(fleet)
        heard_codes.stop()
        for client in clients.values():
            client.close()
        for kept in judge(Evidence(fleet, record, load.asked)):
            promise.breaches += [f"{kept.sentence}: {breach}" for breach in kept.breaches]
        for name, seconds in stop_seconds.items():
            if seconds > STOP_LIMIT_SECONDS:
                promise.breaches.append(f"{name} took {seconds:.1f} s to stop")
        took = sorted(stop_seconds.values())
        promise.measured = (
            f"{len(load.asked)} journeys; stops took {took[0]:.1f} to {took[-1]:.1f} s; "
            f"{sum(record.answers.values())} responses, each request counted once, "
            f"{len(record.broken)} tries without a response"
        )


def _wait_until_all_over(fleet: Fleet, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while fleet.query("SELECT 1 FROM calls WHERE ended_at IS NULL OR holds_channel LIMIT 1"):
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _check_counters(fleet: Fleet, record: Record, promise: Promise) -> None:
    """As many requests are counted in the database as got a response.

    More would mean that an accepted request got no response, fewer that counts were lost with their process.
    """
    answered = sum(record.answers.values())
    deadline = time.monotonic() + 10
    statement = "SELECT coalesce(sum(requests_total), 0) AS n FROM tokens WHERE user_id LIKE 'owner-%'"
    while (counted := int(fleet.query(statement)[0]["n"])) != answered:
        if time.monotonic() > deadline:
            promise.breaches.append(f"{answered} requests got a response, {counted} were counted")
            return
        time.sleep(0.2)


def stop_during_request(folder: Path, promise: Promise) -> None:
    """SIGTERM while a request waits for a lock: it gets its response if the lock is released soon."""
    with running_fleet(folder, servers=1, workers=1, channels=4, telnyx={"speed": 20}) as fleet:
        server, base = fleet.servers[0], fleet.bases[0]
        headers = {"Authorization": f"Bearer {fleet.issue_token('acme')}"}
        found = []
        for held_seconds in (2.0, 30.0):
            answers: list[str] = []
            with psycopg.connect(fleet.database) as connection:
                connection.execute("LOCK TABLE verifications IN ACCESS EXCLUSIVE MODE")
                phone = f"+2567001122{held_seconds:02.0f}"
                asking = threading.Thread(target=_ask, args=(base, headers, phone, answers))
                asking.start()
                time.sleep(0.5)
                releasing = threading.Timer(held_seconds, connection.rollback)
                releasing.start()
                took_seconds = server.stop(signal.SIGTERM)
                releasing.cancel()
                asking.join()
            server.start()
            found.append(f"a lock held for {held_seconds:.0f} s: {answers[0]}, stopped in {took_seconds:.1f} s")
            if took_seconds > STOP_LIMIT_SECONDS or (held_seconds < 5) != (answers == ["202"]):
                promise.breaches.append(found[-1])
        promise.measured = "; ".join(found)


def _ask(base: str, headers: dict[str, str], phone: str, answers: list[str]) -> None:
    try:
        answer = httpx.post(f"{base}/calls/otp", json={"phone": phone}, headers=headers, timeout=30)
        answers.append(str(answer.status_code))
    except httpx.TransportError as error:
        answers.append(type(error).__name__)


def supervisor_stop(folder: Path, promise: Promise) -> None:
    """WEB_PROCESSES: the supervisor stops its processes before it exits."""
    with running_fleet(folder, servers=1, workers=0, channels=4, telnyx={"speed": 20}, WEB_PROCESSES="2") as fleet:
        server = fleet.servers[0]
        took_seconds = server.stop()
        if took_seconds > STOP_LIMIT_SECONDS:
            promise.breaches.append(f"the supervisor took {took_seconds:.1f} s")
        left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(path, server)]
        promise.breaches += [f"process {path.parent.name} is left" for path in left]
        server.start()
        promise.measured = f"the supervisor of two server processes stopped in {took_seconds:.1f} s, no process left"


def _is_of(cmdline: Path, server: Program) -> bool:
    try:
        if b"--listen-fd" not in cmdline.read_bytes():
            return False
        return f"PORT={server.environment['PORT']}\0".encode() in (cmdline.parent / "environ").read_bytes()
    except OSError:
        return False


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "rolling-restart": (
        "SIGTERM to each program in turn under load: stopped within 10 s, nothing lost, counters exact",
        rolling_restart,
    ),
    "stop-under-way": (
        "SIGTERM during a request: it gets its response; a request that hangs does not delay the stop beyond 10 s",
        stop_during_request,
    ),
    "supervisor-stop": ("SIGTERM to a supervisor of two processes: all stopped within 10 s", supervisor_stop),
}
