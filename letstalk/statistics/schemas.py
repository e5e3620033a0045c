"""The requests and responses of `/api/stats`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.clock import iso_utc
from letstalk.http.schemas import PlainText, Query, ResponseModel, Timestamp, with_example
from letstalk.statistics.breakdowns import MOST_DAYS, MOST_DAYS_BY_HOUR, By, break_down, read_moment
from letstalk.statistics.histograms import quantile_seconds
from letstalk.statistics.models import Figures
from letstalk.statistics.service import Figured, Now
from letstalk.verifications.outcomes import EXPLANATIONS, Reason

_FUNNEL = {"sent": 1200, "rung": 1170, "answered": 1090, "heard": 1040, "approved": 980}
_TIMES = {"median": 3100, "p95": 6400}


def _ensure_moment(text: str) -> str:
    try:
        read_moment(text)
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith("must ") else "must be a time in ISO 8601, or a day") from None
    return text


Moment = Annotated[PlainText, AfterValidator(_ensure_moment), Field(max_length=40)]


def _by(value: object) -> object:
    return By(value) if isinstance(value, str) and value in set(By) else value


class StatisticsQuery(Query):
    from_: Moment | SkipJsonSchema[None] = Field(
        None, alias="from", description="The start: a time in ISO 8601, or a day. Default: 7 days earlier."
    )
    to: Moment | SkipJsonSchema[None] = Field(None, description="The end. Default: now.")
    by: Annotated[By, BeforeValidator(_by)] = Field(
        By.DAY,
        description=f"What the rows stand for. At most {MOST_DAYS} days, of which hours are kept for "
        f"{MOST_DAYS_BY_HOUR}: longer times, and `day`, are widened to whole days (UTC), others to whole hours.",
    )

    @property
    def start(self) -> datetime | None:
        return None if self.from_ is None else read_moment(self.from_)

    @property
    def end(self) -> datetime | None:
        return None if self.to is None else read_moment(self.to)


class FunnelResponse(ResponseModel):
    """How far verifications came. Each one counts for every step up to the last that it reached."""

    sent: int = Field(ge=0)
    rung: int = Field(ge=0, description="The phone rang.")
    answered: int = Field(ge=0)
    heard: int = Field(ge=0, description="The code was spoken to the end, or entered before.")
    approved: int = Field(ge=0)


class TimesResponse(ResponseModel):
    """Milliseconds, at most 10 % off; null if nothing was measured."""

    median: int | None
    p95: int | None


class TotalResponse(FunnelResponse):
    """All rows together. Test numbers are only in `tests`."""

    pending: int = Field(ge=0, description="Of those that were sent, how many still wait for their code.")
    tests: int = Field(ge=0, description="Verifications of test numbers, which are in no other figure.")
    request_to_ring_ms: TimesResponse
    request_to_approval_ms: TimesResponse


class StatisticsRow(FunnelResponse):
    """One hour, day, country or token."""

    key: str = Field(
        description="The start of the hour or day, the country (ISO 3166; empty if unknown), or the token's id (empty: "
        "none)."
    )


class ReasonResponse(ResponseModel):
    """How many verifications ended in this way."""

    reason: Reason
    label: str = Field(description="The reason in words.")
    verifications: int = Field(ge=0)


class StatisticsResponse(ResponseModel):
    """Figures of your verifications."""

    model_config = with_example(
        {
            "from": "2026-11-20T00:00:00.000Z",
            "to": "2026-11-21T00:00:00.000Z",
            "by": "day",
            "is_complete": True,
            "total": {
                **_FUNNEL,
                "pending": 4,
                "tests": 12,
                "request_to_ring_ms": _TIMES,
                "request_to_approval_ms": {"median": 24800, "p95": 55200},
            },
            "rows": [{"key": "2026-11-20T00:00:00.000Z", **_FUNNEL}],
            "reasons": [{"reason": "no_answer", "label": "No answer", "verifications": 80}],
        }
    )

    from_: Timestamp = Field(alias="from", description="The start, as it was widened.")
    to: Timestamp
    by: By
    is_complete: bool = Field(description="False while older verifications are still being counted.")
    total: TotalResponse
    rows: list[StatisticsRow] = Field(description="Oldest first, or most verifications first. Empty for `reason`.")
    reasons: list[ReasonResponse] = Field(description="What became of all of them, the most frequent first.")


class CallsNow(ResponseModel):
    """Your calls at this moment."""

    live: int = Field(ge=0, description="Your calls that hold a channel.")
    waiting: int = Field(ge=0, description="Your calls that wait for one.")
    longest_wait_seconds: int = Field(ge=0, description="How long the first of them has waited.")
    channels: int = Field(ge=0, description="How many calls this installation makes at once, for all owners.")


class RealtimeResponse(ResponseModel):
    """This moment, and the figures since 0:00 UTC."""

    model_config = with_example(
        {
            "at": "2026-11-20T10:00:00.000Z",
            "calls": {"live": 7, "waiting": 2, "longest_wait_seconds": 1, "channels": 10},
            "today": {
                **_FUNNEL,
                "pending": 4,
                "tests": 12,
                "request_to_ring_ms": _TIMES,
                "request_to_approval_ms": {"median": 24800, "p95": 55200},
            },
        }
    )

    at: Timestamp
    calls: CallsNow
    today: TotalResponse


def render_statistics(figured: Figured, by: By) -> dict[str, Any]:
    """The content of a `StatisticsResponse`."""
    total = figured.total()
    return {
        "from": iso_utc(figured.start),
        "to": iso_utc(figured.end),
        "by": by.value,
        "is_complete": figured.is_complete,
        "total": _render_total(total),
        "rows": [
            {"key": key if isinstance(key, str) else iso_utc(key), **figures.funnel.as_dict()}
            for key, figures in break_down(figured, by)
        ],
        "reasons": [
            {"reason": reason, "label": EXPLANATIONS[Reason(reason)].label, "verifications": count}
            for reason, count in total.reasons.most_common()
        ],
    }


def render_now(now: Now) -> dict[str, Any]:
    """The content of a `RealtimeResponse`."""
    return {
        "at": iso_utc(now.at),
        "calls": {
            "live": now.live,
            "waiting": now.waiting,
            "longest_wait_seconds": int(now.longest_wait_seconds),
            "channels": now.channels,
        },
        "today": _render_total(now.today),
    }


def _render_total(figures: Figures) -> dict[str, Any]:
    return {
        **figures.funnel.as_dict(),
        "pending": figures.pending,
        "tests": figures.tests,
        "request_to_ring_ms": _render_times(figures.to_ring),
        "request_to_approval_ms": _render_times(figures.to_approval),
    }


def _render_times(histogram: Counter[int]) -> dict[str, int | None]:
    shares = {"median": quantile_seconds(histogram, 0.5), "p95": quantile_seconds(histogram, 0.95)}
    return {name: None if seconds is None else round(seconds * 1000) for name, seconds in shares.items()}
