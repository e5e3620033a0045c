"""One attack: its promise, its tries, and its result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from tools.attacks.targets import CannotRun, Target

SHOWN = 4  # kinds of responses that a row of the table names


class Verdict(StrEnum):
    HELD = "held"
    FOUND = "FOUND"  # a promise was broken
    BROKE = "BROKE"  # the attack itself failed, so nothing is known
    SKIPPED = "skipped"  # something that it needs is missing


@dataclass
class Trial:
    """What an attack records while it runs."""

    tries: int = 0
    _kept: Counter[str] = field(default_factory=Counter)
    _broken: Counter[str] = field(default_factory=Counter)

    def see(self, what: str, *, holds: bool) -> None:
        """Record one try: what was seen, in a few words, and whether the promise held."""
        self.tries += 1
        (self._kept if holds else self._broken)[what] += 1

    def see_answer(self, answer: httpx.Response, *wanted: int, what: str = "") -> None:
        """Record a response. The promise held if its status is one of `wanted`."""
        words = (what, str(answer.status_code), code_of(answer))
        self.see(" ".join(word for word in words if word), holds=answer.status_code in wanted)

    @property
    def is_broken(self) -> bool:
        return bool(self._broken)

    @property
    def seen(self) -> str:
        """What was seen, beginning with what broke the promise."""
        kinds = self._broken if self._broken else self._kept
        shown = [f"{count} times {what}" if count > 1 else what for what, count in kinds.most_common(SHOWN)]
        return "; ".join(shown) + (f"; {len(kinds) - SHOWN} kinds more" if len(kinds) > SHOWN else "")


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    promised: str
    play: Callable[[Target, Trial], None]


@dataclass(frozen=True, slots=True)
class Result:
    family: str
    attack: str
    tries: int
    promised: str
    seen: str
    verdict: Verdict


def attack(promised: str) -> Callable[[Callable[[Target, Trial], None]], Attack]:
    """A decorator that makes an Attack of a function. The function's docstring is the attack's name."""

    def make(play: Callable[[Target, Trial], None]) -> Attack:
        return Attack((play.__doc__ or play.__name__).strip().rstrip("."), promised, play)

    return make


def run_attack(family: str, chosen: Attack, target: Target, deadline: float) -> Result:
    """Run one attack, unless `deadline` (of `time.monotonic`) has passed. Raises nothing."""
    trial = Trial()

    def result(verdict: Verdict, seen: str) -> Result:
        return Result(family, chosen.name, trial.tries, chosen.promised, seen, verdict)

    if time.monotonic() >= deadline:
        return result(Verdict.SKIPPED, "the time was up")
    try:
        chosen.play(target, trial)
    except CannotRun as reason:
        return result(Verdict.SKIPPED, str(reason))
    except Exception as error:  # the other attacks must still run
        if not trial.is_broken:
            return result(Verdict.BROKE, f"{type(error).__name__}: {error}"[:200])
    return result(Verdict.FOUND if trial.is_broken else Verdict.HELD, trial.seen)


def code_of(answer: httpx.Response) -> str:
    """The error code of a response; empty if it has none."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def outline(answer: httpx.Response) -> tuple[int, str, tuple[str, ...]]:
    """What could distinguish two responses: the status, the text without the request's id, the header names."""
    try:
        body = answer.json()
        if isinstance(body, dict):
            body.pop("request_id", None)
        text = str(body)
    except ValueError:
        text = answer.text
    return answer.status_code, text, tuple(sorted(answer.headers))
