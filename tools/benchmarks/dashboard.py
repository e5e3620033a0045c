"""How fast the dashboard is with many verifications: `python -m tools.benchmarks.dashboard --help`.

It stores a past of 30 days up to this minute, has the statistics counted, and asks for each page with each filter again
and again, on SQLite and on PostgreSQL. A million rows take two minutes of processor time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx

from letstalk.core.ids import new_id
from letstalk.core.pagination import encode_cursor
from letstalk.verifications.listing import LAST_ID
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import Reason
from tests.support.surroundings import environment_for_programs
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import ROOT, USER_ID, Installation, installed
from tools.benchmarks.machines import cpu_seconds
from tools.benchmarks.pasts import RARE_COUNTRIES, phones_of_countries
from tools.benchmarks.servers import serving_installation
from tools.reliability.programs import Program
from tools.reliability.stores import running_postgresql

OLDEST_DAYS = 30.0
TOKENS = 400
LIST = "/dashboard/verifications"
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
    """`cpu_milliseconds` is the processor time of one request, of the service and PostgreSQL together."""

    path: str
    milliseconds: list[float]
    cpu_milliseconds: float
    bytes_sent: int

    def show(self) -> str:
        p95 = percentile(self.milliseconds, 95)
        verdict = "met" if p95 < ALLOWED_MILLISECONDS else "MISSED"
        middle = percentile(self.milliseconds, 50)
        sent = f"{self.bytes_sent / 1000:.0f}"
        shown = self.path.split("before=", 1)[0] + ("before=…" if "before=" in self.path else "")
        return f"| `{shown}` | {middle:.0f} | {p95:.0f} | {self.cpu_milliseconds:.0f} | {sent} | {verdict} |"


def paths(owner: str, token_id: str) -> Iterator[str]:
    """The pages that are measured, with each kind of filter."""
    own = {"owner": owner}
    for period in ("hour", "day", "week", "month"):
        for filters in ({}, own, {**own, "token": token_id}):
            yield f"/dashboard?{urlencode({'period': period, **filters})}"
    yield "/dashboard/live"
    for text in ("nothing-has-this-name", "+1 202 555 0199", new_id(datetime.now(UTC) - timedelta(days=3)), USER_ID):
        yield f"/dashboard/search?{urlencode({'q': text})}"  # each is a list: one thing found would be a redirect
    far_back = {"before": encode_cursor(datetime.now(UTC) - timedelta(days=15), LAST_ID)}
    for query in (*_queries(owner, token_id), *({"reason": reason.value} for reason in Reason)):
        for page in ({}, far_back):
            yield f"{LIST}?{urlencode({**query, **page})}"


def _queries(owner: str, token_id: str) -> Iterator[dict[str, str]]:
    """Filters of the list, alone and with others that find little of what they find."""
    own, rare = {"owner": owner}, {"reason": Reason.UNKNOWN.value}
    days = [(datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%dT%H:%M") for ago in (20, 19)]
    day = dict(zip(("since", "until"), days, strict=True))
    yield from ({}, own, {"owner": "owner-150"}, {**own, "country": "KE", "status": "expired"}, {**own, **rare})
    yield from ({"owner": "owner-150", "country": "KE"}, {**own, "status": "superseded"})
    yield from ({"phone": "+256770000000"}, {"phone": "+256770000000", "status": "approved"})
    yield from ({"country": "DE"}, {"country": RARE_COUNTRIES[0]}, {"country": "JP"}, {"country": "UG", **rare})
    yield from ({"token": token_id}, {"token": token_id, **rare}, day, {**day, "country": "DE", "status": "failed"})
    yield from ({"status": status.value} for status in VerificationStatus)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.dashboard")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=60, help="for each page")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    for store in ("sqlite", "postgresql") if given.only is None else (given.only,):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="letstalk-bench-")))
            settings, database = {}, None
            if store == "postgresql":
                database, settings["DATABASE_URL"] = stack.enter_context(running_postgresql(folder))
            installation = stack.enter_context(installed(folder, settings))
            _say(f"{store}: storing {given.rows:,} verifications …")
            fill(installation, given.rows)
            count(installation)
            loads = "load average before: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
            print(loads)
            print("\n".join(report(store, measure(installation, given.requests, database))), flush=True)


def fill(installation: Installation, verifications: int) -> None:
    """Store the past, up to this minute, of two hundred owners and the one who has half of it."""
    installation.rows.store_history(
        phones_of_countries(),
        verifications,
        TOKENS,
        youngest_days=0.0,
        oldest_days=OLDEST_DAYS,
        with_events=False,  # these pages do not read them
    )
    installation.rows.analyze()


def count(installation: Installation) -> None:
    """Have all hours counted, as the worker does a little at a time."""
    started = time.monotonic()
    environment = environment_for_programs({"PUBLIC_URL": "http://127.0.0.1:1", **installation.environment})
    subprocess.run([sys.executable, "-c", _COUNT], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    _say(f"counted in {time.monotonic() - started:.0f} s")


def measure(installation: Installation, requests: int, database: Program | None) -> list[Page]:
    """Ask for each page `requests` times, one after the other, as somebody who is signed in."""
    token_id = installation.rows.read_token_of(USER_ID)
    with serving_installation(installation) as (port, server), signed_in(installation, port) as client:
        pids = [program.pid for program in (server, database) if program is not None]
        return [_measure_page(client, path, requests, pids) for path in paths(USER_ID, token_id)]


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


def _measure_page(client: httpx.Client, path: str, requests: int, pids: list[int]) -> Page:
    milliseconds, used_before = [], 0.0
    for number in range(WARM_UP_REQUESTS + requests):
        if number == WARM_UP_REQUESTS:
            used_before = sum(map(cpu_seconds, pids))
        started = time.perf_counter()
        response = client.get(path)
        response.raise_for_status()
        if response.is_redirect:
            raise RuntimeError(f"{path} redirects to {response.headers['Location']}")
        if number >= WARM_UP_REQUESTS:
            milliseconds.append((time.perf_counter() - started) * 1000)
    used = (sum(map(cpu_seconds, pids)) - used_before) * 1000 / requests
    return Page(path, milliseconds, used, len(response.content))


def report(store: str, pages: list[Page]) -> list[str]:
    head = [f"{store}:", "", "| page | median ms | p95 ms | CPU ms | kB | < 150 ms |", "| --- " * 6 + "|"]
    return [*head, *(page.show() for page in pages), ""]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
