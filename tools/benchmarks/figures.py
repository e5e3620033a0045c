"""Medians, percentiles and spreads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some measurements, and how far they lie apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        """The median, and in brackets the least and the most; one measurement has no spread."""
        middle = f"{self.median:,.{digits}f}"
        if self.least == self.most:
            return middle
        return f"{middle} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"  # noqa: RUF001  # a range


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that is no less than `percent` of them (nearest rank); NaN where there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def divide(part: float, whole: float) -> float:
    """NaN for a share of nothing: a machine that was busy with something else measured none."""
    return part / whole if whole else math.nan
