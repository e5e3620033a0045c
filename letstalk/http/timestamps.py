"""Moments and spans as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from letstalk.core.clock import utc_now

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))


def day_and_time(moment: datetime) -> str:
    """`20 Nov 2026, 17:14 UTC`"""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def exact_time(moment: datetime) -> str:
    """`20 Nov 2026, 17:14:05 UTC`"""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M:%S} UTC"


def in_words(seconds: int) -> str:
    """A span in its largest unit, rounded down: `1 hour`, `7 days`; `0 minutes` under a minute."""
    for size, unit in _UNITS:
        count = seconds // size
        if count or unit == "minute":
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    raise AssertionError("the last unit takes all that is left")


def wait_in_words(seconds: int) -> str:
    """A span that is not over too early: `1 second`, `90 seconds`, `5 minutes`, `3 hours`, each rounded up."""
    size, unit = (1, "second") if seconds < 120 else (60, "minute") if seconds < 7200 else (3600, "hour")
    count = -(-seconds // size)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def time_ago(moment: datetime, now: datetime | None = None) -> str:
    """`just now`, `5 minutes ago`, `in 2 days`; the date alone when that is over a month away."""
    seconds = int(((now or utc_now()) - moment).total_seconds())
    if abs(seconds) < 60:
        return "just now" if seconds >= 0 else "in a moment"
    if abs(seconds) > 30 * 86400:
        return f"{moment.day} {moment:%b %Y}"
    return f"{in_words(seconds)} ago" if seconds > 0 else f"in {in_words(-seconds)}"
