"""PostgreSQL down, Redis down, a full disk: what still works."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.flows.installations import installed
from tools.reliability.callees import Callees
from tools.reliability.fleets import Fleet, running_fleet
from tools.reliability.verdicts import Promise

DOWN_SECONDS = 3.0
CHANNELS = 4
FULL_BEYOND_BYTES = 200_000
ASKED = (
    ("POST", "/calls/otp", {"phone": "+256700999999"}),
    ("POST", "/calls/verify", {"phone": "+256700999999", "code": "123456"}),
    ("GET", "/calls", None),
    ("GET", "/api/tokens/current", None),
)


@contextmanager
def _set_up(folder: Path, promise: Promise, **settings: str) -> Iterator[tuple[Fleet, Callees, list[httpx.Client]]]:
    """Two servers and a worker, and a client for each server, both of one owner."""
    with ExitStack() as stack:
        fleet = stack.enter_context(
            running_fleet(folder, servers=2, workers=1, channels=CHANNELS, telnyx={"speed": 20}, **settings)
        )
        headers = {"Authorization": f"Bearer {fleet.issue_token('acme')}"}
        clients = [
            stack.enter_context(httpx.Client(base_url=base, headers=headers, timeout=20)) for base in fleet.bases
        ]
        yield fleet, Callees(fleet.telnyx, promise, CHANNELS), clients


def database_away(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, callees, clients):
        people = callees.ask(clients, 8)
        fleet.postgresql.kill()
        seen, slowest_seconds = _send_repeatedly(clients, DOWN_SECONDS)
        described = {(503, "not_ready")}
        promise.breaches += [f"{count} of {answer}" for answer, count in seen.items() if answer not in described]
        for client in clients:
            alive, ready = client.get("/health"), client.get("/health/ready")
            if (alive.status_code, ready.status_code) != (200, 503) or "database" not in ready.json()["error"]:
                promise.breaches.append(f"/health {alive.status_code}, /health/ready {ready.text[:100]}")
        fleet.postgresql.start()
        back = time.monotonic()
        while any(client.get("/calls").status_code != 200 for client in clients):
            if time.monotonic() - back > 20:
                promise.breaches.append("the service did not come back within 20 s")
                return
        back_seconds = time.monotonic() - back
        callees.listen_and_type(people)
        callees.wait_until_ended()
        _check_programs_run(fleet, promise)
        promise.measured = (
            f"{sum(seen.values())} requests in {DOWN_SECONDS:g} s, each 503 `not_ready` within "
            f"{slowest_seconds:.2f} s; served again {back_seconds:.2f} s after it was back; {callees.waits()}"
        )


def _send_repeatedly(clients: list[httpx.Client], seconds: float) -> tuple[Counter[tuple[int, str]], float]:
    """Send each kind of request to each server, again and again. Returns the responses and the slowest in seconds."""
    seen: Counter[tuple[int, str]] = Counter()
    slowest_seconds = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for client in clients:
            for method, path, body in ASKED:
                answer = client.request(method, path, json=body)
                seen[answer.status_code, answer.json().get("code", "")] += 1
                slowest_seconds = max(slowest_seconds, answer.elapsed.total_seconds())
                if answer.status_code == 503 and "Retry-After" not in answer.headers:
                    seen[503, "without Retry-After"] += 1
        time.sleep(0.05)
    return seen, slowest_seconds


def _check_programs_run(fleet: Fleet, promise: Promise) -> None:
    promise.breaches += [f"{program.name} has ended" for program in fleet.ours if not program.is_running]


def redis_away(folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise) as (fleet, callees, clients):
        limited = fleet.issue_token("limited", rate_limit="10 per minute")
        fleet.redis.kill()
        people = callees.ask(clients, 8)
        for person, other in zip(people, reversed(clients * 4), strict=True):
            again = other.post("/calls/otp", json={"phone": person.phone})
            if again.status_code != 429:
                promise.breaches.append(f"the response to a second send within 30 s was {again.status_code}")
        callees.listen_and_type(people)
        callees.wait_until_ended()
        waits = callees.waits()
        allowed = []
        for base in fleet.bases:
            headers = {"Authorization": f"Bearer {limited}"}
            allowed.append(
                sum(httpx.get(f"{base}/calls", headers=headers, timeout=20).status_code == 200 for _ in range(15))
            )
        if allowed != [10] * len(allowed):
            promise.breaches.append(f"of 15 requests at a limit of 10 the servers allowed {allowed}")
        ready = clients[0].get("/health/ready")
        if ready.status_code != 503 or "queue" not in ready.json()["error"]:
            promise.breaches.append(f"/health/ready is {ready.status_code}: {ready.text[:100]}")
        fleet.redis.start()
        back = time.monotonic()
        while clients[0].get("/health/ready").status_code != 200:
            if time.monotonic() - back > 20:
                promise.breaches.append("not ready within 20 s")
                break
            time.sleep(0.05)
        later = Callees(fleet.telnyx, promise, CHANNELS, people=list(callees.people))
        later.listen_and_type(later.ask(clients, 4))
        _check_programs_run(fleet, promise)
        promise.measured = (
            f"without Redis: {waits}; a limit of 10 allowed {' and '.join(map(str, allowed))}, one count per server; "
            f"a second send to a phone within 30 s, at the other server: 429; ready again and four more calls heard "
            f"{time.monotonic() - back:.1f} s after it was back"
        )


def disk_full(folder: Path, promise: Promise) -> None:
    """No file of the server can grow, because of the operating system's limit on file size."""
    with installed(folder, telnyx={"speed": 20}, MAX_CONCURRENT_CALLS=str(CHANNELS)) as service:
        callees = Callees(service.telnyx, promise, CHANNELS)
        http = service.owner().http
        pid = service.server.pid
        before = callees.ask([http], 4)
        largest = max(path.stat().st_size for path in folder.glob("letstalk.db*"))
        _limit_files(pid, largest + FULL_BEYOND_BYTES)
        started = time.monotonic()
        seen: Counter[tuple[int, str]] = Counter()
        accepted = []
        number = 0
        while time.monotonic() - started < 30 and seen[503, "not_ready"] < 20:
            number += 1
            answer = http.post("/calls/otp", json={"phone": f"+25670077{number:04}"})
            seen[answer.status_code, answer.json().get("code", "")] += 1
            if answer.status_code == 202:
                accepted.append(answer.json())
        alive, ready = http.get("/health"), http.get("/health/ready")
        if alive.status_code != 200:
            promise.breaches.append(f"/health is {alive.status_code}")
        _limit_files(pid, resource.RLIM_INFINITY)
        promise.breaches += [
            f"{count} of {answer}"
            for answer, count in seen.items()
            if answer not in {(202, ""), (503, "not_ready"), (503, "queue_full")}
        ]
        if not seen[503, "not_ready"]:
            promise.breaches.append("the disk never filled")
        callees.listen_and_type(before)
        after = callees.ask([http], 2)
        callees.listen_and_type(after)
        callees.wait_until_ended()
        for each in accepted:
            call = _ended_call(http, each["verification_id"])
            if call is None:
                promise.breaches.append(f"an accepted call did not end: {each['call_id']}")
        if service.server.pid != pid or not _is_alive(pid):
            promise.breaches.append("the server ended")
        promise.measured = (
            f"{len(accepted)} sends accepted while there was room, {seen[503, 'not_ready']} got 503 `not_ready` "
            f"when there was none (/health/ready: {ready.status_code}); with room again all accepted calls were "
            f"placed, and new requests were served; {callees.waits()}"
        )


def _ended_call(http: httpx.Client, verification_id: str, seconds: float = 60) -> dict[str, object] | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        call: dict[str, object] = http.get(f"/calls/{verification_id}").json()["calls"][-1]
        if call["ended_at"]:
            return call
        time.sleep(0.2)
    return None


def _limit_files(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "database-away": (
        "PostgreSQL is killed and down: 503 with Retry-After, nothing accepted is lost, served again when it is back",
        database_away,
    ),
    "redis-away": (
        "Redis is killed and down: calls continue, request limits count in each server, phone limits hold",
        redis_away,
    ),
    "disk-full": ("A full disk (SQLite): 503 with Retry-After, no crash, nothing accepted is lost", disk_full),
}
