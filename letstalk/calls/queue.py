"""The queue of calls: whose turn it is, which channels are taken, and who may act on a call right now."""

from __future__ import annotations

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
from letstalk.verifications.repository import IS_PENDING, PENDING, verifications

# No lease, pause or question is set further ahead: one that is was set before the clock was turned back.
FURTHEST = timedelta(minutes=5)

_SELECT = select(calls)
_LIVE_PHONES = select(calls.c.phone).where(HOLDS_CHANNEL)
# Each end of an index, which max() and min() would look for as well, but not for two of them at once on PostgreSQL.
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
    """Whether the time in `column` has come. Without arguments, for a `Statement` that is given `_due_at(now)`."""
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
# No answer to its dial is known.
_IS_BEING_DIALED = and_(
    calls.c.call_id == bindparam("id"),
    calls.c.status == CallStatus.DIALING.value,
    calls.c.provider_call_id.is_(None),
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
    .where(
        _IS_BEING_DIALED,
        calls.c.command.is_(None),
        select(literal_column("1"))
        .select_from(verifications)
        .where(
            verifications.c.verification_id == calls.c.verification_id,
            IS_PENDING,
            verifications.c.expires_at > bindparam("now", type_=UtcDateTime),
        )
        .exists(),
    )
    .values(
        status=CallStatus.RINGING.value,
        provider_call_id=bindparam("provider_id", type_=calls.c.provider_call_id.type),
        is_uncertain=False,
        reason=None,
        ask_provider_at=bindparam("ask_at", type_=UtcDateTime),
    )
    .returning(calls.c.verification_id)
)


def find_turns(connection: Connection, user_id: str) -> tuple[int | None, int | None]:
    """The last turn that `user_id` has waiting, and the first that anyone has."""
    own, first = _TURNS.one(connection, {"user_id": user_id})
    return own, first


def count_ahead(connection: Connection, turn: int, at_most: int) -> int:
    """How many calls, waiting or live, come before one with `turn`. No more than `at_most` waiting ones are counted."""
    waiting, live = _AHEAD.one(connection, {"turn": turn, "at_most": at_most})
    return int(waiting) + int(live)


def count_waiting(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(calls).where(IS_QUEUED)).scalar_one())


def find_longest_waiting(connection: Connection) -> datetime | None:
    """Since when the call waits that waits longest; None when none does."""
    statement = select(func.min(calls.c.created_at)).where(IS_QUEUED)
    waits_since: datetime | None = connection.execute(statement).scalar_one()
    return waits_since


def count_live(connection: Connection) -> int:
    """How many calls hold a channel."""
    return int(_LIVE.one(connection, {})[0])


def mean_duration_seconds(connection: Connection, latest: int = 50) -> float | None:
    """How long the last finished calls held their channels, on average; None before any has finished."""
    durations = (
        select(calls.c.duration_seconds)
        # It has an index of its own: after an outage thousands that were never placed may have ended last.
        .where(calls.c.duration_seconds.is_not(None))
        .order_by(calls.c.ended_at.desc())
        .limit(latest)
        .subquery()
    )
    mean = connection.execute(select(func.avg(durations.c.duration_seconds))).scalar_one()
    return None if mean is None else float(mean)


def list_claimable(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Waiting calls whose turn has come, in turn, none to a phone that another live call is at: (call id, phone)."""
    return [(call_id, phone) for call_id, phone in _CLAIMABLE.all(connection, _due_at(now) | {"at_most": limit})]


def lease_dial(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to dial until `until`. False when another worker has it, or the call has gone on."""
    return _LEASE_DIAL.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def note_placed(
    connection: Connection, call_id: str, provider_call_id: str, now: datetime, ask_provider_at: datetime
) -> str | None:
    """Note that a dialed call rings. Returns its verification's id; None where an event or a command came before the
    answer, or it is no longer wanted.

    A transaction for which it returns None takes no other row: the call's may be held, and others take the
    verification's first.
    """
    values = {"id": call_id, "provider_id": provider_call_id, "now": now, "ask_at": ask_provider_at}
    row = _NOTE_PLACED.first(connection, values)
    return None if row is None else str(row[0])


def lease_command(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to carry out the call's command. False when there is none, or another worker has it."""
    return _LEASE_COMMAND.execute(connection, _due_at(now) | {"id": call_id, "until": until}) == 1


def list_undialed(connection: Connection, now: datetime, limit: int = 200) -> list[str]:
    """Ids of calls that hold a channel, have no answer of the provider yet, and that nobody is dialing."""
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
    """Ids of calls whose command waits and that nobody is carrying out."""
    statement = (
        select(calls.c.call_id)
        .where(
            calls.c.command.is_not(None),
            _is_due(calls.c.command_leased_until, now),
            calls.c.provider_call_id.is_not(None),
            calls.c.ended_at.is_(None),
        )
        # In the order of the index of commands: else SQLite reads that of the provider's ids, which has every call.
        .order_by(calls.c.command_leased_until)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_late(connection: Connection, latest: datetime, limit: int = 200) -> list[str]:
    """Ids of waiting calls whose verification is over, or expires before `latest`."""
    statement = (
        select(calls.c.call_id)
        .join(verifications, verifications.c.verification_id == calls.c.verification_id)
        .where(
            IS_QUEUED,
            or_(verifications.c.expires_at < latest, verifications.c.status != PENDING),
        )
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_overdue(connection: Connection, now: datetime, limit: int = 200) -> list[Call]:
    """Live calls about which the provider has been silent for longer than a call lasts, the longest first."""
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
    """Calls answered before that time with no word yet on who answered, and nothing said."""
    statement = _SELECT.where(
        HOLDS_CHANNEL,
        calls.c.status == CallStatus.ANSWERED.value,
        calls.c.answered_at <= answered_before,
        calls.c.spoken == Spoken.NOTHING.value,
        calls.c.command.is_(None),
    ).limit(limit)
    return [call_from(row) for row in connection.execute(statement)]
