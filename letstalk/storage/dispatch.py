"""The queue of calls: whose turn it is, which channels are taken, and who may act on a call right now."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, Connection, bindparam, func, or_, select, true, update

from letstalk.domain.calls import Call, CallStatus, Spoken
from letstalk.storage.calls import QUEUED, call_from, calls
from letstalk.storage.verifications import PENDING, verifications

# No lease, pause or question is set further ahead: one that is was set before the clock was turned back.
FURTHEST = timedelta(minutes=5)

_SELECT = select(calls)
_TURNS = select(
    select(func.max(calls.c.turn))
    .where(calls.c.status == QUEUED, calls.c.user_id == bindparam("user_id"))
    .scalar_subquery(),
    select(func.min(calls.c.turn)).where(calls.c.status == QUEUED).scalar_subquery(),
)
_AHEAD = select(
    select(func.count()).where(calls.c.status == QUEUED, calls.c.turn <= bindparam("turn")).scalar_subquery(),
    select(func.count()).where(calls.c.holds_channel == true()).scalar_subquery(),
)


def _is_due(column: Column[datetime], now: datetime) -> ColumnElement[bool]:
    return or_(column <= now, column > now + FURTHEST)


def find_turns(connection: Connection, user_id: str) -> tuple[int | None, int | None]:
    """The last turn that `user_id` has waiting, and the first that anyone has."""
    own, first = connection.execute(_TURNS, {"user_id": user_id}).one()
    return own, first


def count_ahead(connection: Connection, turn: int) -> int:
    """How many calls, waiting or live, come before one with `turn`."""
    waiting, live = connection.execute(_AHEAD, {"turn": turn}).one()
    return int(waiting) + int(live)


def count_waiting(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).where(calls.c.status == QUEUED)).scalar_one())


def find_longest_waiting(connection: Connection) -> datetime | None:
    """Since when the call waits that waits longest; None when none does."""
    statement = select(func.min(calls.c.created_at)).where(calls.c.status == QUEUED)
    waits_since: datetime | None = connection.execute(statement).scalar_one()
    return waits_since


def count_live(connection: Connection) -> int:
    """How many calls hold a channel."""
    return int(connection.execute(select(func.count()).where(calls.c.holds_channel == true())).scalar_one())


def mean_duration_seconds(connection: Connection, latest: int = 50) -> float | None:
    """How long the last finished calls held their channels, on average; None before any has finished."""
    durations = (
        select(calls.c.duration_seconds)
        .where(calls.c.ended_at.is_not(None), calls.c.duration_seconds.is_not(None))
        .order_by(calls.c.ended_at.desc())
        .limit(latest)
        .subquery()
    )
    mean = connection.execute(select(func.avg(durations.c.duration_seconds))).scalar_one()
    return None if mean is None else float(mean)


def list_claimable(connection: Connection, now: datetime, limit: int) -> list[Call]:
    """Waiting calls whose turn has come, in turn, none to a phone that another live call is at."""
    live = select(calls.c.phone).where(calls.c.holds_channel == true())
    statement = (
        _SELECT.where(calls.c.status == QUEUED, _is_due(calls.c.not_before, now), calls.c.phone.not_in(live))
        .order_by(calls.c.turn, calls.c.created_at)
        .limit(limit)
    )
    return [call_from(row) for row in connection.execute(statement)]


def lease_dial(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to dial until `until`. False when another worker has it, or the call has gone on."""
    statement = (
        update(calls)
        .where(
            calls.c.call_id == call_id,
            calls.c.status == CallStatus.DIALING.value,
            calls.c.provider_call_id.is_(None),
            _is_due(calls.c.leased_until, now),
        )
        .values(leased_until=until, dial_attempts=calls.c.dial_attempts + 1)
    )
    return connection.execute(statement).rowcount == 1


def lease_command(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to carry out the call's command. False when there is none, or another worker has it."""
    statement = (
        update(calls)
        .where(
            calls.c.call_id == call_id,
            calls.c.command.is_not(None),
            calls.c.provider_call_id.is_not(None),
            calls.c.ended_at.is_(None),
            _is_due(calls.c.command_leased_until, now),
        )
        .values(command_leased_until=until, command_attempts=calls.c.command_attempts + 1)
    )
    return connection.execute(statement).rowcount == 1


def list_undialed(connection: Connection, now: datetime, limit: int = 200) -> list[str]:
    """Ids of calls that hold a channel, have no answer of the provider yet, and that nobody is dialing."""
    statement = (
        select(calls.c.call_id)
        .where(
            calls.c.holds_channel == true(),
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
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_late(connection: Connection, latest: datetime, limit: int = 200) -> list[str]:
    """Ids of waiting calls whose verification is over, or expires before `latest`."""
    statement = (
        select(calls.c.call_id)
        .join(verifications, verifications.c.verification_id == calls.c.verification_id)
        .where(
            calls.c.status == QUEUED,
            or_(verifications.c.expires_at < latest, verifications.c.status != PENDING),
        )
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_overdue(connection: Connection, now: datetime, limit: int = 200) -> list[Call]:
    """Live calls about which the provider has been silent for longer than a call lasts, the longest first."""
    statement = (
        _SELECT.where(calls.c.holds_channel == true(), _is_due(calls.c.ask_provider_at, now))
        .order_by(calls.c.ask_provider_at)
        .limit(limit)
    )
    return [call_from(row) for row in connection.execute(statement)]


def take_question(connection: Connection, call_id: str, now: datetime, until: datetime) -> bool:
    """Take the right to ask the provider about an overdue call until `until`. False when another worker has it."""
    statement = (
        update(calls)
        .where(calls.c.call_id == call_id, calls.c.holds_channel == true(), _is_due(calls.c.ask_provider_at, now))
        .values(ask_provider_at=until)
    )
    return connection.execute(statement).rowcount == 1


def list_undecided(connection: Connection, answered_before: datetime, limit: int = 200) -> list[Call]:
    """Calls answered before that moment with no word yet on who answered, and nothing said."""
    statement = _SELECT.where(
        calls.c.holds_channel == true(),
        calls.c.status == CallStatus.ANSWERED.value,
        calls.c.answered_at <= answered_before,
        calls.c.spoken == Spoken.NOTHING.value,
        calls.c.command.is_(None),
    ).limit(limit)
    return [call_from(row) for row in connection.execute(statement)]
