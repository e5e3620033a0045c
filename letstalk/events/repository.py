"""The table of events for apps, and reading it. `recording` fills it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.core.ids import first_id
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.events.models import AppEvent, AppEventType, EventFilter

app_events = sa.Table(
    "app_events",
    metadata,
    sa.Column("event_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # No foreign keys: each would be checked in every send and check. Both are deleted together.
    sa.Column("subject_id", sa.String(36)),
    sa.Column("call_id", sa.String(36)),
    sa.Column("sequence", sa.Integer),
    sa.Column("detail", sa.Text, nullable=False),
    # Somebody listens, and has no delivery of it yet.
    sa.Column("is_waiting", sa.Boolean, nullable=False),
)
sa.Index("ix_app_events_user_id", app_events.c.owner_id, app_events.c.event_id)
partial_index("ix_app_events_subject_id", "subject_id IS NOT NULL", app_events.c.subject_id, app_events.c.sequence)
partial_index("ix_app_events_waiting", "is_waiting", app_events.c.event_id)

MOST_SEARCHED = 5_000
IS_WAITING = sa.text("app_events.is_waiting")
_COLUMNS = ("event_id", "owner_id", "type", "created_at", "subject_id", "call_id", "detail")
_SELECT = sa.select(*(app_events.c[name] for name in (*_COLUMNS[:-1], "sequence", "detail")))


def find_event(connection: sa.Connection, owner_id: str, event_id: str) -> AppEvent | None:
    of_owner = (app_events.c.event_id == event_id) & (app_events.c.owner_id == owner_id)
    row = connection.execute(_SELECT.where(of_owner)).one_or_none()
    return None if row is None else event_from(row)


def find_any_event(connection: sa.Connection, event_id: str) -> AppEvent | None:
    """The event with that id, of any owner."""
    row = connection.execute(_SELECT.where(app_events.c.event_id == event_id)).one_or_none()
    return None if row is None else event_from(row)


def list_events(
    connection: sa.Connection, owner_id: str, wanted: EventFilter, *, after: str | None, limit: int
) -> list[AppEvent]:
    """The owner's events, newest first. `after` is the id of the last one on the page before."""
    table = app_events.c
    statement = _SELECT.where(table.owner_id == owner_id)
    if wanted.types is not None:
        statement = statement.where(table.type.in_([type_.value for type_ in wanted.types]))
    if wanted.since is not None:
        statement = statement.where(table.event_id >= first_id(wanted.since), table.created_at >= wanted.since)
    if wanted.before is not None:
        statement = statement.where(table.created_at < wanted.before)
    if wanted.subject_id is not None:
        statement = statement.where(table.subject_id == wanted.subject_id)
    if after is not None:
        statement = statement.where(table.event_id < after)
    rows = connection.execute(statement.order_by(table.event_id.desc()).limit(limit))
    return [event_from(row) for row in rows]


def event_from(row: Sequence[Any]) -> AppEvent:
    event_id, owner_id, type_, created_at, subject_id, call_id, sequence, detail = row
    about = (subject_id, call_id, sequence, json.loads(detail))
    return AppEvent(event_id, owner_id, AppEventType(type_), created_at, *about)


def list_newest(
    connection: sa.Connection,
    owner_ids: frozenset[str] | None,
    *,
    after: str | None,
    limit: int,
    type_: AppEventType | None = None,
) -> list[AppEvent]:
    """The newest events of these owners (None: of all) that came after the event `after`, newest first.

    With `type_`, those of that type among the newest `MOST_SEARCHED`: there is no index by type.
    """
    statement = _SELECT
    if owner_ids is not None:
        statement = statement.where(app_events.c.owner_id.in_(owner_ids))
    if after is not None:
        statement = statement.where(app_events.c.event_id > after)
    statement = statement.order_by(app_events.c.event_id.desc())
    if type_ is not None:
        newest = statement.limit(MOST_SEARCHED).subquery()
        statement = sa.select(newest).where(newest.c.type == type_.value).order_by(newest.c.event_id.desc())
    return [event_from(row) for row in connection.execute(statement.limit(limit))]


def list_waiting(connection: sa.Connection, limit: int) -> Sequence[Any]:
    """The rows of the oldest events that somebody listens for and that have no deliveries yet, locked."""
    statement = _SELECT.where(IS_WAITING).order_by(app_events.c.event_id).limit(limit)
    return connection.execute(statement.with_for_update(skip_locked=True)).all()


def delete_events_about(connection: sa.Connection, subject_ids: list[str]) -> None:
    """Delete the events of these verifications, or other subjects of calls, and of their calls."""
    connection.execute(sa.delete(app_events).where(app_events.c.subject_id.in_(subject_ids)))


def delete_old_events(connection: sa.Connection, before: datetime, limit: int = BATCH) -> int:
    """Delete some of the events before that time, oldest first. Returns how many were deleted."""
    event_id = app_events.c.event_id
    oldest = sa.select(event_id).where(event_id < first_id(before)).order_by(event_id).limit(limit)
    deleted = sa.delete(app_events).where(event_id.in_(oldest.with_for_update(skip_locked=True)))
    return connection.execute(deleted).rowcount
