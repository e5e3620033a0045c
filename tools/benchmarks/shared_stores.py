"""PostgreSQL and Redis in place of SQLite and memory: one server process, and two that share them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support.services import postgres_binaries, redis_binary
from tools.benchmarks.contestants import SENDS_TURNS, WAITING_CALLS, installed, sending, shared, verifying
from tools.benchmarks.contests import LOAD, Results
from tools.benchmarks.figures import Spread
from tools.benchmarks.installations import Installation, phones
from tools.benchmarks.machines import LOAD_CORE, SERVER_CORE
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import Contender, Opening, serving_ours
from tools.reliability.programs import Program
from tools.reliability.stores import running_postgresql, running_redis

GOAL_SHARE = 0.38
THREADS = "16"  # while a request waits for PostgreSQL, others can be answered: as docs/operations.md advises
# Calls are slow beside so many sends: after some thousands the queue is full.
MOST_SENDING_SECONDS = 3.0
ONE, TWO = (SERVER_CORE,), (SERVER_CORE, LOAD_CORE)
NAMES = ("send, PostgreSQL", "send, PostgreSQL, two", "verify, PostgreSQL", "verify, PostgreSQL, two")
IN_SHORT = (NAMES[2],)


def are_at_hand() -> bool:
    return postgres_binaries() is not None and redis_binary() is not None


def openings(plan: Plan) -> dict[str, Opening]:
    kinds = (partial(_send, ONE), partial(_send, TWO), partial(_verify, ONE), partial(_verify, TWO))
    found: dict[str, Opening] = dict(zip(NAMES, kinds, strict=True))
    return {name: found[name] for name in NAMES if not plan.is_short or name in IN_SHORT}


@contextmanager
def _installed(folder: Path) -> Iterator[tuple[Installation, dict[str, Program]]]:
    """PostgreSQL as it comes: a commit is on the disk when it is answered."""
    with (
        running_postgresql(folder) as (postgresql, url),
        running_redis(folder) as (redis, port),
        installed(
            folder, DATABASE_URL=url, REDIS_URL=f"redis://127.0.0.1:{port}/0", WEB_THREADS=THREADS
        ) as installation,
    ):
        yield installation, {"PostgreSQL": postgresql, "Redis": redis}


@contextmanager
def _send(cores: tuple[int, ...], folder: Path, _requests: int) -> Iterator[Contender]:
    with _installed(folder) as (installation, beside), serving_ours(installation, *cores) as (ports, programs):
        requests = sending(installation, phones("77"))
        talks = partial(shared, requests, 202)
        yield Contender(ports, talks, programs, beside, most_turns=SENDS_TURNS, most_seconds=MOST_SENDING_SECONDS)


@contextmanager
def _verify(cores: tuple[int, ...], folder: Path, requests: int) -> Iterator[Contender]:
    with _installed(folder) as (installation, beside):
        prepared = installation.await_codes(phones("77"), requests)
        installation.queue_calls(phones("78"), WAITING_CALLS)
        with serving_ours(installation, *cores) as (ports, programs):
            yield Contender(ports, partial(shared, verifying(installation, prepared), 200), programs, beside)


def compare_stores(results: Results) -> Section:
    section = Section(
        "PostgreSQL and Redis",
        f"With PostgreSQL as it comes, Redis beside the load on the second core and {THREADS} threads for requests. "
        "Two processes have a core each and leave PostgreSQL, Redis and the load what remains of the second. The last "
        "columns are shares of one core: the core whose tenants come near 100 % together is the bound.",
        ("", "share of bare Flask", "requests a second", "servers", "PostgreSQL", "Redis", "load"),
    )
    for name in (name for name in NAMES if name in results.by_name):
        ours = results.by_name[name]
        used = [
            f"{Spread.of([one.used_beside[key] for one in ours]).median:.0%}" for key in ("PostgreSQL", "Redis", LOAD)
        ]
        servers = results.spread(name, lambda one: one.cores_used).median
        rate = results.spread(name, lambda one: one.per_second).show(0)
        section.rows.append((name, results.spread(name).show(), rate, f"{servers:.0%}", *used))
    reached = results.spread(NAMES[2])
    goal = f"verify on PostgreSQL and Redis at {GOAL_SHARE} of bare Flask or more, for one server process"
    section.goals.append(Goal(goal, reached.show(), reached.median >= GOAL_SHARE))
    return section
