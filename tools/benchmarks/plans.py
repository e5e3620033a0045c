"""How much is measured: everything for the report, or a little of it to see that it can be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers that trade time for certainty. `pace_seconds` is how long each contestant is measured in each round, in
    `turns` of which each begins with `settle_seconds`; between them bare Flask has `hello_seconds`.
    """

    rounds: int
    turns: int
    pace_seconds: float
    hello_seconds: float
    warm_up_seconds: float
    settle_seconds: float
    few_rows: int
    many_rows: int
    tokens: int
    starts: int
    tail_seconds: float
    heard_calls: int
    burst: int
    call_seconds: float
    is_short: bool = False

    @property
    def asking_seconds(self) -> float:
        """How long a contestant is asked in a round, settling included."""
        return self.warm_up_seconds + self.turns * self.settle_seconds + self.pace_seconds


FULL = Plan(
    rounds=3,
    turns=8,
    pace_seconds=5.6,
    hello_seconds=3.2,
    warm_up_seconds=1.0,
    settle_seconds=0.15,
    few_rows=1_000,
    many_rows=1_000_000,
    tokens=100_000,
    starts=5,
    tail_seconds=20.0,
    heard_calls=200,
    burst=200,
    call_seconds=2.0,
)
# For the tests: every part runs, none long enough to say anything.
SHORT = Plan(
    rounds=1,
    turns=2,
    pace_seconds=0.2,
    hello_seconds=0.1,
    warm_up_seconds=0.05,
    settle_seconds=0.02,
    few_rows=100,
    many_rows=400,
    tokens=50,
    starts=1,
    tail_seconds=0.5,
    heard_calls=5,
    burst=12,
    call_seconds=0.5,
    is_short=True,
)
