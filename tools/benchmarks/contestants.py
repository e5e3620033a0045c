"""What we measure of ourselves: sending, checking codes, and both as one journey."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import text

from letstalk.verifications.models import MAX_TTL_SECONDS
from tools.benchmarks.contests import Results
from tools.benchmarks.installations import Installation, Prepared, phones
from tools.benchmarks.loads import CONNECTIONS, Talk, ask_each, expect, request
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import Contender, Opening, serving_ours

# More than one channel can place at the simulator's 1000-fold speed for as long as one measurement lasts.
WAITING_CALLS = 1_500
# A call that a pause prolongs makes the end of the queue seem so far away that sends are refused.
SENDS_TURNS = 1

_SPEECH_OF = text("SELECT speech_sealed FROM verifications WHERE verification_id = :verification_id")


def sending(installation: Installation, numbers: Iterable[str]) -> Iterator[bytes]:
    """Requests to `POST /calls/otp`, which are answered with 202."""
    for phone in numbers:
        body = f'{{"phone":"{phone}","expires_in":{MAX_TTL_SECONDS}}}'
        yield request("POST", "/calls/otp", body.encode(), installation.authorization)


def verifying(installation: Installation, prepared: Iterable[Prepared], *, right: bool = True) -> Iterator[bytes]:
    """Requests to `POST /calls/verify`, each of another verification: answered with 200, or 400 for wrong codes."""
    for one in prepared:
        code = one.code if right else f"{(int(one.code) + 1) % 10**6:06d}"
        body = f'{{"phone":"{one.phone}","code":"{code}"}}'
        yield request("POST", "/calls/verify", body.encode(), installation.authorization)


def journey(installation: Installation, numbers: Iterator[str]) -> Talk:
    """A send, then the right code, which is taken from where the worker that speaks it takes it."""
    for phone in numbers:
        accepted = expect(202, (yield next(sending(installation, [phone]))))
        verification_id = json.loads(accepted.body)["verification_id"]
        with installation.db.read() as database:
            sealed = database.execute(_SPEECH_OF, {"verification_id": verification_id}).scalar_one()
        code = json.loads(installation.vault.decrypt(sealed))["code"]
        body = f'{{"verification_id":"{verification_id}","code":"{code}"}}'
        expect(200, (yield request("POST", "/calls/verify", body.encode(), installation.authorization)))


def shared(requests: Iterator[bytes], status: int) -> list[Talk]:
    return [ask_each(requests, status) for _ in range(CONNECTIONS)]


@contextmanager
def send(folder: Path, _requests: int, *, prefix: str = "77") -> Iterator[Contender]:
    with installed(folder) as installation, serving_ours(installation) as (ports, programs):
        requests = sending(installation, phones(prefix))
        yield Contender(ports, partial(shared, requests, 202), programs, most_turns=SENDS_TURNS)


@contextmanager
def verify(folder: Path, requests: int, *, right: bool = True, waiting: int = WAITING_CALLS) -> Iterator[Contender]:
    """Beside the requests calls are placed all the time, as many as are `waiting`."""
    with installed(folder) as installation:
        prepared = installation.await_codes(phones("77"), requests)
        installation.queue_calls(phones("78"), waiting)
        with serving_ours(installation) as (ports, programs):
            asked = verifying(installation, prepared, right=right)
            yield Contender(ports, partial(shared, asked, 200 if right else 400), programs)


@contextmanager
def journeys(folder: Path, _requests: int) -> Iterator[Contender]:
    """Two requests each: the figure is requests, not journeys."""
    with installed(folder) as installation, serving_ours(installation) as (ports, programs):
        numbers = phones("77")
        yield Contender(ports, lambda: [journey(installation, numbers) for _ in range(CONNECTIONS)], programs)


@contextmanager
def installed(folder: Path, **settings: str) -> Iterator[Installation]:
    installation = Installation(folder, settings)
    try:
        yield installation
    finally:
        installation.close()


def compare_with_goals(results: Results) -> Section:
    section = Section("Ours", "", ())
    for name, least in GOALS.items():
        if name in results.by_name:
            reached = results.spread(name)
            section.goals.append(
                Goal(f"{name} at {least} of bare Flask or more", reached.show(), reached.median >= least)
            )
    return section


GOALS = {"verify": 0.55, "send": 0.45}
OURS: dict[str, Opening] = {
    "send": send,
    "verify": verify,
    "verify-wrong": partial(verify, right=False),
    "verify-alone": partial(verify, waiting=0),
    "journey": journeys,
}
