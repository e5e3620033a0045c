"""Counts each hour of verifications once, when nothing in it can change any more, and each day from its hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches
from letstalk.observability.logs import get_logger
from letstalk.statistics import repository
from letstalk.statistics.models import DAY, HOUR, Figures, Holder, add_up, count_by_holder, start_of_day, start_of_hour
from letstalk.statistics.repository import Period, RolledUp

log = get_logger(__name__)

# A verification lives for ten minutes at most, and sweeps then write what became of it.
FINAL_AFTER = timedelta(minutes=20)
# In one run: the thread also beats the worker's heart.
MOST_SECONDS = 0.5
HOURS_KEPT_FOR = timedelta(days=35)
DAYS_KEPT_FOR = timedelta(days=401)


class RollupService:
    def __init__(
        self, db: Database, clock: Clock, *, retention_days: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Days are kept as long as verifications are (`retention_days`), and for 401 days at least."""
        self._db = db
        self._clock = clock
        self._kept_for = max(DAYS_KEPT_FOR, timedelta(days=retention_days))
        self._monotonic = monotonic

    def roll_up(self) -> int:
        """Count the hours that are final, for half a second at most. Returns how many were counted.

        1. The newest hours come first, so that there is never a gap before them.
        2. Then the older ones, from new to old, down to the first verification: after an update there may be months.
        3. An hour is read without holding up anybody who writes, and stored in one transaction, with the day that it
           completes. Of two workers that count the same hour, one stores it.
        """
        give_up_at = self._monotonic() + MOST_SECONDS
        count = 0
        while self._monotonic() < give_up_at:
            with self._db.read() as connection:
                rolled_up = repository.find_rolled_up(connection)
                hour = self._next_hour(connection, rolled_up)
                if hour is None:
                    break
                figures = self._count_hour(connection, hour)
                day = self._completed_day(rolled_up, hour)
                of_day = None if day is None else _add_hours(connection, day, hour, figures)
            with self._db.write() as connection:
                if not repository.insert_figures(connection, Period.HOUR, hour, figures):
                    continue
                if day is not None and of_day is not None:
                    repository.insert_figures(connection, Period.DAY, day, of_day)
            count += 1
        if count:
            log.info("statistics_rolled_up", hours=count)
        return count

    def forget_old(self) -> int:
        """Delete hours whose day is stored and that are 35 days old, and days that are too old. Returns how many."""
        now = self._clock()
        with self._db.read() as connection:
            rolled_up = repository.find_rolled_up(connection)
        if rolled_up is None or rolled_up.first_day is None:
            return 0
        oldest_day = start_of_day(now - self._kept_for)
        # The last day stays whatever its age: it says how far all was counted.
        before = min(start_of_day(now - HOURS_KEPT_FOR), start_of_day(rolled_up.end - HOUR))
        count = 0
        for period, end in ((Period.HOUR, before), (Period.DAY, min(oldest_day, before))):
            delete = partial(repository.delete_rows, period=period, start=rolled_up.first_day, before=end)
            count += delete_in_batches(self._db, delete)
        return count

    def _next_hour(self, connection: Connection, rolled_up: RolledUp | None) -> datetime | None:
        """The start of the hour to count next; None when all are."""
        now = self._clock()
        final_end = start_of_hour(now - FINAL_AFTER)
        if rolled_up is None:
            return final_end - HOUR
        if rolled_up.end < final_end:
            return rolled_up.end
        first = repository.find_first(connection) or rolled_up.start
        oldest = max(start_of_day(min(first, rolled_up.start)), start_of_day(now - self._kept_for))
        return rolled_up.start - HOUR if rolled_up.start > oldest else None

    def _count_hour(self, connection: Connection, hour: datetime) -> dict[Holder, Figures]:
        return count_by_holder(repository.list_seen(connection, hour, hour + HOUR, self._clock()))

    def _completed_day(self, rolled_up: RolledUp | None, hour: datetime) -> datetime | None:
        """The day of which `hour` is the last hour to be counted."""
        if rolled_up is None:
            return None
        day = start_of_day(hour)
        start, end = min(rolled_up.start, hour), max(rolled_up.end, hour + HOUR)
        return day if start <= day and day + DAY <= end else None


def _add_hours(
    connection: Connection, day: datetime, last: datetime, figures: dict[Holder, Figures]
) -> dict[Holder, Figures]:
    """The figures of a day: those of its stored hours, and `figures`, of the hour `last`, which is not stored yet."""
    parts: dict[Holder, list[Figures]] = {holder: [one] for holder, one in figures.items()}
    for row in repository.list_all_rows(connection, Period.HOUR, day, day + DAY):
        if row.starts_at != last:
            parts.setdefault(row.holder, []).append(row.figures)
    return {holder: add_up(found) for holder, found in parts.items()}
