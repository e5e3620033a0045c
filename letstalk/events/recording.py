"""Recording events for apps, so that none is lost and none is made up.

An event is recorded in the transaction of its change. The two that happen most often, those of a send and of a right
code, are only marked there: in the row of the verification, by the statement that changes the row anyway. A statement
of its own for such an event would make a check a tenth slower. A marked event is *due*. The background thread records
the due events of many rows at once. Reading events records all due events first, and recording an event of a
verification records those of that verification first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from letstalk.core.ids import new_id
from letstalk.db.database import BATCH, MAX_BATCHES, Database
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import Statement
from letstalk.events.models import AppEventType, DueEvents, NewEvent
from letstalk.events.repository import app_events
from letstalk.observability.logs import get_logger

log = get_logger(__name__)


# These tables are in packages that use this one. The endpoints' is one that a send and a check need not load.
_verifications = sa.table(
    "verifications",
    sa.column("verification_id", sa.String),
    sa.column("user_id", sa.String),
    sa.column("created_at", UtcDateTime),
    sa.column("approved_at", UtcDateTime),
    sa.column("events_due", sa.Integer),
)
_calls = sa.table(
    "calls", sa.column("call_id", sa.String), sa.column("subject_id", sa.String), sa.column("created_at", UtcDateTime)
)
_endpoints = sa.table("webhook_endpoints", sa.column("user_id", sa.String), sa.column("disabled_at", UtcDateTime))

# The exact text of the partial index: SQLite does not use it for a parameter.
ARE_DUE = sa.text("verifications.events_due > 0")

_others = app_events.alias("others")
_GIVEN = ("event_id", "owner_id", "type", "created_at", "subject_id", "call_id", "detail")
_INSERT = Statement(
    sa.insert(app_events).values(
        {name: sa.bindparam(name) for name in _GIVEN}
        | {
            "sequence": sa.bindparam("first", type_=sa.Integer)
            + sa.select(sa.func.coalesce(sa.func.max(_others.c.sequence), 0))
            .where(_others.c.subject_id == sa.bindparam("subject_id"))
            .scalar_subquery(),
            "is_waiting": sa.exists().where(
                _endpoints.c.user_id == sa.bindparam("owner_id"), _endpoints.c.disabled_at.is_(None)
            ),
        }
    )
)
_INSERT_DUE = Statement(sa.insert(app_events).values({each.key: sa.bindparam(each.key) for each in app_events.c}))
_CREATED, _APPROVED = (event.value for event in DueEvents)
_first_call = (
    sa.select(_calls.c.call_id)
    .where(_calls.c.subject_id == _verifications.c.verification_id)
    .order_by(_calls.c.created_at)
    .limit(1)
    .scalar_subquery()
)
_SELECT_DUE = (
    sa.select(*_verifications.c, _first_call).where(ARE_DUE).with_for_update(skip_locked=True, of=_verifications)
)
_DUE_OF_ONE = Statement(_SELECT_DUE.where(_verifications.c.verification_id == sa.bindparam("subject_id")))


def record_event(connection: sa.Connection, event: NewEvent, now: datetime) -> str:
    """Record an event in the transaction of its change. Returns its id.

    Its number is one more than that of the last event of its subject. Two events of two transactions at the very
    same time may share a number on PostgreSQL.
    """
    if event.subject_id is not None:
        due = _DUE_OF_ONE.all(connection, {"subject_id": event.subject_id})
        if due:
            _record(connection, due)
    event_id = new_id(now)
    _INSERT.execute(
        connection,
        {
            "event_id": event_id,
            "owner_id": event.owner_id,
            "type": event.type.value,
            "created_at": now,
            "subject_id": event.subject_id,
            "call_id": event.call_id,
            "detail": json.dumps(event.detail) if event.detail else "{}",
            "first": None if event.subject_id is None else 1,
        },
    )
    return event_id


def record_due_events(connection: sa.Connection) -> int:
    """Record the due events of some verifications. Returns how many verifications; those locked by others are left."""
    due = connection.execute(_SELECT_DUE.limit(BATCH)).all()
    if due:
        _record(connection, due)
    return len(due)


def record_all_due_events(db: Database) -> None:
    """Record the due events of all verifications, in transactions of their own, and write nothing where none is due."""
    for _ in range(MAX_BATCHES):
        with db.read() as connection:
            are_due = connection.execute(sa.select(_verifications.c.events_due).where(ARE_DUE).limit(1)).first()
        if are_due is None:
            return
        with db.write() as connection:
            if not record_due_events(connection):
                return  # others record them at this moment


def try_to_record_all_due_events(db: Database) -> None:
    """The same for a reader, who also reads while the database can't be written to."""
    try:
        record_all_due_events(db)
    except SQLAlchemyError as error:
        log.warning("due_events_not_recorded", error=type(error).__name__)


def _record(connection: sa.Connection, due: Sequence[Sequence[Any]]) -> None:
    last_sequences = _find_last_sequences(connection, due)
    listening = _find_listening(connection, {owner_id for _, owner_id, *_ in due})
    rows = []
    for verification_id, owner_id, created_at, approved_at, due_events, call_id in due:
        sequence = last_sequences.get(verification_id, 0)
        for mark, type_, happened_at, call_of_event in (
            (_CREATED, AppEventType.VERIFICATION_CREATED, created_at, call_id),
            (_APPROVED, AppEventType.VERIFICATION_APPROVED, approved_at, None),
        ):
            if due_events & mark:
                sequence += 1
                rows.append(
                    {
                        "event_id": new_id(happened_at),
                        "owner_id": owner_id,
                        "type": type_.value,
                        "created_at": happened_at,
                        "subject_id": verification_id,
                        "call_id": call_of_event,
                        "sequence": sequence,
                        "detail": "{}",
                        "is_waiting": owner_id in listening,
                    }
                )
    _INSERT_DUE.execute_many(connection, rows)
    ids = [verification_id for verification_id, *_ in due]
    connection.execute(sa.update(_verifications).where(_verifications.c.verification_id.in_(ids)).values(events_due=0))


def _find_last_sequences(connection: sa.Connection, due: Sequence[Sequence[Any]]) -> dict[str, int]:
    """The highest number of an event of each verification that has recorded ones."""
    table = app_events.c
    # `created` is the first event.
    ids = [verification_id for verification_id, _, _, _, due_events, _ in due if not due_events & _CREATED]
    if not ids:
        return {}
    rows = connection.execute(
        sa.select(table.subject_id, sa.func.max(table.sequence))
        .where(table.subject_id.in_(ids))
        .group_by(table.subject_id)
    )
    return {row[0]: row[1] for row in rows}


def _find_listening(connection: sa.Connection, owner_ids: set[str]) -> set[str]:
    """Those of these owners that have an endpoint which is not disabled."""
    table = _endpoints.c
    rows = connection.execute(
        sa.select(table.user_id).distinct().where(table.user_id.in_(owner_ids), table.disabled_at.is_(None))
    )
    return set(rows.scalars())
