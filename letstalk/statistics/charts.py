"""Where the bars of the Overview's chart are, in the units of its SVG. Pure: the template draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from letstalk.statistics.models import Figures

WIDTH, HEIGHT = 720, 150
GAP_SHARE = 0.25  # of the width of a bar with its gap
LEAST_HEIGHT = 3.0  # of a bar that is not empty, so that it can be told from one that is
RULES = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One time: how many were sent, and below of these how many were approved."""

    at: datetime
    x: float
    width: float
    sent_y: float
    sent_height: float
    approved_y: float
    approved_height: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class Chart:
    """`most` is what the full height stands for, and `rules` where the lines of its thirds are."""

    bars: tuple[Bar, ...]
    most: int
    rules: tuple[float, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw_chart(times: Sequence[tuple[datetime, Figures]]) -> Chart:
    """A bar for each of `times`, oldest first."""
    most = max((figures.funnel.sent for _, figures in times), default=0)
    step = WIDTH / max(1, len(times))
    bars = []
    for number, (at, figures) in enumerate(times):
        sent, approved = (_height(count, most) for count in (figures.funnel.sent, figures.funnel.approved))
        bars.append(
            Bar(
                at=at,
                x=round(number * step + step * GAP_SHARE / 2, 2),
                width=round(step * (1 - GAP_SHARE), 2),
                sent_y=round(HEIGHT - sent, 2),
                sent_height=round(sent, 2),
                approved_y=round(HEIGHT - approved, 2),
                approved_height=round(approved, 2),
                figures=figures,
            )
        )
    return Chart(tuple(bars), most, tuple(round(HEIGHT * number / RULES, 2) for number in range(RULES + 1)))


def _height(count: int, most: int) -> float:
    return max(HEIGHT * count / most, LEAST_HEIGHT) if count else 0.0
