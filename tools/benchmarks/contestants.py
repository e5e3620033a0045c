"""The service as a contestant: sends and verifies, with few and with many rows, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.support.services import postgres_binaries, redis_binary
from tools.benchmarks.contests import LOAD, Contest, Results
from tools.benchmarks.figures import Goal, Section, Spread
from tools.benchmarks.installations import ROOT, Installation, installed, phones
from tools.benchmarks.loads import Exchange, expect, request, share_requests
from tools.benchmarks.plans import Plan
from tools.benchmarks.rows import LIFETIME_SECONDS, Prepared
from tools.benchmarks.servers import Contestant, OpenContestant, serving_installation
from tools.reliability.stores import running_postgresql, running_redis

# More than one channel can place during one measurement at the simulator's speed.
WAITING_CALLS = 1_500
LEAST_SHARES = {"verify": 0.45, "send": 0.22}
LEAST_SHARE_OF_GROWN = 0.9
LEAST_SHARE_ON_POSTGRESQL = 0.20

SENDS = ("send, few rows", "send, many rows")
VERIFIES = ("verify, few rows", "verify, many rows")
VERIFY_POSTGRESQL = "verify, PostgreSQL"

# An installation with rows in it, and phones that it has not called yet.
Grown = tuple[Installation, Iterator[str]]
# Is given the installation before its server starts.
Prepare = Callable[[Installation], None]
OpenGrown = Callable[[Path], AbstractContextManager[Grown]]


def sends(installation: Installation, numbers: Iterable[str]) -> Iterator[bytes]:
    """Requests to `POST /calls/otp`, one for each phone. Each gets status 202."""
    for phone in numbers:
        body = f'{{"phone":"{phone}","expires_in":{LIFETIME_SECONDS}}}'
        yield request("POST", "/calls/otp", body.encode(), installation.authorization)


def verifies(installation: Installation, prepared: Iterable[Prepared]) -> Iterator[bytes]:
    """Requests to `POST /calls/verify`, each with the right code of another verification. Each gets status 200."""
    for one in prepared:
        body = f'{{"phone":"{one.phone}","code":"{one.code}"}}'
        yield request("POST", "/calls/verify", body.encode(), installation.authorization)


def send_and_verify(installation: Installation, numbers: Iterator[str]) -> Exchange:
    """For each phone a send, then a verify with the right code, which is read from the database."""
    for phone in numbers:
        accepted = expect(202, (yield next(sends(installation, [phone]))))
        verification_id = json.loads(accepted.body)["verification_id"]
        code = installation.rows.read_code(verification_id)
        body = f'{{"verification_id":"{verification_id}","code":"{code}"}}'
        expect(200, (yield request("POST", "/calls/verify", body.encode(), installation.authorization)))


def _leave_as_it_is(_installation: Installation) -> None:
    pass


@contextmanager
def _prepared(folder: Path, tree: Path, prepare: Prepare) -> Iterator[Installation]:
    with installed(folder, tree=tree) as installation:
        prepare(installation)
        yield installation


@contextmanager
def send(
    folder: Path, _requests: int, *, tree: Path = ROOT, prepare: Prepare = _leave_as_it_is
) -> Iterator[Contestant]:
    with _prepared(folder, tree, prepare) as installation, _sending(installation, phones("77")) as contestant:
        yield contestant


@contextmanager
def verify(
    folder: Path, requests: int, *, tree: Path = ROOT, prepare: Prepare = _leave_as_it_is
) -> Iterator[Contestant]:
    numbers = phones("77")
    with _prepared(folder, tree, prepare) as installation, _verifying(installation, numbers, requests) as contestant:
        yield contestant


@contextmanager
def _sending(installation: Installation, numbers: Iterator[str]) -> Iterator[Contestant]:
    with serving_installation(installation) as (port, program):
        requests = sends(installation, numbers)
        # A call that is live during a pause seems to last as long as the pause, and the queue seems full sooner. So
        # each turn begins with an empty queue, whatever the turns before it have added.
        empty_queue = installation.rows.cancel_waiting
        yield Contestant(port, partial(share_requests, requests, 202), program, before_turn=empty_queue)


@contextmanager
def _verifying(installation: Installation, numbers: Iterator[str], requests: int) -> Iterator[Contestant]:
    """Calls are placed all the time beside the requests, because enough of them wait."""
    prepared = installation.rows.store_pending(numbers, requests)
    installation.rows.store_waiting(numbers, WAITING_CALLS)
    with serving_installation(installation) as (port, program):
        exchanges = partial(share_requests, verifies(installation, prepared), 200)
        yield Contestant(port, exchanges, program)


class GrownInstallations:
    """An installation with few rows for each measurement, and one with many rows for all: it takes minutes to fill."""

    def __init__(self, folder: Path, plan: Plan, stack: ExitStack) -> None:
        self._plan = plan
        self._folder = folder
        self._stack = stack
        self._large: Installation | None = None
        self._numbers = phones("77")  # each is called once, because the large one remembers earlier rounds

    def contests(self) -> list[Contest]:
        """Few and many rows beside each other: sends, then verifies."""
        return [
            dict(zip(SENDS, (partial(_grown_send, self._few), partial(_grown_send, self._many)), strict=True)),
            dict(zip(VERIFIES, (partial(_grown_verify, self._few), partial(_grown_verify, self._many)), strict=True)),
        ]

    @contextmanager
    def _few(self, folder: Path) -> Iterator[Grown]:
        with installed(folder) as installation:
            numbers = phones("77")
            installation.rows.store_history(numbers, self._plan.few_rows, self._plan.few_rows // 10)
            yield installation, numbers

    @contextmanager
    def _many(self, _folder: Path) -> Iterator[Grown]:
        if self._large is None:
            self._large = self._stack.enter_context(installed(self._folder))
            self._large.rows.store_history(self._numbers, self._plan.many_rows, self._plan.tokens)
        yield self._large, self._numbers
        self._large.rows.end_everything()


@contextmanager
def _grown_send(open_grown: OpenGrown, folder: Path, _requests: int) -> Iterator[Contestant]:
    with open_grown(folder) as (installation, numbers), _sending(installation, numbers) as contestant:
        yield contestant


@contextmanager
def _grown_verify(open_grown: OpenGrown, folder: Path, requests: int) -> Iterator[Contestant]:
    with open_grown(folder) as (installation, numbers), _verifying(installation, numbers, requests) as contestant:
        yield contestant


def has_postgresql_and_redis() -> bool:
    return postgres_binaries() is not None and redis_binary() is not None


@contextmanager
def verify_on_postgresql(folder: Path, requests: int) -> Iterator[Contestant]:
    """PostgreSQL with its defaults: a commit is on the disk before the response is sent."""
    with ExitStack() as stack:
        postgresql, url = stack.enter_context(running_postgresql(folder))
        redis, port = stack.enter_context(running_redis(folder))
        # The threads that the manual and compose.yaml give to PostgreSQL.
        settings = {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{port}/0", "WEB_THREADS": "16"}
        installation = stack.enter_context(installed(folder, settings))
        contestant = stack.enter_context(_verifying(installation, phones("77"), requests))
        contestant.beside = {"PostgreSQL": postgresql, "Redis": redis}
        yield contestant


OWN: dict[str, OpenContestant] = {"send": send, "verify": verify}


def compare_with_reference(results: Results) -> Section:
    section = Section("Requests", "", ())
    for name, least in LEAST_SHARES.items():
        if name in results.by_name:
            section.goals.append(Goal.at_least(f"{name}, share of bare Flask", results.spread(name), least))
    return section


def compare_growth(results: Results, plan: Plan) -> Section:
    section = Section(
        "Growth",
        f"One database holds {plan.few_rows:,} ended verifications, the other {plan.many_rows:,}, each with a call and "
        f"its events; the other also holds {plan.tokens:,} tokens. Both servers take turns with each other and with "
        "bare Flask. Each turn of sends begins with an empty queue.",
        ("", f"{plan.few_rows:,} rows", f"{plan.many_rows:,} rows", "many ÷ few", "by processor time"),
    )
    for few, many in (VERIFIES, SENDS):
        name = few.split(",")[0]
        between = results.ratio_between(many, few)
        by_cpu = results.ratio_between(many, few, lambda one: one.cpu_share)
        shares = results.spread(few).show(), results.spread(many).show()
        section.rows.append((name, *shares, between.show(), by_cpu.show()))
        goal = f"{name}, {plan.many_rows:,} rows ÷ {plan.few_rows:,} rows"
        section.goals.append(Goal.at_least(goal, between, LEAST_SHARE_OF_GROWN))
    return section


def compare_postgresql(results: Results) -> Section:
    ours = results.by_name[VERIFY_POSTGRESQL]
    used = [Spread.of([one.used_beside[name] for one in ours]).median for name in ("PostgreSQL", "Redis", LOAD)]
    share = results.spread(VERIFY_POSTGRESQL)
    server = results.spread(VERIFY_POSTGRESQL, lambda one: one.cores_used).median
    return Section(
        "PostgreSQL and Redis",
        "One server process. PostgreSQL, with its default settings, and Redis run on the load's core. The last four "
        "columns are shares of one core.",
        ("", "share of bare Flask", "server", "PostgreSQL", "Redis", "load"),
        [("verify", share.show(), *(f"{part:.0%}" for part in (server, *used)))],
        [Goal.at_least("verify on PostgreSQL and Redis, share of bare Flask", share, LEAST_SHARE_ON_POSTGRESQL)],
    )
