"""Which time is asked for, and its figures by hour, day, country, token or reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from letstalk.core.errors import InvalidRequest
from letstalk.statistics.models import DAY, HOUR, Figures, end_of_day, end_of_hour, start_of_day, start_of_hour
from letstalk.statistics.repository import Period
from letstalk.statistics.service import Figured

MOST_DAYS = 400
MOST_DAYS_BY_HOUR = 31
DEFAULT_DAYS = 7


class By(StrEnum):
    HOUR = "hour"
    DAY = "day"
    COUNTRY = "country"
    TOKEN = "token"
    REASON = "reason"


@dataclass(frozen=True, slots=True)
class Window:
    """A time to read figures of: from the start of an hour or a day to that of another."""

    start: datetime
    end: datetime
    period: Period


def choose_window(start: datetime | None, end: datetime | None, by: By, now: datetime) -> Window:
    """The hours that contain the time from `start` to `end`, or the days (UTC): by day, and of what is older than 31
    days. Without `end` it ends now, and without `start` seven days before its end.

    Raises InvalidRequest if it ends before it starts, or is longer than 400 days (31 by hour), or too long ago.
    """
    end = now if end is None else end
    start = end - timedelta(days=DEFAULT_DAYS) if start is None else start
    if start >= end:
        raise InvalidRequest.in_field("from", "from must be before to.")
    if end - start > timedelta(days=MOST_DAYS):
        raise InvalidRequest.in_field("from", f"from must be at most {MOST_DAYS} days before to.")
    is_old = start < now - timedelta(days=MOST_DAYS_BY_HOUR)
    if by is By.HOUR and is_old:
        raise InvalidRequest.in_field("from", f"With by=hour, from must be within the last {MOST_DAYS_BY_HOUR} days.")
    if by is By.DAY or is_old:
        return Window(start_of_day(start), end_of_day(end), Period.DAY)
    return Window(start_of_hour(start), end_of_hour(end), Period.HOUR)


def read_moment(text: str) -> datetime:
    """An ISO 8601 timestamp with its zone, or a day (`2026-11-20`), which starts at 0:00 UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if len(text) == len("2026-11-20"):
        moment = moment.replace(tzinfo=UTC)
    if moment.tzinfo is None:
        raise ValueError("must have a time zone, such as Z")
    if not 2000 <= moment.year < 2200:
        raise ValueError("must be between the years 2000 and 2200")
    return moment.astimezone(UTC)


def break_down(figured: Figured, by: By) -> Iterator[tuple[str | datetime, Figures]]:
    """The figures of each hour, day or token. Of countries, only the funnel; by reason there are only counts, which the
    total has.
    """
    if by is By.HOUR:
        yield from figured.by_start(start_of_hour, HOUR)
    elif by is By.DAY:
        yield from figured.by_start(start_of_day, DAY)
    elif by is By.TOKEN:
        yield from sorted(figured.by_token().items(), key=_most_sent_first)
    elif by is By.COUNTRY:
        of_countries = figured.total().countries
        countries = {country: Figures(funnel=funnel) for country, funnel in of_countries.items()}
        yield from sorted(countries.items(), key=_most_sent_first)


def _most_sent_first(item: tuple[str, Figures]) -> tuple[int, str]:
    return -item[1].funnel.sent, item[0]
