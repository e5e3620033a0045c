"""How much is measured: everything for the report, or a little of everything to see that each part runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """More time gives more certainty.

    In each round, each contestant is measured for `contestant_seconds`, divided into `turns`. Bare Flask is measured
    for `reference_seconds` between these turns. Each turn begins with `settle_seconds` that are not counted, the first
    one with `warm_up_seconds`.
    """

    rounds: int
    turns: int
    contestant_seconds: float
    reference_seconds: float
    warm_up_seconds: float
    settle_seconds: float
    few_rows: int
    many_rows: int
    tokens: int
    starts: int
    heard_calls: int
    burst: int
    call_seconds: float
    is_short: bool = False

    @property
    def request_seconds(self) -> float:
        """For how long a contestant gets requests in a round, with the seconds that are not counted."""
        return self.warm_up_seconds + self.turns * self.settle_seconds + self.contestant_seconds


FULL = Plan(
    rounds=3,
    turns=8,
    contestant_seconds=5.6,
    reference_seconds=3.2,
    warm_up_seconds=1.0,
    settle_seconds=0.15,
    few_rows=1_000,
    many_rows=1_000_000,
    tokens=100_000,
    starts=5,
    heard_calls=200,
    burst=200,
    call_seconds=2.0,
)
# Every part runs, but none for long enough to give a result.
SHORT = Plan(
    rounds=1,
    turns=2,
    contestant_seconds=0.6,
    reference_seconds=0.4,
    warm_up_seconds=0.3,
    settle_seconds=0.05,
    few_rows=100,
    many_rows=400,
    tokens=50,
    starts=1,
    heard_calls=5,
    burst=12,
    call_seconds=0.5,
    is_short=True,
)
