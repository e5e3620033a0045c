"""Bar charts, measured here and drawn as SVG by the templates: no script, no other host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: where its bar stands, in the chart's own units, and what it says."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Chart:
    """`summary` says in words what the bars show."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    total: int
    summary: str


def draw_chart(days: Sequence[tuple[date, int]], *, width: int, height: int, gap: float) -> Chart:
    """The bars of `days`, oldest first, `gap` apart in a box of `width` by `height`.

    The highest day fills the height; a day without requests keeps a line, so that the days can be counted, and one
    with few keeps more than that, so that it is not mistaken for none.
    """
    highest = max((count for _, count in days), default=0)
    step = (width + gap) / max(1, len(days))
    bars = []
    for index, (day, count) in enumerate(days):
        bar_height = max(height * count / highest, height / 10, 3) if count else max(1, height / 50)
        bars.append(
            Bar(
                x=round(index * step, 2),
                y=round(height - bar_height, 2),
                width=round(step - gap, 2),
                height=round(bar_height, 2),
                label=short_date(day),
                count=count,
            )
        )
    total = sum(count for _, count in days)
    return Chart(tuple(bars), width, height, total, _describe(days, total, highest))


def short_date(day: date) -> str:
    return f"{day.day} {day:%b}"


def _describe(days: Sequence[tuple[date, int]], total: int, highest: int) -> str:
    if not total:
        return f"No requests in the last {len(days)} days"
    busiest = next(day for day, count in days if count == highest)
    requests = "1 request" if total == 1 else f"{total:,} requests"
    return f"{requests} in the last {len(days)} days, at most {highest:,} a day, on {short_date(busiest)}"
