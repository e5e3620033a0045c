"""Calls: the queue, the channels that live ones hold, and what happened to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from letstalk.calls.models import Call, CallStatus, Command, Spoken
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement
from letstalk.verifications.models import Verification
from letstalk.verifications.repository import verification_from, verifications

QUEUED = CallStatus.QUEUED.value


def _one_of(column: str, members: type[CallStatus] | type[Command] | type[Spoken]) -> CheckConstraint:
    values = ", ".join(f"'{member.value}'" for member in members)
    return CheckConstraint(f"{column} IN ({values})", name=column)


calls = Table(
    "calls",
    metadata,
    Column("call_id", String(36), primary_key=True),
    Column("verification_id", String(36), ForeignKey("verifications.verification_id"), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("phone", String(16), nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("turn", BigInteger, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("holds_channel", Boolean, nullable=False, default=False),
    Column("ask_provider_at", UtcDateTime),
    Column("provider_call_id", String(200)),
    Column("first_dial_at", UtcDateTime),
    Column("dial_round", Integer, nullable=False, default=0),
    Column("dial_attempts", Integer, nullable=False, default=0),
    Column("is_uncertain", Boolean, nullable=False, default=False),
    Column("leased_until", UtcDateTime),
    Column("answered_at", UtcDateTime),
    Column("spoken", String(10), nullable=False, default=Spoken.NOTHING.value),
    Column("repeats", Integer, nullable=False, default=0),
    Column("command", String(20)),
    Column("command_seq", Integer, nullable=False, default=0),
    Column("command_attempts", Integer, nullable=False, default=0),
    Column("command_leased_until", UtcDateTime),
    Column("end_status", String(20)),
    Column("end_reason", Text),
    Column("duration_seconds", Float),
    _one_of("status", CallStatus),
    _one_of("command", Command),
    _one_of("spoken", Spoken),
    CheckConstraint("status <> 'queued' OR NOT holds_channel", name="queued_holds_none"),
)
Index("ix_calls_verification_id", calls.c.verification_id, calls.c.created_at)
Index("ix_calls_phone_created_at", calls.c.phone, calls.c.created_at)

partial_index("ix_calls_ended_at", "ended_at IS NOT NULL", calls.c.ended_at)
partial_index("ix_calls_finished", "duration_seconds IS NOT NULL", calls.c.ended_at)
partial_index("ix_calls_provider_call_id", "provider_call_id IS NOT NULL", calls.c.provider_call_id)
partial_index("ix_calls_waiting_turn", "status = 'queued'", calls.c.turn, calls.c.created_at)
partial_index("ix_calls_waiting_user_id", "status = 'queued'", calls.c.user_id, calls.c.turn)
partial_index("uq_calls_live_phone", "holds_channel", calls.c.phone, unique=True)
partial_index("ix_calls_command", "command IS NOT NULL", calls.c.command_leased_until)

call_events = Table(
    "call_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("call_id", String(36), ForeignKey("calls.call_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("type", String(40), nullable=False),
)
Index("ix_call_events_call_id", call_events.c.call_id, call_events.c.at)

# In the very words of the partial indexes: SQLite uses none of those for a parameter, or for SQLAlchemy's `= 1`.
IS_QUEUED = text("calls.status = 'queued'")
HOLDS_CHANNEL = text("calls.holds_channel")

_SELECT = select(calls)
_BY_ID = Statement(_SELECT.where(calls.c.call_id == bindparam("call_id")))
# PostgreSQL locks the rows in the order of the tables: the verification always before its calls.
_HELD = Statement(
    select(verifications, calls)
    .select_from(verifications.join(calls, calls.c.verification_id == verifications.c.verification_id))
    .where(calls.c.call_id == bindparam("call_id"))
    .with_for_update()
)
_BY_PROVIDER_ID = Statement(_SELECT.where(calls.c.provider_call_id == bindparam("provider_call_id")))
_LATEST = Statement(
    _SELECT.where(calls.c.verification_id == bindparam("verification_id"))
    .order_by(calls.c.created_at.desc(), calls.c.call_id.desc())
    .limit(literal_column("1"))
)
_ACCEPTED = Statement(
    select(calls.c.created_at, calls.c.user_id)
    .where(calls.c.phone == bindparam("phone"), calls.c.created_at > bindparam("since"))
    .order_by(calls.c.created_at.desc())
)
_UNFINISHED = Statement(
    _SELECT.where(calls.c.verification_id == bindparam("verification_id"), calls.c.ended_at.is_(None)).order_by(
        calls.c.created_at, calls.c.call_id
    )
)
_INSERT = Statement(
    insert(calls).values(
        {name: bindparam(name) for name in ("call_id", "verification_id", "user_id", "phone", "created_at", "turn")}
        | {"status": QUEUED, "not_before": bindparam("created_at"), "holds_channel": False, "is_uncertain": False}
        | {"dial_round": 0, "dial_attempts": 0, "spoken": Spoken.NOTHING.value}
        | {"repeats": 0, "command_seq": 0, "command_attempts": 0}
    )
)
_INSERT_EVENT = Statement(
    insert(call_events).values(call_id=bindparam("call_id"), at=bindparam("at"), type=bindparam("type"))
)
# The columns stand in the order of `Call`'s fields: by their names a row took three times as long to read.
_FIELDS = tuple(column.name for column in calls.c)
_WORDS: tuple[tuple[int, Mapping[str | None, StrEnum | None]], ...] = tuple(
    (_FIELDS.index(name), {None: None} | {member.value: member for member in members})
    for name, members in (
        *(("status", CallStatus), ("spoken", Spoken)),
        *(("command", Command), ("end_status", CallStatus)),
    )
)


def call_from(row: Sequence[Any]) -> Call:
    """The call of a row with all columns, in their order."""
    values = list(row)
    for place, members in _WORDS:
        values[place] = members[values[place]]
    return Call(*values)


def insert_call(
    connection: Connection,
    *,
    call_id: str,
    verification_id: str,
    user_id: str,
    phone: str,
    turn: int,
    now: datetime,
) -> None:
    """Put a new call into the queue."""
    _INSERT.execute(
        connection,
        {
            "call_id": call_id,
            "verification_id": verification_id,
            "user_id": user_id,
            "phone": phone,
            "created_at": now,
            "turn": turn,
        },
    )


def find_call(connection: Connection, call_id: str) -> Call | None:
    row = _BY_ID.first(connection, {"call_id": call_id})
    return None if row is None else call_from(row)


def lock_call(connection: Connection, call_id: str) -> tuple[Call, Verification] | None:
    """A call and its verification, both held until the transaction ends; None when there is no such call."""
    row = _HELD.first(connection, {"call_id": call_id})
    if row is None:
        return None
    split = len(verifications.columns)
    return call_from(row[split:]), verification_from(row[:split])


def find_by_provider_id(connection: Connection, provider_call_id: str) -> Call | None:
    row = _BY_PROVIDER_ID.first(connection, {"provider_call_id": provider_call_id})
    return None if row is None else call_from(row)


def find_latest_call(connection: Connection, verification_id: str) -> Call | None:
    row = _LATEST.first(connection, {"verification_id": verification_id})
    return None if row is None else call_from(row)


def list_calls(connection: Connection, verification_id: str) -> list[Call]:
    """The calls of a verification, oldest first."""
    statement = _SELECT.where(calls.c.verification_id == verification_id).order_by(calls.c.created_at, calls.c.call_id)
    return [call_from(row) for row in connection.execute(statement)]


def list_unfinished(connection: Connection, verification_id: str) -> list[Call]:
    """The calls of a verification that have not ended, oldest first."""
    return [call_from(row) for row in _UNFINISHED.all(connection, {"verification_id": verification_id})]


def list_accepted(connection: Connection, phone: str, since: datetime) -> list[tuple[datetime, str]]:
    """When calls to `phone` were accepted, and whose they were, newest first."""
    return [(created_at, owner) for created_at, owner in _ACCEPTED.all(connection, {"phone": phone, "since": since})]


def update_call(connection: Connection, call_id: str, **values: Any) -> None:
    """Change a call that this transaction holds."""
    _update_of(tuple(values), False, False).execute(connection, _new(values) | {"id": call_id})


def update_call_if(
    connection: Connection, call_id: str, was: CallStatus | None = None, last_seq: int | None = None, **values: Any
) -> bool:
    """Change a call if it is still in the status that it `was` in, if it lives and `last_seq` is still its last
    command. False when it is not.
    """
    statement = _update_of(tuple(values), was is not None, last_seq is not None)
    parameters = _new(values) | {"id": call_id}
    if was is not None:
        parameters["was"] = was.value
    if last_seq is not None:
        parameters["last_seq"] = last_seq
    return statement.execute(connection, parameters) == 1


def _new(values: dict[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}


@lru_cache(maxsize=64)
def _update_of(columns: tuple[str, ...], must_be: bool, must_follow: bool) -> Statement:
    """The change of just these columns; there are as many as callers of the two above."""
    statement = update(calls).where(calls.c.call_id == bindparam("id"))
    if must_be:
        statement = statement.where(calls.c.status == bindparam("was"))
    if must_follow:
        statement = statement.where(calls.c.command_seq == bindparam("last_seq"), calls.c.ended_at.is_(None))
    return Statement(statement.values({column: bindparam(f"new_{column}") for column in columns}))


def count_not_refused(connection: Connection, verification_id: str) -> int:
    """How many of a verification's calls were answered, or did not fail."""
    statement = select(func.count()).where(
        calls.c.verification_id == verification_id,
        or_(calls.c.status != CallStatus.FAILED.value, calls.c.answered_at.is_not(None)),
    )
    return int(connection.execute(statement).scalar_one())


def insert_call_event(connection: Connection, call_id: str, at: datetime, type_: str) -> None:
    _INSERT_EVENT.execute(connection, {"call_id": call_id, "at": at, "type": type_})


def list_call_events(connection: Connection, call_ids: list[str]) -> dict[str, list[tuple[datetime, str]]]:
    """(when, what) of each call, oldest first."""
    found: dict[str, list[tuple[datetime, str]]] = {call_id: [] for call_id in call_ids}
    statement = (
        select(call_events).where(call_events.c.call_id.in_(call_ids)).order_by(call_events.c.at, call_events.c.id)
    )
    for row in connection.execute(statement):
        found[row.call_id].append((row.at, row.type))
    return found
