"""The tables of calls and of what happened in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from letstalk.calls.models import Call, CallStatus, Command, NewCall, Spoken
from letstalk.db.crypto import sealed_as
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement

QUEUED = CallStatus.QUEUED.value


def _one_of(column: str, members: type[CallStatus] | type[Command] | type[Spoken]) -> sa.CheckConstraint:
    values = ", ".join(f"'{member.value}'" for member in members)
    return sa.CheckConstraint(f"{column} IN ({values})", name=column)


calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.String(36), primary_key=True),
    sa.Column("subject_id", sa.String(36), nullable=False),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("phone", sa.String(16), nullable=False),
    sa.Column("script_sealed", sa.Text, info=sealed_as("scripts of calls")),
    sa.Column("locale", sa.String(35)),
    sa.Column("speak_before", UtcDateTime, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("turn", sa.BigInteger, nullable=False),
    sa.Column("not_before", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("holds_channel", sa.Boolean, nullable=False, default=False),
    sa.Column("ask_provider_at", UtcDateTime),
    sa.Column("provider_call_id", sa.String(200)),
    sa.Column("first_dial_at", UtcDateTime),
    sa.Column("dial_round", sa.Integer, nullable=False, default=0),
    sa.Column("dial_attempts", sa.Integer, nullable=False, default=0),
    sa.Column("is_uncertain", sa.Boolean, nullable=False, default=False),
    sa.Column("leased_until", UtcDateTime),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("spoken", sa.String(10), nullable=False, default=Spoken.NOTHING.value),
    sa.Column("repeats", sa.Integer, nullable=False, default=0),
    sa.Column("command", sa.String(20)),
    sa.Column("command_seq", sa.Integer, nullable=False, default=0),
    sa.Column("command_attempts", sa.Integer, nullable=False, default=0),
    sa.Column("command_leased_until", UtcDateTime),
    sa.Column("end_status", sa.String(20)),
    sa.Column("end_reason", sa.Text),
    sa.Column("duration_seconds", sa.Float),
    sa.Column("phone_as_given", sa.String(16)),
    sa.Column("rang_at", UtcDateTime),
    sa.Column("heard_at", UtcDateTime),
    _one_of("status", CallStatus),
    _one_of("command", Command),
    _one_of("spoken", Spoken),
    sa.CheckConstraint("status <> 'queued' OR NOT holds_channel", name="queued_holds_none"),
    sa.CheckConstraint("ended_at IS NULL OR holds_channel OR script_sealed IS NULL", name="script_erased"),
)
sa.Index("ix_calls_subject_id", calls.c.subject_id, calls.c.created_at)
sa.Index("ix_calls_phone_created_at", calls.c.phone, calls.c.created_at)

partial_index("ix_calls_ended_at", "ended_at IS NOT NULL", calls.c.ended_at)
partial_index(
    "ix_calls_not_heard", "ended_at IS NOT NULL AND status <> 'completed'", calls.c.status, calls.c.created_at
)
partial_index("ix_calls_finished", "duration_seconds IS NOT NULL", calls.c.ended_at)
partial_index("ix_calls_provider_call_id", "provider_call_id IS NOT NULL", calls.c.provider_call_id)
partial_index("ix_calls_waiting_turn", "status = 'queued'", calls.c.turn, calls.c.created_at)
partial_index("ix_calls_waiting_user_id", "status = 'queued'", calls.c.owner_id, calls.c.turn)
partial_index("uq_calls_live_phone", "holds_channel", calls.c.phone, unique=True)
partial_index("ix_calls_command", "command IS NOT NULL", calls.c.command_leased_until)

call_events = sa.Table(
    "call_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("call_id", sa.String(36), sa.ForeignKey("calls.call_id"), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("type", sa.String(40), nullable=False),
)
sa.Index("ix_call_events_call_id", call_events.c.call_id, call_events.c.at)

# The exact text of the partial indexes: SQLite does not use them for a parameter, or for SQLAlchemy's `= 1`.
IS_QUEUED = sa.text("calls.status = 'queued'")
HOLDS_CHANNEL = sa.text("calls.holds_channel")

_SELECT = sa.select(calls)
_BY_ID = Statement(_SELECT.where(calls.c.call_id == sa.bindparam("call_id")))
_LOCKED = Statement(_SELECT.where(calls.c.call_id == sa.bindparam("call_id")).with_for_update())
_BY_PROVIDER_ID = Statement(_SELECT.where(calls.c.provider_call_id == sa.bindparam("provider_call_id")))
_LATEST = Statement(
    _SELECT.where(calls.c.subject_id == sa.bindparam("subject_id"))
    .order_by(calls.c.created_at.desc(), calls.c.call_id.desc())
    .limit(sa.literal_column("1"))
    .with_for_update()
)
_ACCEPTED = Statement(
    sa.select(calls.c.created_at, calls.c.owner_id)
    .where(calls.c.phone == sa.bindparam("phone"), calls.c.created_at > sa.bindparam("since"))
    .order_by(calls.c.created_at.desc())
)
# Not over, or unknown and still holding a channel.
IS_UNFINISHED = sa.or_(calls.c.ended_at.is_(None), HOLDS_CHANNEL)
# After waiting for a row, PostgreSQL returns it as it was committed meanwhile.
_UNFINISHED = Statement(
    _SELECT.where(calls.c.subject_id == sa.bindparam("subject_id"), IS_UNFINISHED)
    .order_by(calls.c.created_at, calls.c.call_id)
    .with_for_update()
)
_NEW_FIELDS = tuple(field.name for field in fields(NewCall))
_INSERT = Statement(
    sa.insert(calls).values(
        {name: sa.bindparam(name) for name in ("call_id", "created_at", "turn", *_NEW_FIELDS)}
        | {"status": QUEUED, "not_before": sa.bindparam("created_at"), "holds_channel": False, "is_uncertain": False}
        | {"dial_round": 0, "dial_attempts": 0, "spoken": Spoken.NOTHING.value}
        | {"repeats": 0, "command_seq": 0, "command_attempts": 0}
    )
)
_NOTE_HEARD = Statement(
    sa.update(calls)
    .where(
        calls.c.call_id == sa.bindparam("id"),
        calls.c.spoken == sa.literal_column(f"'{Spoken.CODE.value}'"),
        calls.c.heard_at.is_(None),
        calls.c.ended_at.is_(None),
    )
    .values(heard_at=sa.bindparam("now", type_=UtcDateTime))
    .returning(calls.c.owner_id, calls.c.subject_id)
)
_INSERT_EVENT = Statement(
    sa.insert(call_events).values(call_id=sa.bindparam("call_id"), at=sa.bindparam("at"), type=sa.bindparam("type"))
)
# The columns are in the order of `Call`'s fields: to read a row by their names took three times as long.
_FIELDS = tuple(column.key for column in calls.c)
_WORDS: tuple[tuple[int, Mapping[str | None, StrEnum | None]], ...] = tuple(
    (_FIELDS.index(name), {None: None} | {member.value: member for member in members})
    for name, members in (("status", CallStatus), ("spoken", Spoken), ("command", Command), ("end_status", CallStatus))
)


def call_from(row: Sequence[Any]) -> Call:
    """The call of a row with all columns, in their order."""
    values = list(row)
    for place, members in _WORDS:
        values[place] = members[values[place]]
    return Call(*values)


def insert_call(connection: sa.Connection, call_id: str, new: NewCall, turn: int, now: datetime) -> None:
    # `asdict` would also copy each value: two of them took a tenth of a send.
    values = {name: getattr(new, name) for name in _NEW_FIELDS}
    _INSERT.execute(connection, values | {"call_id": call_id, "created_at": now, "turn": turn})


def insert_ended_call(
    connection: sa.Connection, call_id: str, new: NewCall, status: CallStatus, reason: str, now: datetime
) -> None:
    """Insert a call that is over already, and has nothing to say. It counts for the limits like any other."""
    values = {name: getattr(new, name) for name in _NEW_FIELDS} | {"script_sealed": None}
    values |= {"call_id": call_id, "status": status.value, "reason": reason, "turn": 0}
    connection.execute(sa.insert(calls), values | {"created_at": now, "not_before": now, "ended_at": now})


def find_call(connection: sa.Connection, call_id: str) -> Call | None:
    row = _BY_ID.first(connection, {"call_id": call_id})
    return None if row is None else call_from(row)


def lock_call(connection: sa.Connection, call_id: str) -> Call | None:
    """The call, locked until the transaction ends. A transaction that also locks its subject locks that first."""
    row = _LOCKED.first(connection, {"call_id": call_id})
    return None if row is None else call_from(row)


def find_by_provider_id(connection: sa.Connection, provider_call_id: str) -> Call | None:
    row = _BY_PROVIDER_ID.first(connection, {"provider_call_id": provider_call_id})
    return None if row is None else call_from(row)


def lock_latest_call(connection: sa.Connection, subject_id: str) -> Call | None:
    """The newest call about a subject, locked until the transaction ends."""
    row = _LATEST.first(connection, {"subject_id": subject_id})
    return None if row is None else call_from(row)


def list_calls(connection: sa.Connection, subject_id: str) -> list[Call]:
    """The calls about a subject, oldest first."""
    statement = _SELECT.where(calls.c.subject_id == subject_id).order_by(calls.c.created_at, calls.c.call_id)
    return [call_from(row) for row in connection.execute(statement)]


def lock_unfinished(connection: sa.Connection, subject_id: str) -> list[Call]:
    """The unfinished calls about a subject, oldest first, locked until the transaction ends."""
    return [call_from(row) for row in _UNFINISHED.all(connection, {"subject_id": subject_id})]


def list_accepted(connection: sa.Connection, phone: str, since: datetime) -> list[tuple[datetime, str]]:
    """(when, owner) of the calls to `phone` that were accepted after `since`, newest first."""
    return [(created_at, owner) for created_at, owner in _ACCEPTED.all(connection, {"phone": phone, "since": since})]


def update_call(connection: sa.Connection, call_id: str, **values: Any) -> None:
    """Change a call that this transaction has locked."""
    _update_of(tuple(values), False, False).execute(connection, _new(values) | {"id": call_id})


def update_call_if(
    connection: sa.Connection, call_id: str, was: CallStatus | None = None, last_seq: int | None = None, **values: Any
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
    statement = sa.update(calls).where(calls.c.call_id == sa.bindparam("id"))
    if must_be:
        statement = statement.where(calls.c.status == sa.bindparam("was"))
    if must_follow:
        statement = statement.where(calls.c.command_seq == sa.bindparam("last_seq"), calls.c.ended_at.is_(None))
    return Statement(statement.values({column: sa.bindparam(f"new_{column}") for column in columns}))


def note_heard(connection: sa.Connection, call_id: str, now: datetime) -> tuple[str, str] | None:
    """Note that a live call has spoken its code to the end. Returns its owner and its `subject_id`.

    Returns None when it was known, or only the offer was spoken.
    """
    row = _NOTE_HEARD.first(connection, {"id": call_id, "now": now})
    if row is None:
        return None
    owner_id, subject_id = row
    return owner_id, subject_id


def have_all_failed(connection: sa.Connection, subject_id: str) -> bool:
    """Whether every call about a subject has failed without being answered."""
    return bool(connection.execute(sa.select(all_have_failed(sa.literal(subject_id)))).scalar_one())


def all_have_failed(subject_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """The same as an SQL condition: no call about `subject_id` was answered, is unfinished or ended in another way."""
    each = calls.alias("each_call")
    other = sa.or_(each.c.status != CallStatus.FAILED.value, each.c.answered_at.is_not(None))
    return ~sa.exists().where(each.c.subject_id == subject_id, other)


def list_last_statuses(connection: sa.Connection, subject_ids: list[str]) -> dict[str, CallStatus]:
    """By subject, the status of its newest call. A subject without one is not in it."""
    statement = (
        sa.select(calls.c.subject_id, calls.c.status)
        .where(calls.c.subject_id.in_(subject_ids))
        .order_by(calls.c.created_at, calls.c.call_id)
    )
    return {subject_id: CallStatus(status) for subject_id, status in connection.execute(statement)}


def insert_call_event(connection: sa.Connection, call_id: str, at: datetime, type_: str) -> None:
    _INSERT_EVENT.execute(connection, {"call_id": call_id, "at": at, "type": type_})


def list_call_events(connection: sa.Connection, call_ids: list[str]) -> dict[str, list[tuple[datetime, str]]]:
    """By call id, (when, what) of its events, oldest first."""
    found: dict[str, list[tuple[datetime, str]]] = {call_id: [] for call_id in call_ids}
    statement = (
        sa.select(call_events).where(call_events.c.call_id.in_(call_ids)).order_by(call_events.c.at, call_events.c.id)
    )
    for row in connection.execute(statement):
        found[row.call_id].append((row.at, row.type))
    return found


def erase_expired_scripts(connection: sa.Connection, now: datetime) -> int:
    """Erase the scripts of some waiting or live calls that may no longer speak them. Returns how many."""
    count = 0
    for is_unfinished in (IS_QUEUED, HOLDS_CHANNEL):  # each has a partial index, which both together would not have
        # Rows that another worker has locked are left to the next sweep: waiting for several could end in a deadlock.
        expired = (
            sa.select(calls.c.call_id)
            .where(is_unfinished, calls.c.speak_before <= now, calls.c.script_sealed.is_not(None))
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        count += connection.execute(
            sa.update(calls).where(calls.c.call_id.in_(expired)).values(script_sealed=None)
        ).rowcount
    return count


def delete_calls_about(connection: sa.Connection, subject_ids: list[str]) -> None:
    """Delete the calls about these subjects, with their events."""
    about = calls.c.subject_id.in_(subject_ids)
    # Locked first: an event that is being applied must not add a row to a call that is being deleted.
    call_ids = list(connection.execute(sa.select(calls.c.call_id).where(about).with_for_update()).scalars())
    connection.execute(sa.delete(call_events).where(call_events.c.call_id.in_(call_ids)))
    connection.execute(sa.delete(calls).where(calls.c.call_id.in_(call_ids)))


def lock_calls_to(connection: sa.Connection, phone: str) -> list[Call]:
    """Every call to `phone`, locked until the transaction ends."""
    return [call_from(row) for row in connection.execute(_SELECT.where(calls.c.phone == phone).with_for_update())]
