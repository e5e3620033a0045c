"""The tables of the simulator's phone: its calls of the last minutes, and until when somebody looks at its page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.db.crypto import sealed_as
from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement, insert_into
from letstalk.telephony.simulator.phone_calls import PhoneState

simulated_calls = sa.Table(
    "simulated_calls",
    metadata,
    sa.Column("provider_call_id", sa.String(200), primary_key=True),
    sa.Column("call_id", sa.String(36), nullable=False),
    sa.Column("command_id", sa.String(100), nullable=False, unique=True),
    sa.Column("phone", sa.String(16), nullable=False),
    sa.Column("is_by_hand", sa.Boolean, nullable=False),
    sa.Column("detects_machines", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("due_at", UtcDateTime),
    sa.Column("limit_seconds", sa.Integer, nullable=False),
    sa.Column("command_seq", sa.Integer, nullable=False),
    sa.Column("cause", sa.String(20)),
    sa.Column("speech_sealed", sa.Text, info=sealed_as("speeches of simulated calls")),
)
sa.Index("ix_simulated_calls_call_id", simulated_calls.c.call_id)
sa.Index("ix_simulated_calls_created_at", simulated_calls.c.created_at)
partial_index("ix_simulated_calls_due_at", "due_at IS NOT NULL", simulated_calls.c.due_at)

# One row: the phone of this installation.
simulated_phone = sa.Table(
    "simulated_phone",
    metadata,
    sa.Column("phone_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attended_until", UtcDateTime, nullable=False),
)
_PHONE_ID = 1

_ATTENDED_UNTIL = Statement(
    sa.select(simulated_phone.c.attended_until).where(simulated_phone.c.phone_id == sa.bindparam("phone_id"))
)


def attended_until(connection: sa.Connection) -> datetime | None:
    """Until when somebody is taken to look at the phone's page; None if nobody ever did."""
    row = _ATTENDED_UNTIL.first(connection, {"phone_id": _PHONE_ID})
    return None if row is None else row[0]


def attend(connection: sa.Connection, until: datetime) -> None:
    statement = insert_into(simulated_phone, connection.dialect.name).values(phone_id=_PHONE_ID, attended_until=until)
    connection.execute(statement.on_conflict_do_update(index_elements=["phone_id"], set_={"attended_until": until}))


def insert_call(connection: sa.Connection, values: dict[str, Any]) -> bool:
    """Returns False if that command has placed its call already."""
    statement = insert_into(simulated_calls, connection.dialect.name).values(values)
    return connection.execute(statement.on_conflict_do_nothing(index_elements=["command_id"])).rowcount == 1


def find_placed(connection: sa.Connection, command_id: str) -> str | None:
    """The provider's id of the call that a command has placed."""
    statement = sa.select(simulated_calls.c.provider_call_id).where(simulated_calls.c.command_id == command_id)
    return connection.execute(statement).scalar_one_or_none()


def find_row(connection: sa.Connection, provider_call_id: str, *, for_update: bool = False) -> sa.Row[Any] | None:
    """With `for_update` the row is locked until the transaction ends."""
    statement = sa.select(simulated_calls).where(simulated_calls.c.provider_call_id == provider_call_id)
    return connection.execute(statement.with_for_update() if for_update else statement).one_or_none()


def find_newest_row(connection: sa.Connection, call_id: str, *, for_update: bool = False) -> sa.Row[Any] | None:
    """Of a call that was dialed more than once, the last. With `for_update` it is locked until the transaction ends."""
    statement = sa.select(simulated_calls).where(simulated_calls.c.call_id == call_id)
    statement = statement.order_by(simulated_calls.c.created_at.desc()).limit(1)
    return connection.execute(statement.with_for_update() if for_update else statement).one_or_none()


def list_rows(connection: sa.Connection, since: datetime, limit: int) -> Sequence[sa.Row[Any]]:
    """The calls that were placed after `since`, newest first."""
    newest = simulated_calls.c.created_at.desc()
    statement = sa.select(simulated_calls).where(simulated_calls.c.created_at > since).order_by(newest).limit(limit)
    return connection.execute(statement).all()


def list_due_rows(connection: sa.Connection, now: datetime, limit: int = 100) -> Sequence[sa.Row[Any]]:
    """The calls in which something is due, the first due first."""
    due_at = simulated_calls.c.due_at
    statement = sa.select(simulated_calls).where(due_at.is_not(None), due_at <= now).order_by(due_at).limit(limit)
    return connection.execute(statement).all()


def change_call(
    connection: sa.Connection,
    provider_call_id: str,
    was: Sequence[PhoneState],
    values: dict[str, Any],
    *more: sa.ColumnElement[bool],
) -> bool:
    """Change a call that is in one of the states `was`, provided that `more` holds. Returns False when it is not."""
    table = simulated_calls.c
    is_there = table.provider_call_id == provider_call_id
    statement = sa.update(simulated_calls).where(is_there, table.state.in_([state.value for state in was]), *more)
    return connection.execute(statement.values(values)).rowcount == 1


def delete_old_calls(connection: sa.Connection, before: datetime) -> int:
    """Delete some of the calls that were placed before that time. Returns how many."""
    return delete_oldest(connection, simulated_calls.c.created_at, before)


def delete_calls_to(connection: sa.Connection, numbers: Sequence[str]) -> None:
    """Delete all that is known of calls to these numbers."""
    connection.execute(sa.delete(simulated_calls).where(simulated_calls.c.phone.in_(numbers)))


def list_calls_to(connection: sa.Connection, numbers: Sequence[str]) -> Sequence[sa.Row[Any]]:
    """The calls to these numbers, oldest first."""
    table = simulated_calls.c
    statement = sa.select(simulated_calls).where(table.phone.in_(numbers)).order_by(table.created_at)
    return connection.execute(statement).all()
