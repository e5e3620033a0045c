"""How long the dashboard's list of verifications takes with a million of them, whatever filter is asked for.

`python -m tools.benchmarks.lists [--verifications 1000000] [--postgresql]` prints the median and the 95th percentile of
each filter, of the first page and of a page far back, and fails where one is over `MOST_MILLISECONDS`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import text

from letstalk.core.pagination import encode_cursor
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import Reason
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import USER_ID, Installation, installed
from tools.benchmarks.pasts import phones_of_countries
from tools.benchmarks.servers import new_folder, serving_installation
from tools.reliability.stores import running_postgresql

MOST_MILLISECONDS = 150.0
TOKENS = 3_000
YOUNGEST_DAYS = 0.02
TIMES = 20  # each address is asked for
LIST = "/dashboard/verifications"


@contextmanager
def with_a_past(folder: Path, verifications: int, *, is_postgresql: bool) -> Iterator[Installation]:
    """An installation with that many verifications."""
    if not is_postgresql:
        with installed(folder) as installation:
            store_past(installation, verifications)
            yield installation
        return
    options = ("fsync=off", "shared_buffers=512MB", "max_wal_size=4GB")
    with running_postgresql(folder, *options) as (_, url), installed(folder, {"DATABASE_URL": url}) as installation:
        store_past(installation, verifications)
        # What autovacuum does within a minute.
        with installation.rows.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield installation


def store_past(installation: Installation, verifications: int) -> None:
    numbers = phones_of_countries()
    installation.rows.store_history(numbers, verifications, TOKENS, youngest_days=YOUNGEST_DAYS)


def filters(installation: Installation) -> dict[str, dict[str, str]]:
    """By name, the query of each filter, alone and with others that find little of what it finds."""
    with installation.rows.engine.connect() as connection:
        one = connection.execute(
            text("SELECT phone, user_id, token_id FROM verifications WHERE token_id IS NOT NULL LIMIT 1")
        ).one()
    token, owner = {"token": one.token_id}, {"owner": one.user_id}
    rare = {"reason": Reason.UNKNOWN.value}
    day = {"since": _in_form(timedelta(days=30)), "until": _in_form(timedelta(days=29))}
    named: dict[str, dict[str, str]] = {
        "no filter": {},
        "a phone": {"phone": one.phone},
        "a phone, approved": {"phone": one.phone, "status": "approved"},
        "a country": {"country": "DE"},
        "a country without any": {"country": "BR"},
        "a token": token,
        "a token, busy": {**token, "reason": "busy"},
        "a small owner": owner,
        "a large owner": {"owner": USER_ID},
        "a small owner, a country": {**owner, "country": "KE"},
        "a large owner, superseded": {"owner": USER_ID, "status": "superseded"},
        "a large owner, a country, expired": {"owner": USER_ID, "country": "KE", "status": "expired"},
        "a day a month ago": day,
        "a day a month ago, a country, failed": {**day, "country": "DE", "status": "failed"},
        "a country, nothing found": {"country": "UG", **rare},
        "a large owner, nothing found": {"owner": USER_ID, **rare},
    }
    named |= {f"status {status}": {"status": status.value} for status in VerificationStatus}
    named |= {f"reason {reason}": {"reason": reason.value} for reason in Reason}
    return named


def sign_in(client: httpx.Client, password: str) -> None:
    page = client.get("/sign-in").text
    csrf_token = page.split('name="csrf_token" value="')[1].split('"')[0]
    done = client.post("/sign-in", data={"csrf_token": csrf_token, "password": password})
    if done.status_code != httpx.codes.FOUND:
        raise SystemExit(f"signing in was answered by {done.status_code}")


def measure(client: httpx.Client, query: dict[str, str], times: int) -> list[float]:
    """The milliseconds of each of `times` requests, after one that warms up."""
    took = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        response = client.get(LIST, params=query)
        took.append((time.perf_counter() - begun) * 1000)
        if response.status_code != httpx.codes.OK:
            raise SystemExit(f"{LIST} {query} was answered by {response.status_code}")
    return took[1:]


def report(installation: Installation, times: int) -> bool:
    """Print a line for each filter. Returns whether all are fast enough."""
    far_back = datetime.now(UTC) - timedelta(days=40)
    deep = {"before": encode_cursor(far_back, "ffffffff-ffff-ffff-ffff-ffffffffffff")}
    is_fast = True
    with (
        serving_installation(installation) as (port, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        sign_in(client, installation.environment["DASHBOARD_PASSWORD"])
        for name, query in filters(installation).items():
            for page, more in (("newest", {}), ("40 days back", deep)):
                took = measure(client, {**query, **more}, times)
                p95 = percentile(took, 95)
                is_fast = is_fast and p95 <= MOST_MILLISECONDS
                print(f"{name:40} {page:14} {median(took):8.1f} ms {p95:8.1f} ms at p95", flush=True)
    return is_fast


def _in_form(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verifications", type=int, default=1_000_000)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--times", type=int, default=TIMES)
    chosen = parser.parse_args()
    with (
        new_folder() as folder,
        with_a_past(folder, chosen.verifications, is_postgresql=chosen.postgresql) as installation,
    ):
        return 0 if report(installation, chosen.times) else 1


if __name__ == "__main__":
    sys.exit(main())
