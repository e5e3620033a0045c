"""The tables of calls and of what happened in each."""

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
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from letstalk.calls.models import Call, CallStatus, Command, NewCall, Spoken
from letstalk.db.crypto import sealed_as
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement

QUEUED = CallStatus.QUEUED.value


def _one_of(column: str, members: type[CallStatus] | type[Command] | type[Spoken]) -> CheckConstraint:
    values = ", ".join(f"'{member.value}'" for member in members)
    return CheckConstraint(f"{column} IN ({values})", name=column)


calls = Table(
    "calls",
    metadata,
    Column("call_id", String(36), primary_key=True),
    Column("subject_id", String(36), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("phone", String(16), nullable=False),
    Column("script_sealed", Text, info=sealed_as("scripts of calls")),
    Column("locale", String(35)),
    Column("speak_before", UtcDateTime, nullable=False),
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
    CheckConstraint("ended_at IS NULL OR holds_channel OR script_sealed IS NULL", name="script_erased"),
)
Index("ix_calls_subject_id", calls.c.subject_id, calls.c.created_at)
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

# The exact text of the partial indexes: SQLite does not use them for a parameter, or for SQLAlchemy's `= 1`.
IS_QUEUED = text("calls.status = 'queued'")
HOLDS_CHANNEL = text("calls.holds_channel")

_SELECT = select(calls)
_BY_ID = Statement(_SELECT.where(calls.c.call_id == bindparam("call_id")))
_LOCKED = Statement(_SELECT.where(calls.c.call_id == bindparam("call_id")).with_for_update())
_BY_PROVIDER_ID = Statement(_SELECT.where(calls.c.provider_call_id == bindparam("provider_call_id")))
_LATEST = Statement(
    _SELECT.where(calls.c.subject_id == bindparam("subject_id"))
    .order_by(calls.c.created_at.desc(), calls.c.call_id.desc())
    .limit(literal_column("1"))
    .with_for_update()
)
_ACCEPTED = Statement(
    select(calls.c.created_at, calls.c.user_id)
    .where(calls.c.phone == bindparam("phone"), calls.c.created_at > bindparam("since"))
    .order_by(calls.c.created_at.desc())
)
# Not over, or unknown and still holding a channel.
IS_UNFINISHED = or_(calls.c.ended_at.is_(None), HOLDS_CHANNEL)
# After waiting for a row, PostgreSQL returns it as it was committed meanwhile.
_UNFINISHED = Statement(
    _SELECT.where(calls.c.subject_id == bindparam("subject_id"), IS_UNFINISHED)
    .order_by(calls.c.created_at, calls.c.call_id)
    .with_for_update()
)
_INSERT = Statement(
    insert(calls).values(
        {
            name: bindparam(name)
            for name in (
                *("call_id", "subject_id", "user_id", "phone", "created_at", "turn"),
                *("script_sealed", "locale", "speak_before"),
            )
        }
        | {"status": QUEUED, "not_before": bindparam("created_at"), "holds_channel": False, "is_uncertain": False}
        | {"dial_round": 0, "dial_attempts": 0, "spoken": Spoken.NOTHING.value}
        | {"repeats": 0, "command_seq": 0, "command_attempts": 0}
    )
)
_INSERT_EVENT = Statement(
    insert(call_events).values(call_id=bindparam("call_id"), at=bindparam("at"), type=bindparam("type"))
)
# The columns are in the order of `Call`'s fields: to read a row by their names took three times as long.
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


def insert_call(connection: Connection, call_id: str, new: NewCall, turn: int, now: datetime) -> None:
    """Put a new call into the queue."""
    _INSERT.execute(
        connection,
        {
            "call_id": call_id,
            "subject_id": new.subject_id,
            "user_id": new.user_id,
            "phone": new.phone,
            "script_sealed": new.script_sealed,
            "locale": new.locale,
            "speak_before": new.speak_before,
            "created_at": now,
            "turn": turn,
        },
    )


def find_call(connection: Connection, call_id: str) -> Call | None:
    row = _BY_ID.first(connection, {"call_id": call_id})
    return None if row is None else call_from(row)


def lock_call(connection: Connection, call_id: str) -> Call | None:
    """The call, locked until the transaction ends; None when there is no such call.

    Whoever also locks the call's subject locks that first.
    """
    row = _LOCKED.first(connection, {"call_id": call_id})
    return None if row is None else call_from(row)


def find_by_provider_id(connection: Connection, provider_call_id: str) -> Call | None:
    row = _BY_PROVIDER_ID.first(connection, {"provider_call_id": provider_call_id})
    return None if row is None else call_from(row)


def lock_latest_call(connection: Connection, subject_id: str) -> Call | None:
    """The newest call about a subject, locked until the transaction ends."""
    row = _LATEST.first(connection, {"subject_id": subject_id})
    return None if row is None else call_from(row)


def list_calls(connection: Connection, subject_id: str) -> list[Call]:
    """The calls about a subject, oldest first."""
    statement = _SELECT.where(calls.c.subject_id == subject_id).order_by(calls.c.created_at, calls.c.call_id)
    return [call_from(row) for row in connection.execute(statement)]


def lock_unfinished(connection: Connection, subject_id: str) -> list[Call]:
    """The unfinished calls about a subject, oldest first, locked until the transaction ends."""
    return [call_from(row) for row in _UNFINISHED.all(connection, {"subject_id": subject_id})]


def list_accepted(connection: Connection, phone: str, since: datetime) -> list[tuple[datetime, str]]:
    """(when, owner) of the calls to `phone` that were accepted after `since`, newest first."""
    return [(created_at, owner) for created_at, owner in _ACCEPTED.all(connection, {"phone": phone, "since": since})]


def update_call(connection: Connection, call_id: str, **values: Any) -> None:
    """Change a call that this transaction has locked."""
    _update_of(tuple(values), False, False).execute(connection, _new(values) | {"id": call_id})


def update_call_if(
    connection: Connection, call_id: str, was: CallStatus | None = None, last_seq: int | None = None, **values: Any
) -> bool:
    """Change a call, provided that it is still in the status `was`, and that it is not over and `last_seq` is still its
    last command. Returns False when it is not.
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
    """An update of just these columns."""
    statement = update(calls).where(calls.c.call_id == bindparam("id"))
    if must_be:
        statement = statement.where(calls.c.status == bindparam("was"))
    if must_follow:
        statement = statement.where(calls.c.command_seq == bindparam("last_seq"), calls.c.ended_at.is_(None))
    return Statement(statement.values({column: bindparam(f"new_{column}") for column in columns}))


def have_all_failed(connection: Connection, subject_id: str) -> bool:
    """Whether every call about a subject has failed without being answered."""
    return bool(connection.execute(select(all_have_failed(literal(subject_id)))).scalar_one())


def all_have_failed(subject_id: ColumnElement[str]) -> ColumnElement[bool]:
    """The same as an SQL condition: no call about `subject_id` was answered, is unfinished or ended in another way."""
    each = calls.alias("each_call")
    other = or_(each.c.status != CallStatus.FAILED.value, each.c.answered_at.is_not(None))
    return ~exists().where(each.c.subject_id == subject_id, other)


def insert_call_event(connection: Connection, call_id: str, at: datetime, type_: str) -> None:
    _INSERT_EVENT.execute(connection, {"call_id": call_id, "at": at, "type": type_})


def list_call_events(connection: Connection, call_ids: list[str]) -> dict[str, list[tuple[datetime, str]]]:
    """By call id, (when, what) of its events, oldest first."""
    found: dict[str, list[tuple[datetime, str]]] = {call_id: [] for call_id in call_ids}
    statement = (
        select(call_events).where(call_events.c.call_id.in_(call_ids)).order_by(call_events.c.at, call_events.c.id)
    )
    for row in connection.execute(statement):
        found[row.call_id].append((row.at, row.type))
    return found


def erase_expired_scripts(connection: Connection, now: datetime) -> int:
    """Erase the scripts of some waiting or live calls that may no longer speak them. Returns how many."""
    count = 0
    for is_unfinished in (IS_QUEUED, HOLDS_CHANNEL):  # each has a partial index, which both together would not have
        # Rows that another worker has locked are left to the next sweep: waiting for several could end in a deadlock.
        expired = (
            select(calls.c.call_id)
            .where(is_unfinished, calls.c.speak_before <= now, calls.c.script_sealed.is_not(None))
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        count += connection.execute(
            update(calls).where(calls.c.call_id.in_(expired)).values(script_sealed=None)
        ).rowcount
    return count


def delete_calls_about(connection: Connection, subject_ids: list[str]) -> None:
    """Delete the calls about these subjects, with their events."""
    about = calls.c.subject_id.in_(subject_ids)
    # Locked first: an event that is being applied must not add a row to a call that is being deleted.
    call_ids = list(connection.execute(select(calls.c.call_id).where(about).with_for_update()).scalars())
    connection.execute(delete(call_events).where(call_events.c.call_id.in_(call_ids)))
    connection.execute(delete(calls).where(calls.c.call_id.in_(call_ids)))


def lock_calls_to(connection: Connection, phone: str) -> list[Call]:
    """Every call to `phone`, locked until the transaction ends."""
    return [call_from(row) for row in connection.execute(_SELECT.where(calls.c.phone == phone).with_for_update())]
