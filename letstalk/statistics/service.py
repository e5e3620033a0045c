"""Figures of a time for a selection of owners and tokens, and of this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.statistics import repository
from letstalk.statistics.models import DAY, HOUR, Figures, Selection, add_up, start_of_day, start_of_hour
from letstalk.statistics.recent import SLOT, RecentCounts, start_of_slot
from letstalk.statistics.repository import Period, RolledUp, Row

# Of what is not stored, at most so much is counted for a reader: more, when the worker that stores it has been away.
MOST_UNSTORED = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Figured:
    """The figures from `start` to before `end`, in `parts` of some minutes, hours or days.

    `is_complete` is False while older verifications are still being counted, or the worker is far behind.
    """

    start: datetime
    end: datetime
    parts: tuple[Row, ...]
    is_complete: bool

    def total(self) -> Figures:
        return add_up(part.figures for part in self.parts)

    def by_start(self, start_of: Callable[[datetime], datetime], step: timedelta) -> list[tuple[datetime, Figures]]:
        """The figures of each `step`, oldest first, also of those in which nothing was sent."""
        found = {self.start + number * step: Figures() for number in range((self.end - self.start) // step)}
        for part in self.parts:
            found[start_of(part.starts_at)].add(part.figures)
        return list(found.items())

    def by_token(self) -> dict[str, Figures]:
        """The figures of each token id, if they were read so; under an empty one those sent without a token."""
        found: dict[str, Figures] = {}
        for part in self.parts:
            found.setdefault(part.holder[1], Figures()).add(part.figures)
        return found


@dataclass(frozen=True, slots=True)
class Now:
    """This moment: calls that are live, of how many channels, and that wait; and the figures of this day (UTC)."""

    at: datetime
    live: int
    waiting: int
    longest_wait_seconds: float
    channels: int
    today: Figures


class StatisticsService:
    def __init__(self, db: Database, clock: Clock, *, channels: int) -> None:
        self._db = db
        self._clock = clock
        self._channels = channels
        self._recent = RecentCounts()

    def read(
        self, selection: Selection, start: datetime, end: datetime, period: Period, *, is_by_token: bool = False
    ) -> Figured:
        """The figures from `start` to `end`, which are the starts of hours (of days, if `period` is that).

        `is_by_token` keeps those of each token apart, which takes longer where there are many.
        Older hours than 35 days are not kept one by one: where `period` is an hour, `start` must be younger.
        """
        now = self._clock()
        end = min(end, start_of_hour(now) + HOUR if period is Period.HOUR else start_of_day(now) + DAY)
        with self._db.read() as connection:
            rolled_up = repository.find_rolled_up(connection)
            parts = tuple(
                self._read_parts(connection, selection, start, end, period, rolled_up, now, is_by_token=is_by_token)
            )
            is_complete = _is_complete(connection, rolled_up, start, now)
        return Figured(start, max(start, end), parts, is_complete)

    def read_last_hour(self, selection: Selection) -> Figured:
        """The figures of the last hour, in parts of five minutes."""
        now = self._clock()
        end = start_of_slot(now) + SLOT
        with self._db.read() as connection:
            parts = tuple(self._count_recent(connection, selection, end - HOUR, end, now))
        return Figured(end - HOUR, end, parts, is_complete=True)

    def has_any(self, selection: Selection) -> bool:
        """Whether these owners have any verification now, of whatever age."""
        with self._db.read() as connection:
            return repository.has_any(connection, selection.owner_ids)

    def read_now(self, selection: Selection) -> Now:
        """Of this moment. The calls are those of the selected owners, whatever their tokens."""
        now = self._clock()
        with self._db.read() as connection:
            queue = repository.read_queue(connection, selection.owner_ids)
        today = self.read(selection, start_of_day(now), start_of_day(now) + DAY, Period.HOUR)
        waits_since = queue.waits_since or now
        wait_seconds = max(0.0, (now - waits_since).total_seconds())
        return Now(now, queue.live, queue.waiting, wait_seconds, self._channels, today.total())

    def _read_parts(
        self,
        connection: Connection,
        selection: Selection,
        start: datetime,
        end: datetime,
        period: Period,
        rolled_up: RolledUp | None,
        now: datetime,
        *,
        is_by_token: bool,
    ) -> Iterator[Row]:
        counted_to = start if rolled_up is None else min(max(start, rolled_up.end), end)
        if rolled_up is not None:
            for one, first, last in _segments(rolled_up, start, counted_to, period):
                yield from repository.list_rows(connection, one, selection, first, last, is_by_token=is_by_token)
        oldest = start_of_slot(now - MOST_UNSTORED)
        yield from self._count_recent(connection, selection, max(counted_to, oldest), end, now)

    def _count_recent(
        self, connection: Connection, selection: Selection, start: datetime, end: datetime, now: datetime
    ) -> Iterator[Row]:
        slot = start
        while slot < end and slot <= now:
            for holder, figures in self._recent.count(connection, slot, now).items():
                if selection.includes(holder):
                    yield Row(slot, holder, figures)
            slot += SLOT


def _segments(
    rolled_up: RolledUp, start: datetime, end: datetime, period: Period
) -> Iterable[tuple[Period, datetime, datetime]]:
    """What to read of the stored rows between two hours: whole days where these are stored, else their hours."""
    if period is Period.HOUR or rolled_up.first_day is None:
        yield Period.HOUR, start, end
        return
    # Days are stored without a gap, from the first to the last that is over.
    first = max(start_of_day(start + DAY - timedelta(microseconds=1)), rolled_up.first_day)
    last = max(first, start_of_day(end))
    yield Period.HOUR, start, min(first, end)
    yield Period.DAY, first, last
    yield Period.HOUR, last, end


def _is_complete(connection: Connection, rolled_up: RolledUp | None, start: datetime, now: datetime) -> bool:
    """Whether all verifications since `start` are counted."""
    if rolled_up is not None and now - rolled_up.end > MOST_UNSTORED:
        return False
    if rolled_up is not None and rolled_up.start <= start:
        return True
    first = repository.find_first(connection)
    counted_from = now - MOST_UNSTORED if rolled_up is None else rolled_up.start
    return first is None or first >= counted_from
