"""The table of audit events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, Index, String, Table, Text, select

from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

audit_events = Table(
    "audit_events",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor_kind", String(32)),
    Column("actor_user_id", String(128), key="actor_owner_id"),
    Column("actor_token_id", String(36)),
    # No foreign key: an event outlives its token.
    Column("token_id", String(36)),
    Column("actor_account_id", String(36)),
    Column("account_id", String(36)),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("detail", Text, nullable=False),
    CheckConstraint("length(action) BETWEEN 1 AND 64", name="action_length"),
    CheckConstraint("detail LIKE '{%}'", name="detail_object"),
    Index(None, "at"),
    Index(None, "token_id", "at"),
    Index(None, "account_id", "at"),
)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One entry. `action` is a dotted word (`token.created`, `refused`); `detail` is JSON, without any secret."""

    event_id: str
    at: datetime
    action: str
    actor_kind: str | None = None
    actor_owner_id: str | None = None
    actor_token_id: str | None = None
    token_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    actor_account_id: str | None = None
    account_id: str | None = None


def insert_events(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Write `events`, at least one. Skips those that exist: a commit whose result was lost is repeated."""
    connection.execute(
        insert_into(audit_events, connection.dialect.name).on_conflict_do_nothing(index_elements=["event_id"]),
        [{**asdict(event), "detail": json.dumps(event.detail)} for event in events],
    )


def put_counts(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Write `events`, at least one, or replace the `detail` of those that exist."""
    statement = insert_into(audit_events, connection.dialect.name)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["event_id"], set_={"detail": statement.excluded.detail}),
        [{**asdict(event), "detail": json.dumps(event.detail)} for event in events],
    )


def list_events(
    connection: Connection,
    *,
    token_id: str | None = None,
    account_id: str | None = None,
    action: str | None = None,
    limit: int = 100,
) -> list[AuditEvent]:
    """The newest `limit` events, newest first, of one token, account or action if given."""
    query = select(audit_events).order_by(audit_events.c.at.desc(), audit_events.c.event_id).limit(limit)
    for name, value in (("token_id", token_id), ("account_id", account_id), ("action", action)):
        if value is not None:
            query = query.where(audit_events.c[name] == value)
    fields = [column.key for column in audit_events.c]
    rows = (dict(zip(fields, row, strict=True)) for row in connection.execute(query))
    return [AuditEvent(**{**row, "detail": json.loads(row["detail"])}) for row in rows]


def erase_events(connection: Connection, before: datetime) -> int:
    """Delete some of the events before `before`, oldest first. Returns how many it deleted."""
    return delete_oldest(connection, audit_events.c.at, before)
