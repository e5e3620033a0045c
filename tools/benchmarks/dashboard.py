"""How fast the dashboard is with many verifications: `python -m tools.benchmarks.dashboard --help`.

It stores a past of 90 days up to this minute, has the statistics counted, and asks for each page again and again, on
SQLite and on PostgreSQL. Filling a million rows takes minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx

from tests.support.surroundings import environment_for_programs
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import ROOT, USER_ID, Installation, installed
from tools.benchmarks.pasts import phones_of_countries
from tools.benchmarks.servers import serving_installation
from tools.reliability.stores import running_postgresql

OLDEST_DAYS = 89.0
TOKENS = 2_000
ALLOWED_MILLISECONDS = 150.0  # at the 95th percentile
WARM_UP_REQUESTS = 3

# Run in a process of its own, with the settings of the installation.
_COUNT = """
from letstalk.wiring import create_app
rollups = create_app().extensions["letstalk"].rollups
while rollups.roll_up():
    pass
rollups.forget_old()
"""


@dataclass(frozen=True, slots=True)
class Page:
    path: str
    milliseconds: list[float]
    bytes_sent: int

    def show(self) -> str:
        p95 = percentile(self.milliseconds, 95)
        verdict = "met" if p95 < ALLOWED_MILLISECONDS else "MISSED"
        middle = percentile(self.milliseconds, 50)
        return f"| `{self.path}` | {middle:.0f} | {p95:.0f} | {self.bytes_sent / 1000:.0f} | {verdict} |"


def paths(owner: str, token_id: str) -> Iterator[str]:
    """The pages that are measured, with each kind of filter."""
    own = {"owner": owner}
    for period in ("hour", "day", "week", "month"):
        for filters in ({}, own, {**own, "token": token_id}):
            yield f"/dashboard?{urlencode({'period': period, **filters})}"
    yield "/dashboard/live"
    verifications = "/dashboard/verifications"
    yield verifications
    for name, value in (
        *(("owner", owner), ("token", token_id), ("phone", "+256770000000"), ("country", "DE")),
        *(("status", "approved"), ("status", "attempts_exceeded"), ("reason", "busy"), ("reason", "heard_not_entered")),
    ):
        yield f"{verifications}?{urlencode({name: value})}"
        if name != "owner":
            yield f"{verifications}?{urlencode({**own, name: value})}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.dashboard")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=60, help="for each page")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    for store in ("sqlite", "postgresql") if given.only is None else (given.only,):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="letstalk-bench-")))
            settings = {}
            if store == "postgresql":
                settings["DATABASE_URL"] = stack.enter_context(running_postgresql(folder))[1]
            installation = stack.enter_context(installed(folder, settings))
            _say(f"{store}: storing {given.rows:,} verifications …")
            fill(installation, given.rows)
            count(installation)
            print("\n".join(report(store, measure(installation, given.requests))), flush=True)


def fill(installation: Installation, verifications: int) -> None:
    """Store the past, up to this minute, of a thousand owners and the one who signs in."""
    installation.rows.store_history(
        phones_of_countries(),
        verifications,
        TOKENS,
        youngest_days=0.0,
        oldest_days=OLDEST_DAYS,
        with_events=False,  # these pages do not read them, and to store them takes longer than all else
    )
    installation.rows.analyze()


def count(installation: Installation) -> None:
    """Have all hours counted, as the worker does a little at a time."""
    started = time.monotonic()
    environment = environment_for_programs({"PUBLIC_URL": "http://127.0.0.1:1", **installation.environment})
    subprocess.run([sys.executable, "-c", _COUNT], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    _say(f"counted in {time.monotonic() - started:.0f} s")


def measure(installation: Installation, requests: int) -> list[Page]:
    """Ask for each page `requests` times, one after the other, as somebody who is signed in."""
    token_id = installation.rows.read_token_of(USER_ID)
    with serving_installation(installation) as (port, _), signed_in(installation, port) as client:
        return [page for path in paths(USER_ID, token_id) if (page := _measure_page(client, path, requests))]


@contextmanager
def signed_in(installation: Installation, port: int) -> Iterator[httpx.Client]:
    """A browser of the built-in owner."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        form = client.get("/sign-in").text
        token = form.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        password = installation.environment["DASHBOARD_PASSWORD"]
        headers = {"Origin": f"http://127.0.0.1:{port}"}
        client.post("/sign-in", data={"csrf_token": token, "password": password}, headers=headers)
        yield client


def _measure_page(client: httpx.Client, path: str, requests: int) -> Page | None:
    """None for a page that does not exist."""
    milliseconds = []
    for number in range(WARM_UP_REQUESTS + requests):
        started = time.perf_counter()
        response = client.get(path)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
        if response.is_redirect:
            raise RuntimeError(f"{path} redirects to {response.headers['Location']}")
        if number >= WARM_UP_REQUESTS:
            milliseconds.append((time.perf_counter() - started) * 1000)
    return Page(path, milliseconds, len(response.content))


def report(store: str, pages: list[Page]) -> list[str]:
    head = [f"{store}:", "", "| page | median ms | p95 ms | kB | < 150 ms |", "| --- | --- | --- | --- | --- |"]
    return [*head, *(page.show() for page in pages), ""]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
