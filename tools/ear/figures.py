"""The statistics of the report: intervals for shares and tests for pairs. Pure Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

_Z = 1.959964  # 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `trials`. `low` and `high` bound the true share by Wilson's interval, at 95 %."""

    hits: int
    trials: int

    @property
    def percent(self) -> float:
        return 100 * self.hits / self.trials if self.trials else 0.0

    @property
    def low(self) -> float:
        return self._bounds()[0]

    @property
    def high(self) -> float:
        return self._bounds()[1]

    def _bounds(self) -> tuple[float, float]:
        if not self.trials:
            return 0.0, 100.0
        n, p = self.trials, self.hits / self.trials
        middle, spread = p + _Z**2 / (2 * n), _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        scale = 100 / (1 + _Z**2 / n)
        return max(0.0, (middle - spread) * scale), min(100.0, (middle + spread) * scale)

    def __str__(self) -> str:
        return f"{self.hits} of {self.trials} [{self.low:.0f}-{self.high:.0f} %]"


def share_of(outcomes: Sequence[bool]) -> Share:
    return Share(sum(outcomes), len(outcomes))


def paired_p(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The two-sided p of McNemar's exact test: how likely such a difference is where there is none.

    Both have the outcomes of the same codes, voices and noises, in the same order.
    """
    if len(first) != len(second):
        raise ValueError("the outcomes are not of the same trials")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    differing = only_first + only_second
    if not differing:
        return 1.0
    tail: float = sum(comb(differing, k) for k in range(min(only_first, only_second) + 1)) / 2**differing
    return min(1.0, 2 * tail)
