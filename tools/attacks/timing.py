"""Timing: whether the delay of a response reveals what its text does not.

Each round sends one request for every case, in random order, so that other work on the machine affects all cases. The
difference between each case and the first one is recorded. There is an alarm if the median difference is large enough
to matter, if the sign test excludes chance, and if several independent series agree.
"""

from __future__ import annotations

import http.client
import json
import math
import secrets
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tools.attacks.targets import CannotRun, Target
from tools.attacks.tokens import WHO_AM_I, forge, parts_of
from tools.attacks.trials import Attack, Trial, attack

ROUNDS = 80
THOROUGH_ROUNDS = 1500
SERIES = 3
LEAST_SECONDS = 0.00015  # a network hides far more
LEAST_SHARE = 0.05  # of the whole response's time
SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class Ask:
    """The bytes of a request, built before the measurement, so that only the service is measured."""

    method: str
    path: str
    body: str | None
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much a case is slower than the first one (median, in seconds), and how certain that is."""

    seconds: float
    share: float
    sigmas: float

    @property
    def alarms(self) -> bool:
        return abs(self.seconds) > max(LEAST_SECONDS, 0) and abs(self.share) > LEAST_SHARE and abs(self.sigmas) > SIGMAS


def measure(target: Target, cases: dict[str, Callable[[], Ask]], rounds: int) -> dict[str, Difference]:
    """The difference of each case but the first to the first one. Raises CannotRun if requests are limited."""
    order, taken = secrets.SystemRandom(), {name: list[float]() for name in cases}
    wire = http.client.HTTPConnection(target.host, target.port, timeout=10)
    try:
        for number in range(rounds + 5):
            for name in order.sample(list(cases), len(cases)):
                seconds = _timed(wire, cases[name]())
                if number >= 5:  # the first rounds fill the caches
                    taken[name].append(seconds)
    finally:
        wire.close()
    first, *others = taken
    return {name: compare(taken[first], taken[name]) for name in others}


def compare(base: list[float], other: list[float]) -> Difference:
    """The median difference of two series that were measured in the same rounds, and the sign test's z."""
    differences = [theirs - ours for ours, theirs in zip(base, other, strict=True)]
    slower = sum(difference > 0 for difference in differences)
    count = len(differences)
    return Difference(
        seconds=statistics.median(differences),
        share=statistics.median(differences) / statistics.median(base),
        sigmas=(slower - count / 2) / math.sqrt(count / 4),
    )


def judge(target: Target, trial: Trial, cases: dict[str, Callable[[], Ask]]) -> None:
    """Note for each case but the first whether every series alarms, and in the same direction."""
    rounds = THOROUGH_ROUNDS if target.thorough else ROUNDS
    suspects = list(cases)[1:]
    series: dict[str, list[Difference]] = {name: [] for name in suspects}
    for _ in range(SERIES):
        if suspects:
            first = next(iter(cases))
            found = measure(target, {name: cases[name] for name in (first, *suspects)}, rounds)
            for name, difference in found.items():
                series[name].append(difference)
            suspects = [name for name in suspects if found[name].alarms]
    for name, differences in series.items():
        is_told = len(differences) == SERIES and len({difference.seconds > 0 for difference in differences}) == 1
        last = differences[-1]
        words = f"{name} {last.seconds * 1e6:+.0f} µs ({last.share:+.0%}, {last.sigmas:+.1f} sigma)"
        trial.see(words, holds=not (is_told and last.alarms))


@attack("unknown, wrong, revoked and expired ones take the same time")
def time_tokens(target: Target, trial: Trial) -> None:
    """Distinguish revoked and expired tokens from unknown ones by time"""
    revoked, expired = target.issue("a", ["read"]), target.issue("a", ["read"], expires_in=1)
    live, other = target.owner("a"), target.owner("b")
    target.admin.ask("DELETE", f"/api/tokens/{revoked.token_id}")
    time.sleep(1.1)

    def ask(token: str) -> Ask:
        return Ask("GET", WHO_AM_I, None, {"Authorization": f"Bearer {token}"})

    judge(
        target,
        trial,
        {
            "unknown": lambda: ask(forge()),
            "wrong, of a live one": lambda: ask(forge(parts_of(live.token)[0])),
            "another's secret": lambda: ask(forge(parts_of(live.token)[0], parts_of(other.token)[1])),
            "wrong, of a revoked one": lambda: ask(forge(parts_of(revoked.token)[0])),
            "revoked": lambda: ask(revoked.token),
            "expired": lambda: ask(expired.token),
        },
    )


@attack("another owner's phones and ids take as long as unknown ones")
def time_phones(target: Target, trial: Trial) -> None:
    """Distinguish known phones and verifications from unknown ones by time"""
    one, other = target.owner("a"), target.owner("b")
    phone, unknown = target.phone(), target.phone()
    verification_id = one.send(phone)
    headers = {"Authorization": f"Bearer {other.token}", "Content-Type": "application/json"}

    def check(**aim: Any) -> Ask:
        return Ask("POST", "/calls/verify", json.dumps({**aim, "code": "000000"}), headers)

    judge(target, trial, {"unknown phone": lambda: check(phone=unknown), "known phone": lambda: check(phone=phone)})
    no_id = str(uuid.uuid4())
    judge(
        target,
        trial,
        {
            "unknown id": lambda: check(verification_id=no_id),
            "known id": lambda: check(verification_id=verification_id),
        },
    )


def _timed(wire: http.client.HTTPConnection, ask: Ask) -> float:
    started = time.perf_counter()
    wire.request(ask.method, ask.path, ask.body, ask.headers)
    answer = wire.getresponse()
    text = answer.read()
    elapsed = time.perf_counter() - started
    if answer.status == 429:
        raise CannotRun(f"requests are limited: {text[:80].decode()}")
    return elapsed


ATTACKS: tuple[Attack, ...] = (time_tokens, time_phones)
