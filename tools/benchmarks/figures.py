"""What the parts of the benchmark report: medians, percentiles, goals and sections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several measurements, with the lowest and the highest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        """The median, then the lowest and the highest in brackets if they differ."""
        middle = f"{self.median:,.{digits}f}"
        if self.least == self.most:
            return middle
        return f"{middle} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"  # noqa: RUF001  # a range


@dataclass(frozen=True, slots=True)
class Goal:
    """What was measured, the value that is required, and whether it was reached."""

    name: str
    measured: str
    required: str
    is_met: bool

    @classmethod
    def at_least(cls, name: str, measured: Spread, required: float) -> Goal:
        """Whether the median of `measured` is `required` or more."""
        return cls(name, measured.show(), f"≥ {required:g}", measured.median >= required)


@dataclass(slots=True)
class Section:
    """One part of the report. `text` says how its table was measured."""

    title: str
    text: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that is no less than `percent` of them (nearest rank); NaN if there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def divide(part: float, whole: float) -> float:
    """The quotient; NaN if `whole` is 0, as it is when a disturbed machine measured nothing."""
    return part / whole if whole else math.nan
