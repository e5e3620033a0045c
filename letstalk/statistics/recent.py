"""Counts of the last hours, which are not stored yet: read from the verifications, five minutes at a time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from letstalk.statistics.models import Figures, Holder, count_by_holder
from letstalk.statistics.repository import list_seen
from letstalk.statistics.rollups import FINAL_AFTER

SLOT = timedelta(minutes=5)
MOST_SLOTS = 60  # that are remembered: five hours
NEWEST_KEPT_FOR = timedelta(seconds=3)
CHANGING_KEPT_FOR = timedelta(seconds=15)  # of the slots before the newest one, whose verifications may still end


class RecentCounts:
    """Remembers for some seconds what it has counted, and what is final for hours: many readers cost what one does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[datetime, tuple[datetime, dict[Holder, Figures]]] = {}

    def count(self, connection: Connection, slot: datetime, now: datetime) -> dict[Holder, Figures]:
        """The figures, by owner and token, of the verifications made within five minutes from `slot`."""
        with self._lock:  # also while it counts: of many who ask at once, one counts
            found = self._counted.get(slot)
            if found is None or _is_stale(slot, found[0], now):
                counts = count_by_holder(list_seen(connection, slot, slot + SLOT, now))
                self._counted.pop(slot, None)
                self._counted[slot] = (now, counts)
                while len(self._counted) > MOST_SLOTS:
                    del self._counted[min(self._counted)]
                return counts
            return found[1]


def start_of_slot(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def _is_stale(slot: datetime, counted_at: datetime, now: datetime) -> bool:
    end = slot + SLOT
    if end <= counted_at - FINAL_AFTER:
        return False
    kept_for = NEWEST_KEPT_FOR if counted_at < end else CHANGING_KEPT_FOR
    return not timedelta() <= now - counted_at < kept_for  # the clock may have been set back
