"""The table of webhook endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.events.endpoint_models import FAILING_REASON, GONE_REASON, Endpoint
from letstalk.events.models import AppEventType

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("endpoint_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("description", sa.String(200)),
    sa.Column("types", sa.Text),  # separated by spaces; null for all
    sa.Column("shows_phones", sa.Boolean, nullable=False),
    sa.Column("secret_sealed", sa.Text, nullable=False, info=sealed_as("secrets of webhook endpoints")),
    sa.Column("old_secret_sealed", sa.Text, info=sealed_as("replaced secrets of webhook endpoints")),
    sa.Column("old_secret_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("failing_since", UtcDateTime),
    sa.Column("disabled_at", UtcDateTime),
    sa.Column("disabled_reason", sa.String(200)),
)
sa.Index("ix_webhook_endpoints_user_id", webhook_endpoints.c.owner_id)

_COLUMNS = tuple(column.key for column in webhook_endpoints.c)
_SELECT = sa.select(webhook_endpoints)


def endpoint_from(row: Sequence[Any]) -> Endpoint:
    values = dict(zip(_COLUMNS, row, strict=True))
    types = values["types"]
    values["types"] = None if types is None else tuple(AppEventType(name) for name in types.split(" "))
    return Endpoint(**values)


def insert_endpoint(connection: sa.Connection, endpoint: Endpoint) -> None:
    connection.execute(sa.insert(webhook_endpoints).values(values_of(endpoint)))


def update_endpoint(connection: sa.Connection, endpoint: Endpoint) -> None:
    """Write all fields of an endpoint that this transaction has locked."""
    of_endpoint = webhook_endpoints.c.endpoint_id == endpoint.endpoint_id
    connection.execute(sa.update(webhook_endpoints).where(of_endpoint).values(values_of(endpoint)))


def values_of(endpoint: Endpoint) -> dict[str, Any]:
    values = {name: getattr(endpoint, name) for name in _COLUMNS}
    types = endpoint.types
    return values | {"types": None if types is None else " ".join(type_.value for type_ in types)}


def find_endpoint(connection: sa.Connection, endpoint_id: str, *, for_update: bool = False) -> Endpoint | None:
    statement = _SELECT.where(webhook_endpoints.c.endpoint_id == endpoint_id)
    row = connection.execute(statement.with_for_update() if for_update else statement).one_or_none()
    return None if row is None else endpoint_from(row)


def find_endpoints(connection: sa.Connection, endpoint_ids: set[str]) -> dict[str, Endpoint]:
    """The endpoints with these ids, by id."""
    rows = connection.execute(_SELECT.where(webhook_endpoints.c.endpoint_id.in_(endpoint_ids)))
    return {endpoint.endpoint_id: endpoint for endpoint in map(endpoint_from, rows)}


def list_endpoints(
    connection: sa.Connection, owner_ids: frozenset[str] | None, *, after: str | None = None, limit: int
) -> list[Endpoint]:
    """The endpoints of these owners (None: of all), newest first. `after` is the last id of the page before."""
    statement = _SELECT
    if owner_ids is not None:
        statement = statement.where(webhook_endpoints.c.owner_id.in_(owner_ids))
    if after is not None:
        statement = statement.where(webhook_endpoints.c.endpoint_id < after)
    rows = connection.execute(statement.order_by(webhook_endpoints.c.endpoint_id.desc()).limit(limit))
    return [endpoint_from(row) for row in rows]


def list_troubled(connection: sa.Connection, owner_ids: frozenset[str] | None, *, limit: int) -> list[Endpoint]:
    """Those of these owners (None: of all) that fail, or were disabled for a reason of their own, newest first."""
    table = webhook_endpoints.c
    is_failing = table.failing_since.is_not(None) & table.disabled_at.is_(None)
    was_disabled = table.disabled_at.is_not(None) & table.disabled_reason.in_((GONE_REASON, FAILING_REASON))
    statement = _SELECT.where(is_failing | was_disabled)
    if owner_ids is not None:
        statement = statement.where(table.owner_id.in_(owner_ids))
    rows = connection.execute(statement.order_by(table.endpoint_id.desc()).limit(limit))
    return [endpoint_from(row) for row in rows]


def count_endpoints(connection: sa.Connection, owner_id: str) -> int:
    of_owner = webhook_endpoints.c.owner_id == owner_id
    count = sa.select(sa.func.count()).select_from(webhook_endpoints).where(of_owner)
    return int(connection.execute(count).scalar_one())


def list_listening(connection: sa.Connection, owner_ids: set[str]) -> list[Endpoint]:
    """The endpoints of these owners that are not disabled."""
    table = webhook_endpoints.c
    rows = connection.execute(_SELECT.where(table.owner_id.in_(owner_ids), table.disabled_at.is_(None)))
    return [endpoint_from(row) for row in rows]


def note_failure(connection: sa.Connection, endpoint_id: str, now: datetime) -> None:
    """Note that deliveries fail from now on, unless they failed before."""
    table = webhook_endpoints.c
    first = (table.endpoint_id == endpoint_id) & table.failing_since.is_(None)
    connection.execute(sa.update(webhook_endpoints).where(first).values(failing_since=now))


def note_success(connection: sa.Connection, endpoint_id: str) -> None:
    table = webhook_endpoints.c
    was_failing = (table.endpoint_id == endpoint_id) & table.failing_since.is_not(None)
    connection.execute(sa.update(webhook_endpoints).where(was_failing).values(failing_since=None))


def disable_endpoint(connection: sa.Connection, endpoint_id: str, reason: str, now: datetime) -> bool:
    """Returns False when it was disabled already."""
    table = webhook_endpoints.c
    enabled = (table.endpoint_id == endpoint_id) & table.disabled_at.is_(None)
    changed = sa.update(webhook_endpoints).where(enabled).values(disabled_at=now, disabled_reason=reason)
    return connection.execute(changed).rowcount == 1


def delete_endpoint(connection: sa.Connection, endpoint_id: str) -> None:
    """Delete an endpoint whose deliveries are deleted."""
    connection.execute(sa.delete(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id))
