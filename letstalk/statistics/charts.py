"""Where the bars of the Overview's chart are, in the units of its SVG. Pure: the template draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from math import ceil

from letstalk.statistics.models import Figures

WIDTH, HEIGHT = 720, 150
GAP_SHARE = 0.25  # of the width of a bar with its gap
LEAST_HEIGHT = 3.0  # of a bar that is not empty, so that it can be told from one that is
MOST_RULES = 4  # above the line of 0
MOST_LABELS = 8  # of times below the bars; on a phone every other one is shown


@dataclass(frozen=True, slots=True)
class Bar:
    """One time: how many were sent, and below of these how many were approved. `is_labelled`: its time stands below it;
    where `is_spare`, only if there is room.
    """

    at: datetime
    is_labelled: bool
    is_spare: bool
    x: float
    width: float
    sent_y: float
    sent_height: float
    approved_y: float
    approved_height: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class Chart:
    """`most` is the highest count. `scale` has the round numbers from 0 to what the full height stands for, and `rules`
    where their lines are.
    """

    bars: tuple[Bar, ...]
    most: int
    scale: tuple[int, ...]
    rules: tuple[float, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw_chart(times: Sequence[tuple[datetime, Figures]]) -> Chart:
    """A bar for each of `times`, oldest first."""
    most = max((figures.funnel.sent for _, figures in times), default=0)
    scale = choose_scale(most)
    step = WIDTH / max(1, len(times))
    labelled = -(-len(times) // MOST_LABELS) or 1
    bars = []
    for place, (at, figures) in enumerate(times):
        sent, approved = (_height(number, scale[-1]) for number in (figures.funnel.sent, figures.funnel.approved))
        bars.append(
            Bar(
                at=at,
                is_labelled=place % labelled == 0,
                is_spare=place % (2 * labelled) != 0,
                x=round(place * step + step * GAP_SHARE / 2, 2),
                width=round(step * (1 - GAP_SHARE), 2),
                sent_y=round(HEIGHT - sent, 2),
                sent_height=round(sent, 2),
                approved_y=round(HEIGHT - approved, 2),
                approved_height=round(approved, 2),
                figures=figures,
            )
        )
    rules = tuple(round(HEIGHT - HEIGHT * number / scale[-1], 2) for number in scale)
    return Chart(tuple(bars), most, scale, rules)


def choose_scale(most: int) -> tuple[int, ...]:
    """Round numbers from 0 to `most` or more: at most MOST_RULES above 0, each 1, 2 or 5 times a power of ten apart."""
    steps = (digit * 10**power for power in count() for digit in (1, 2, 5))
    step = next(step for step in steps if step * MOST_RULES >= most)
    return tuple(step * number for number in range(max(1, ceil(most / step)) + 1))


def _height(number: int, full: int) -> float:
    return max(HEIGHT * number / full, LEAST_HEIGHT) if number else 0.0
