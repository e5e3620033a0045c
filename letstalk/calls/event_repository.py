"""The table of provider events: each is stored once and applied once."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Index, Integer, String, Table, Text, bindparam, func, select, update

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import calls
from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement, insert_into
from letstalk.telephony.events import CallEvent, EventType, HangupCause

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("event_id", String(100), primary_key=True),
    Column("type", String(20), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("call_id", String(36)),
    Column("provider_call_id", String(200)),
    Column("detail", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),
    Column("tries", Integer, nullable=False, default=0),
)
partial_index("ix_webhook_events_waiting", "applied_at IS NULL", webhook_events.c.received_at)
Index("ix_webhook_events_received_at", webhook_events.c.received_at)

_VALUES = (
    *("event_id", "type", "occurred_at", "call_id", "provider_call_id", "detail", "received_at"),
    *("applied_at", "tries"),
)


@cache
def _store_in(dialect_name: str, *seen: Column[Any]) -> Statement:
    values: dict[str, Any] = {name: bindparam(name) for name in _VALUES}
    insertion = insert_into(webhook_events, dialect_name).values(values)
    insertion = insertion.on_conflict_do_nothing(index_elements=["event_id"])
    if seen:
        looks = (select(column).where(calls.c.call_id == bindparam("call_id")).scalar_subquery() for column in seen)
        insertion = insertion.returning(*looks)
    return Statement(insertion)


_CLAIM = Statement(
    update(webhook_events)
    .where(webhook_events.c.event_id == bindparam("id"), webhook_events.c.applied_at.is_(None))
    .values(applied_at=bindparam("now", type_=UtcDateTime), tries=webhook_events.c.tries + 1)
    .returning(*(webhook_events.c[name] for name in ("type", "occurred_at", "call_id", "provider_call_id", "detail")))
)


def store_event(connection: Connection, event: CallEvent, now: datetime, *, is_applied: bool) -> bool:
    """Store `event`, marked as applied if it is applied in this transaction. Returns False when it is there already."""
    return _store_in(connection.dialect.name).execute(connection, _values_of(event, now, is_applied)) == 1


def store_and_look(
    connection: Connection, event: CallEvent, now: datetime
) -> tuple[CallStatus | None, str | None] | None:
    """Store `event`, marked as applied. Returns the status and subject id of its call, which is not locked.

    Returns None when the event is there already. Both values are None when it names no call of ours.
    """
    statement = _store_in(connection.dialect.name, calls.c.status, calls.c.subject_id)
    row = statement.first(connection, _values_of(event, now, is_applied=True))
    if row is None:
        return None
    status, subject_id = row
    return None if status is None else CallStatus(status), subject_id


def _values_of(event: CallEvent, now: datetime, is_applied: bool) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "type": event.type.value,
        "occurred_at": event.occurred_at,
        "call_id": event.call_id,
        "provider_call_id": event.provider_call_id,
        "detail": json.dumps(
            {
                "command_seq": event.command_seq,
                "digits": event.digits,
                "gather_canceled": event.gather_canceled,
                "cause": event.cause,
                "detail": event.detail,
            }
        ),
        "received_at": now,
        "applied_at": now if is_applied else None,
        "tries": int(is_applied),
    }


def claim_event(connection: Connection, event_id: str, now: datetime) -> CallEvent | None:
    """The event, marked as applied in this transaction; None when it is applied already, or unknown."""
    row = _CLAIM.first(connection, {"id": event_id, "now": now})
    if row is None:
        return None
    type_, occurred_at, call_id, provider_call_id, kept = row
    detail = json.loads(kept)
    return CallEvent(
        event_id=event_id,
        type=EventType(type_),
        occurred_at=occurred_at,
        call_id=call_id,
        provider_call_id=provider_call_id,
        command_seq=detail["command_seq"],
        digits=detail["digits"],
        gather_canceled=detail["gather_canceled"],
        cause=None if detail["cause"] is None else HangupCause(detail["cause"]),
        detail=detail["detail"],
    )


def count_failed_try(connection: Connection, event_id: str, *, max_tries: int, now: datetime) -> bool:
    """Note that applying the event failed. Returns True after the last attempt: it is put aside, marked as applied."""
    table = webhook_events.c
    connection.execute(
        update(webhook_events)
        .where(table.event_id == event_id, table.applied_at.is_(None))
        .values(tries=table.tries + 1)
    )
    put_aside = connection.execute(
        update(webhook_events)
        .where(table.event_id == event_id, table.applied_at.is_(None), table.tries >= max_tries)
        .values(applied_at=now)
    )
    return put_aside.rowcount == 1


def list_waiting_events(connection: Connection, received_before: datetime, limit: int = 500) -> list[str]:
    """Ids of events that are not applied, oldest first."""
    table = webhook_events.c
    statement = (
        select(table.event_id)
        .where(table.applied_at.is_(None), table.received_at <= received_before)
        .order_by(table.received_at)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def count_waiting_events(connection: Connection) -> int:
    """How many events are not applied."""
    waiting = select(func.count()).select_from(webhook_events).where(webhook_events.c.applied_at.is_(None))
    return int(connection.execute(waiting).scalar_one())


def delete_old_events(connection: Connection, before: datetime) -> int:
    """Delete some of the events that were received before that time. Returns how many were deleted."""
    return delete_oldest(connection, webhook_events.c.received_at, before)
