"""What a part of the benchmark hands in for the report."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached, what was measured, and whether that is enough."""

    sentence: str
    measured: str
    is_met: bool


@dataclass(slots=True)
class Section:
    """`words` say how it was measured."""

    title: str
    words: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
