"""Moments as the API writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def iso_utc(moment: datetime) -> str:
    """`moment` as ISO 8601 in UTC with `Z`, to the millisecond. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the time line")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
