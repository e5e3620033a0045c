"""The queue of calls: whose turn it is, how many channels are in use, and which worker may act on a call."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)

from letstalk.calls.models import Call, CallStatus, Spoken
from letstalk.calls.repository import HOLDS_CHANNEL, IS_QUEUED, call_from, calls
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import Statement

# No lease, pause or question is set further ahead. One that is was set before the clock was turned back.
FURTHEST = timedelta(minutes=5)

COUNTED_SECONDS = 0.1  # how long a count of the queue is used
MARGIN = 1000  # more calls than all other processes together could accept in that time
MEAN_KEPT_SECONDS = 1.0

_SELECT = select(calls)
_LIVE_PHONES = select(calls.c.phone).where(HOLDS_CHANNEL)
# One row from the end of an index. PostgreSQL finds one max() or min() like this, but not two of them in one statement.
FIRST_WAITING_TURN = (
    select(calls.c.turn).where(IS_QUEUED).order_by(calls.c.turn).limit(literal_column("1")).scalar_subquery()
)


def own_last_turn(user_id: BindParameter[str]) -> ScalarSelect[int]:
    return (
        select(calls.c.turn)
        .where(IS_QUEUED, calls.c.user_id == user_id)
        .order_by(calls.c.turn.desc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )


_TURNS = Statement(select(own_last_turn(bindparam("user_id")), FIRST_WAITING_TURN))
_AHEAD = Statement(
    select(
        select(func.count())
        .select_from(
            select(calls.c.turn)
            .where(IS_QUEUED, calls.c.turn <= bindparam("turn"))
            .limit(bindparam("at_most", type_=Integer))
            .subquery()
        )
        .scalar_subquery(),
        select(func.count()).select_from(calls).where(HOLDS_CHANNEL).scalar_subquery(),
    )
)
_LIVE = Statement(select(func.count()).select_from(calls).where(HOLDS_CHANNEL))


def _is_due(column: Column[datetime], now: Any = None, furthest: Any = None) -> ColumnElement[bool]:
    """Whether the time in `column` has come. Without arguments it is for a `Statement` with `_due_at(now)`."""
    if now is None:
        now, furthest = bindparam("now", type_=UtcDateTime), bindparam("furthest", type_=UtcDateTime)
    return or_(column <= now, column > (now + FURTHEST if furthest is None else furthest))


def _due_at(now: datetime) -> dict[str, Any]:
    return {"now": now, "furthest": now + FURTHEST}


_CLAIMABLE = Statement(
    select(calls.c.call_id, calls.c.phone)
    .where(IS_QUEUED, _is_due(calls.c.not_before), calls.c.phone.not_in(_LIVE_PHONES))
    .order_by(calls.c.turn, calls.c.created_at)
    .limit(bindparam("at_most", type_=Integer))
)
# The provider's response to its dial is not known.
_IS_BEING_DIALED = and_(
    calls.c.call_id == bindparam("id"), calls.c.status == CallStatus.DIALING.value, calls.c.provider_call_id.is_(None)
)
_LEASE_DIAL = Statement(
    update(calls)
    .where(_IS_BEING_DIALED, _is_due(calls.c.leased_until))
    .values(leased_until=bindparam("until", type_=UtcDateTime), dial_attempts=calls.c.dial_attempts + 1)
)
_LEASE_COMMAND = Statement(
    update(calls)
    .where(
        calls.c.call_id == bindparam("id"),
        calls.c.command.is_not(None),
        calls.c.provider_call_id.is_not(None),
        calls.c.ended_at.is_(None),
        _is_due(calls.c.command_leased_until),
    )
    .values(command_leased_until=bindparam("until", type_=UtcDateTime), command_attempts=calls.c.command_attempts + 1)
)
_NOTE_PLACED = Statement(
    update(calls)
    .where(_IS_BEING_DIALED, calls.c.command.is_(None), calls.c.speak_before > bindparam("now", type_=UtcDateTime))
    .values(
        status=CallStatus.RINGING.value,
        provider_call_id=bindparam("provider_id", type_=calls.c.provider_call_id.type),
        is_uncertain=False,
        reason=None,
        ask_provider_at=bindparam("ask_at", type_=UtcDateTime),
    )
    .returning(calls.c.subject_id)
)


def find_turns(connection: Connection, user_id: str) -> tuple[int | None, int | None]:
    """The last turn of the waiting calls of `user_id`, and the first of all waiting calls; None without any."""
    own, first = _TURNS.one(connection, {"user_id": user_id})
    return own, first


def count_ahead(connection: Connection, turn: int, at_most: int) -> int:
    """How many calls, waiting or live, come before one with `turn`. Counts `at_most` waiting ones."""
    waiting, live = _AHEAD.one(connection, {"turn": turn, "at_most": at_most})
    return int(waiting) + int(live)


def count_waiting(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(calls).where(IS_QUEUED)).scalar_one())


def find_longest_waiting(connection: Connection) -> datetime | None:
    """When the oldest waiting call was accepted; None when no call waits."""
    statement = select(func.min(calls.c.created_at)).where(IS_QUEUED)
    waits_since: datetime | None = connection.execute(statement).scalar_one()
    return waits_since


def count_live(connection: Connection) -> int:
    """How many calls hold a channel."""
    return int(_LIVE.one(connection, {})[0])


def mean_duration_seconds(connection: Connection, latest: int = 50) -> float | None:
    """How long the last finished calls held their channels on average; None when no call has finished."""
    durations = (
        select(calls.c.duration_seconds)
        # There is an index of these: after an outage, the last calls to end may be thousands that were never placed.
        .where(calls.c.duration_seconds.is_not(None))
        .order_by(calls.c.ended_at.desc())
        .limit(latest)
        .subquery()
    )
    mean = connection.execute(select(func.avg(durations.c.duration_seconds))).scalar_one()
    return None if mean is None else float(mean)


def list_claimable(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """(call id, phone) of the waiting calls that may be placed now, in turn. None is to a phone of a live call."""
    return [(call_id, phone) for call_id, phone in _CLAIMABLE.all(connection, _due_at(now) | {"at_most": limit})]


def lease_dial(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to dial until `until`. False when another worker has it, or the call is no longer being dialed."""
    return _LEASE_DIAL.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def note_placed(
    connection: Connection, call_id: str, provider_call_id: str, now: datetime, ask_provider_at: datetime
) -> str | None:
    """Note that a dialed call rings. Returns its `subject_id`.

    Returns None and changes nothing when an event or a command came before the response, or it is too late to speak.
    """
    values = {"id": call_id, "provider_id": provider_call_id, "now": now, "ask_at": ask_provider_at}
    row = _NOTE_PLACED.first(connection, values)
    return None if row is None else str(row[0])


def lease_command(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to carry out the call's command. False when there is none, or another worker has it."""
    return _LEASE_COMMAND.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def list_undialed(connection: Connection, now: datetime, limit: int = 200) -> list[str]:
    """Ids of claimed calls that the provider has not confirmed and no worker is dialing."""
    statement = (
        select(calls.c.call_id)
        .where(
            HOLDS_CHANNEL,
            calls.c.status == CallStatus.DIALING.value,
            calls.c.provider_call_id.is_(None),
            _is_due(calls.c.leased_until, now),
        )
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_commanded(connection: Connection, now: datetime, limit: int = 200) -> list[str]:
    """Ids of calls with a command that no worker is carrying out."""
    statement = (
        select(calls.c.call_id)
        .where(
            calls.c.command.is_not(None),
            _is_due(calls.c.command_leased_until, now),
            calls.c.provider_call_id.is_not(None),
            calls.c.ended_at.is_(None),
        )
        # The order of the index of commands. Without it SQLite reads the index of the provider's ids: every call.
        .order_by(calls.c.command_leased_until)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_late(connection: Connection, latest: datetime, limit: int = 200) -> list[str]:
    """Ids of waiting calls that must speak before `latest`, or were withdrawn while they were being dialed."""
    statement = (
        select(calls.c.call_id)
        .where(IS_QUEUED, or_(calls.c.speak_before < latest, calls.c.end_status.is_not(None)))
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_overdue(connection: Connection, now: datetime, limit: int = 200) -> list[Call]:
    """Live calls of which no event has come in time, the most overdue first."""
    statement = (
        _SELECT.where(HOLDS_CHANNEL, _is_due(calls.c.ask_provider_at, now))
        .order_by(calls.c.ask_provider_at)
        .limit(limit)
    )
    return [call_from(row) for row in connection.execute(statement)]


def take_question(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to ask the provider about an overdue call until `until`. False when another worker has it."""
    statement = (
        update(calls)
        .where(calls.c.call_id == call_id, HOLDS_CHANNEL, _is_due(calls.c.ask_provider_at, now))
        .values(ask_provider_at=until)
    )
    return connection.execute(statement).rowcount == 1


def list_undecided(connection: Connection, answered_before: datetime, limit: int = 200) -> list[Call]:
    """Calls answered before that time in which nothing was said, because detection has not decided who answered."""
    statement = _SELECT.where(
        HOLDS_CHANNEL,
        calls.c.status == CallStatus.ANSWERED.value,
        calls.c.answered_at <= answered_before,
        calls.c.spoken == Spoken.NOTHING.value,
        calls.c.command.is_(None),
    ).limit(limit)
    return [call_from(row) for row in connection.execute(statement)]


class QueueLength:
    """Counts exactly near the limit, and uses an older count while the queue is far from full.

    A queue may hold tens of thousands of calls. To count them takes a millisecond, more than the rest of a request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._estimate = 0

    def count(self, connection: Connection, turn: int, most: int) -> int:
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

    def measure_seconds(self, connection: Connection) -> float:
        """The mean over the last finished calls, at most `MEAN_KEPT_SECONDS` old."""
        with self._lock:
            now = time.monotonic()
            if self._measured is None or now - self._measured[0] > MEAN_KEPT_SECONDS:
                mean = mean_duration_seconds(connection)
                self._measured = (now, self._assumed_seconds if mean is None else mean)
            return self._measured[1]
