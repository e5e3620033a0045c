"""The queue of calls: whose turn it is, how many channels are in use, and which worker may act on a call."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from letstalk.calls.models import Call, CallStatus, Spoken
from letstalk.calls.repository import HOLDS_CHANNEL, IS_QUEUED, call_from, calls
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import Statement

# No lease, pause or question is set further ahead. One that is was set before the clock was turned back.
FURTHEST = timedelta(minutes=5)

COUNTED_SECONDS = 0.1  # how long a count of the queue is used
MARGIN = 1000  # more calls than all other processes together could accept in that time
MEAN_KEPT_SECONDS = 1.0

# At most so many calls in one sweep.
_SELECT = sa.select(calls).limit(200)
_SELECT_ID = sa.select(calls.c.call_id).limit(200)
_LIVE_PHONES = sa.select(calls.c.phone).where(HOLDS_CHANNEL)
# One row from the end of an index. PostgreSQL finds one max() or min() like this, but not two of them in one statement.
FIRST_WAITING_TURN = (
    sa.select(calls.c.turn).where(IS_QUEUED).order_by(calls.c.turn).limit(sa.literal_column("1")).scalar_subquery()
)


def own_last_turn(owner_id: sa.BindParameter[str]) -> sa.ScalarSelect[int]:
    return (
        sa.select(calls.c.turn)
        .where(IS_QUEUED, calls.c.owner_id == owner_id)
        .order_by(calls.c.turn.desc())
        .limit(sa.literal_column("1"))
        .scalar_subquery()
    )


_TURNS = Statement(sa.select(own_last_turn(sa.bindparam("owner_id")), FIRST_WAITING_TURN))
_AHEAD = Statement(
    sa.select(
        sa.select(sa.func.count())
        .select_from(
            sa.select(calls.c.turn)
            .where(IS_QUEUED, calls.c.turn <= sa.bindparam("turn"))
            .limit(sa.bindparam("at_most", type_=sa.Integer))
            .subquery()
        )
        .scalar_subquery(),
        sa.select(sa.func.count()).select_from(calls).where(HOLDS_CHANNEL).scalar_subquery(),
    )
)
_LIVE = Statement(sa.select(sa.func.count()).select_from(calls).where(HOLDS_CHANNEL))


def _is_due(column: sa.Column[datetime], now: Any = None, furthest: Any = None) -> sa.ColumnElement[bool]:
    """Whether the time in `column` has come. Without arguments it is for a `Statement` with `_due_at(now)`."""
    if now is None:
        now, furthest = sa.bindparam("now", type_=UtcDateTime), sa.bindparam("furthest", type_=UtcDateTime)
    return sa.or_(column <= now, column > (now + FURTHEST if furthest is None else furthest))


def _due_at(now: datetime) -> dict[str, Any]:
    return {"now": now, "furthest": now + FURTHEST}


_CLAIMABLE = Statement(
    sa.select(calls.c.call_id, calls.c.phone)
    .where(IS_QUEUED, _is_due(calls.c.not_before), calls.c.phone.not_in(_LIVE_PHONES))
    .order_by(calls.c.turn, calls.c.created_at)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
# The provider's response to its dial is not known.
_IS_DIALING = sa.and_(calls.c.status == CallStatus.DIALING.value, calls.c.provider_call_id.is_(None))
_IS_BEING_DIALED = sa.and_(calls.c.call_id == sa.bindparam("id"), _IS_DIALING)
_HAS_COMMAND = sa.and_(calls.c.command.is_not(None), calls.c.provider_call_id.is_not(None), calls.c.ended_at.is_(None))
_UNTIL = sa.bindparam("until", type_=UtcDateTime)
_LEASE_DIAL = Statement(
    sa.update(calls)
    .where(_IS_BEING_DIALED, _is_due(calls.c.leased_until))
    .values(leased_until=_UNTIL, dial_attempts=calls.c.dial_attempts + 1)
)
_LEASE_COMMAND = Statement(
    sa.update(calls)
    .where(
        calls.c.call_id == sa.bindparam("id"),
        calls.c.command.is_not(None),
        calls.c.provider_call_id.is_not(None),
        calls.c.ended_at.is_(None),
        _is_due(calls.c.command_leased_until),
    )
    .values(
        command_leased_until=sa.bindparam("until", type_=UtcDateTime), command_attempts=calls.c.command_attempts + 1
    )
)
_NOTE_PLACED = Statement(
    sa.update(calls)
    .where(_IS_BEING_DIALED, calls.c.command.is_(None), calls.c.speak_before > sa.bindparam("now", type_=UtcDateTime))
    .values(
        status=CallStatus.RINGING.value,
        provider_call_id=sa.bindparam("provider_id", type_=calls.c.provider_call_id.type),
        is_uncertain=False,
        reason=None,
        rang_at=sa.func.coalesce(calls.c.rang_at, sa.bindparam("now", type_=UtcDateTime)),
        ask_provider_at=sa.bindparam("ask_at", type_=UtcDateTime),
    )
    .returning(calls.c.owner_id, calls.c.subject_id)
)


def find_turns(connection: sa.Connection, owner_id: str) -> tuple[int | None, int | None]:
    """The last turn of the waiting calls of `owner_id`, and the first of all waiting calls; None without any."""
    own, first = _TURNS.one(connection, {"owner_id": owner_id})
    return own, first


def count_ahead(connection: sa.Connection, turn: int, at_most: int) -> int:
    """How many calls, waiting or live, come before one with `turn`. Counts `at_most` waiting ones."""
    waiting, live = _AHEAD.one(connection, {"turn": turn, "at_most": at_most})
    return int(waiting) + int(live)


def count_waiting(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(calls).where(IS_QUEUED)).scalar_one())


def find_longest_waiting(connection: sa.Connection) -> datetime | None:
    """When the oldest waiting call was accepted; None when no call waits."""
    statement = sa.select(sa.func.min(calls.c.created_at)).where(IS_QUEUED)
    waits_since: datetime | None = connection.execute(statement).scalar_one()
    return waits_since


def count_live(connection: sa.Connection) -> int:
    """How many calls hold a channel."""
    return int(_LIVE.one(connection, {})[0])


def mean_duration_seconds(connection: sa.Connection, latest: int = 50) -> float | None:
    """How long the last finished calls held their channels on average; None when no call has finished."""
    durations = (
        sa.select(calls.c.duration_seconds)
        # There is an index of these: after an outage, the last calls to end may be thousands that were never placed.
        .where(calls.c.duration_seconds.is_not(None))
        .order_by(calls.c.ended_at.desc())
        .limit(latest)
        .subquery()
    )
    mean = connection.execute(sa.select(sa.func.avg(durations.c.duration_seconds))).scalar_one()
    return None if mean is None else float(mean)


def list_claimable(connection: sa.Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """(call id, phone) of the waiting calls that may be placed now, in turn. None is to a phone of a live call."""
    return [(call_id, phone) for call_id, phone in _CLAIMABLE.all(connection, _due_at(now) | {"at_most": limit})]


def lease_dial(connection: sa.Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to dial until `until`. False when another worker has it, or the call is no longer being dialed."""
    return _LEASE_DIAL.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def note_placed(
    connection: sa.Connection, call_id: str, provider_call_id: str, now: datetime, ask_provider_at: datetime
) -> tuple[str, str] | None:
    """Note that a dialed call rings. Returns its owner and its `subject_id`.

    Returns None and changes nothing when an event or a command came before the response, or it is too late to speak.
    """
    values = {"id": call_id, "provider_id": provider_call_id, "now": now, "ask_at": ask_provider_at}
    row = _NOTE_PLACED.first(connection, values)
    if row is None:
        return None
    owner_id, subject_id = row
    return owner_id, subject_id


def lease_command(connection: sa.Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to carry out the call's command. False when there is none, or another worker has it."""
    return _LEASE_COMMAND.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def list_undialed(connection: sa.Connection, now: datetime) -> list[str]:
    """Ids of claimed calls that the provider has not confirmed and no worker is dialing."""
    statement = _SELECT_ID.where(HOLDS_CHANNEL, _IS_DIALING, _is_due(calls.c.leased_until, now))
    return list(connection.execute(statement).scalars())


def list_commanded(connection: sa.Connection, now: datetime) -> list[str]:
    """Ids of calls with a command that no worker is carrying out."""
    statement = _SELECT_ID.where(_HAS_COMMAND, _is_due(calls.c.command_leased_until, now))
    # The order of the index of commands. Without it SQLite reads the index of the provider's ids: every call.
    return list(connection.execute(statement.order_by(calls.c.command_leased_until)).scalars())


def list_late(connection: sa.Connection, latest: datetime) -> list[str]:
    """Ids of waiting calls that must speak before `latest`, or were withdrawn while they were being dialed."""
    is_late = sa.or_(calls.c.speak_before < latest, calls.c.end_status.is_not(None))
    return list(connection.execute(_SELECT_ID.where(IS_QUEUED, is_late)).scalars())


def list_overdue(connection: sa.Connection, now: datetime) -> list[Call]:
    """Live calls of which no event has come in time, the most overdue first."""
    statement = _SELECT.where(HOLDS_CHANNEL, _is_due(calls.c.ask_provider_at, now)).order_by(calls.c.ask_provider_at)
    return [call_from(row) for row in connection.execute(statement)]


def take_question(connection: sa.Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to ask the provider about an overdue call until `until`. False when another worker has it."""
    statement = (
        sa.update(calls)
        .where(calls.c.call_id == call_id, HOLDS_CHANNEL, _is_due(calls.c.ask_provider_at, now))
        .values(ask_provider_at=until)
    )
    return connection.execute(statement).rowcount == 1


def list_undecided(connection: sa.Connection, answered_before: datetime) -> list[Call]:
    """Calls answered before that time in which nothing was said, because detection has not decided who answered."""
    statement = _SELECT.where(
        HOLDS_CHANNEL,
        calls.c.status == CallStatus.ANSWERED.value,
        calls.c.answered_at <= answered_before,
        calls.c.spoken == Spoken.NOTHING.value,
        calls.c.command.is_(None),
    )
    return [call_from(row) for row in connection.execute(statement)]


class QueueLength:
    """Counts exactly near the limit, and uses an older count while the queue is far from full.

    A queue may hold tens of thousands of calls. To count them takes a millisecond, more than the rest of a request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._estimate = 0

    def count(self, connection: sa.Connection, turn: int, most: int) -> int:
        """How many calls, waiting or live, come before `turn`. Exact near `most`; above it, at least `most` + 1.

        While the last count, plus what this process has asked for since, is at least `MARGIN` below `most`, that
        estimate is returned.
        """
        with self._lock:
            is_fresh = time.monotonic() - self._counted_at < COUNTED_SECONDS
            if is_fresh and self._estimate + MARGIN <= most:
                self._estimate += 1
                return self._estimate
        counted = count_ahead(connection, turn, at_most=most + 2)
        with self._lock:
            self._counted_at = time.monotonic()
            self._estimate = counted
        return counted


class MeanCall:
    """How long the last calls held their channels."""

    def __init__(self, *, assumed_seconds: float) -> None:
        """`assumed_seconds` is used until a call has finished."""
        self._assumed_seconds = assumed_seconds
        self._lock = threading.Lock()
        self._measured: tuple[float, float] | None = None

    def measure_seconds(self, connection: sa.Connection) -> float:
        """The mean over the last finished calls, at most `MEAN_KEPT_SECONDS` old."""
        with self._lock:
            now = time.monotonic()
            if self._measured is None or now - self._measured[0] > MEAN_KEPT_SECONDS:
                mean = mean_duration_seconds(connection)
                self._measured = (now, self._assumed_seconds if mean is None else mean)
            return self._measured[1]
