"""What the Overview shows of figures: in words, in percent, and worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from letstalk.http.timestamps import wait_in_words
from letstalk.statistics.charts import Chart, draw_chart
from letstalk.statistics.histograms import quantile_seconds
from letstalk.statistics.models import DAY, HOUR, Figures, Funnel, start_of_day, start_of_hour
from letstalk.statistics.recent import SLOT, start_of_slot
from letstalk.statistics.repository import Period
from letstalk.statistics.service import Figured
from letstalk.verifications.outcomes import EXPLANATIONS, Explanation, Reason

STEP_LABELS = ("Sent", "Rang", "Answered", "Heard to the end", "Approved")
FEW = 10  # of fewer verifications, a share says little: such countries come last
MOST_COUNTRIES = 12


class Span(StrEnum):
    """The time that is shown, up to now."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def label(self) -> str:
        return {Span.HOUR: "Hour", Span.DAY: "24 hours", Span.WEEK: "7 days", Span.MONTH: "30 days"}[self]

    @property
    def longer(self) -> Span | None:
        spans = list(Span)
        return None if self is spans[-1] else spans[spans.index(self) + 1]

    def start(self, now: datetime) -> datetime:
        """The start of its first part. The last part contains `now`."""
        if self is Span.DAY:
            return start_of_hour(now) - 23 * HOUR
        return start_of_day(now) - (6 if self is Span.WEEK else 29) * DAY

    @property
    def period(self) -> Period:
        return Period.HOUR if self is Span.DAY else Period.DAY


# A step of the funnel: its name, how many reached it, in percent of those that were sent, and what it keeps, in words.
Step = tuple[str, int, float, str]


@dataclass(frozen=True, slots=True)
class Share:
    """One country, or one reason with its explanation. `finished` are those that do not wait for their code any more,
    and `lost` those of them that were not approved. `percent` is of the finished ones.
    """

    key: str
    label: str
    sent: int
    approved: int
    finished: int
    percent: str
    explanation: Explanation | None = None

    @property
    def lost(self) -> int:
        return self.finished - self.approved


@dataclass(frozen=True, slots=True)
class Times:
    """How long it took for half of them, and for 95 of 100, in words."""

    median: str
    p95: str


@dataclass(frozen=True, slots=True)
class FiguresView:
    total: Figures
    steps: tuple[Step, ...]
    to_ring: Times
    to_approval: Times
    chart: Chart
    step: timedelta
    countries: tuple[Share, ...]
    more_countries: int
    reasons: tuple[Share, ...]
    is_complete: bool


def show_figures(figured: Figured, span: Span) -> FiguresView:
    total = figured.total()
    countries = show_countries(total)
    start_of, step = _parts_of(span)
    return FiguresView(
        total=total,
        steps=show_steps(total.funnel),
        to_ring=show_times(total.to_ring),
        to_approval=show_times(total.to_approval),
        chart=draw_chart(figured.by_start(start_of, step)),
        step=step,
        countries=countries[:MOST_COUNTRIES],
        more_countries=max(0, len(countries) - MOST_COUNTRIES),
        reasons=show_reasons(total),
        is_complete=figured.is_complete,
    )


def show_steps(funnel: Funnel) -> tuple[Step, ...]:
    steps: list[Step] = []
    for label, count in zip(STEP_LABELS, funnel.counts, strict=True):
        note = f"{percent(count, steps[-1][1])} kept" if steps else "all"
        share = 100 * count / funnel.sent if funnel.sent else 0.0
        steps.append((label, count, round(share, 2), note))
    return tuple(steps)


def show_countries(total: Figures) -> tuple[Share, ...]:
    """The worst first: where the smallest share is approved. Those with few finished verifications come last."""
    found = []
    for country, funnel in total.countries.items():
        finished = funnel.sent - total.waiting[country]
        share = percent(funnel.approved, finished)
        found.append(Share(country, country or "Unknown", funnel.sent, funnel.approved, finished, share))
    return tuple(sorted(found, key=_worst_first))


def _worst_first(one: Share) -> tuple[bool, float, int, str]:
    return one.finished < FEW, one.approved / max(1, one.finished), -one.sent, one.key


def show_reasons(total: Figures) -> tuple[Share, ...]:
    """Why codes were not entered, the most frequent reason first. Those that still wait are no failure yet."""
    others = {Reason.APPROVED.value, Reason.PENDING.value}
    found = []
    for reason, count in total.reasons.most_common():
        if reason not in others and count:
            explanation = EXPLANATIONS[Reason(reason)]
            share = percent(count, total.finished)
            found.append(Share(reason, explanation.label, count, 0, count, share, explanation))
    return tuple(found)


def show_times(histogram: Counter[int]) -> Times:
    return Times(*(in_seconds(quantile_seconds(histogram, share)) for share in (0.5, 0.95)))


def in_seconds(seconds: float | None) -> str:
    """`2.4 s`, `48 s`, `3 minutes`; a dash for None."""
    if seconds is None:
        return "–"  # noqa: RUF001  # a dash stands for what is not there
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else wait_in_words(round(seconds))


def percent(part: int, whole: int) -> str:
    """`97.4 %`, which does not break into two lines. It is 100 % only of all, and 0 % only of none."""
    if not whole:
        return "–"  # noqa: RUF001
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<\u00a00.1\u00a0%"
    if 99.9 < share < 100:
        return ">\u00a099.9\u00a0%"
    return f"{share:.0f}\u00a0%" if share in (0, 100) else f"{share:.1f}\u00a0%"


def _parts_of(span: Span) -> tuple[Callable[[datetime], datetime], timedelta]:
    if span is Span.HOUR:
        return start_of_slot, SLOT
    return (start_of_hour, HOUR) if span is Span.DAY else (start_of_day, DAY)
