"""The tables of connections and of what each received."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.calls.repository import calls
from letstalk.connect.models import (
    REFUSED_KEPT,
    DeliveryWithCall,
    Outcome,
    Pointers,
    ReceivedDelivery,
    SystemConnection,
)
from letstalk.core.ids import first_id
from letstalk.db.crypto import sealed_as
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index

connections = sa.Table(
    "connections",
    metadata,
    sa.Column("connection_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", sa.String(100)),
    sa.Column("address_key", sa.String(64), nullable=False),
    sa.Column("secret_sealed", sa.Text, info=sealed_as("secrets of connections")),
    sa.Column("old_secret_sealed", sa.Text, info=sealed_as("replaced secrets of connections")),
    sa.Column("old_secret_until", UtcDateTime),
    sa.Column("default_region", sa.String(2)),
    sa.Column("locale", sa.String(35)),
    sa.Column("rate_limit", sa.String(100), nullable=False),
    sa.Column("message_types", sa.String(100)),  # separated by spaces
    sa.Column("pointers", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since", UtcDateTime),
    sa.UniqueConstraint("address_key"),
)
sa.Index("ix_connections_user_id", connections.c.owner_id)

connection_deliveries = sa.Table(
    "connection_deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(36), primary_key=True),
    sa.Column("connection_id", sa.String(36), sa.ForeignKey("connections.connection_id"), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("outcome", sa.String(10), nullable=False),
    sa.Column("code", sa.String(40)),  # of the error
    sa.Column("reason", sa.String(300)),
    sa.Column("phone", sa.String(16)),  # masked
    sa.Column("call_id", sa.String(36)),
    sa.Column("is_test", sa.Boolean, nullable=False),
)
_received = connection_deliveries.c
sa.Index("ix_connection_deliveries_connection_id", _received.connection_id, _received.delivery_id)
partial_index("ix_connection_deliveries_called", "outcome = 'called'", _received.connection_id, _received.received_at)
partial_index("ix_connection_deliveries_refused", "outcome = 'refused'", _received.connection_id, _received.delivery_id)
partial_index("ix_connection_deliveries_call_id", "call_id IS NOT NULL", _received.call_id)

_COLUMNS = tuple(column.key for column in connections.c)
_SELECT = sa.select(connections)


def connection_from(row: Sequence[Any]) -> SystemConnection:
    values = dict(zip(_COLUMNS, row, strict=True))
    types, pointers = values["message_types"], values["pointers"]
    values["message_types"] = None if types is None else tuple(types.split(" "))
    values["pointers"] = None if pointers is None else Pointers(**json.loads(pointers))
    return SystemConnection(**values)


def values_of(connection: SystemConnection) -> dict[str, Any]:
    values = {name: getattr(connection, name) for name in _COLUMNS}
    types, pointers = connection.message_types, connection.pointers
    values["message_types"] = None if types is None else " ".join(types)
    values["pointers"] = None if pointers is None else json.dumps(asdict(pointers))
    return values


def insert_connection(db: sa.Connection, connection: SystemConnection) -> None:
    db.execute(sa.insert(connections).values(values_of(connection)))


def update_connection(db: sa.Connection, connection: SystemConnection) -> None:
    """Write all fields of a connection that this transaction has locked."""
    of_connection = connections.c.connection_id == connection.connection_id
    db.execute(sa.update(connections).where(of_connection).values(values_of(connection)))


def find_connection(db: sa.Connection, connection_id: str, *, for_update: bool = False) -> SystemConnection | None:
    statement = _SELECT.where(connections.c.connection_id == connection_id)
    row = db.execute(statement.with_for_update() if for_update else statement).one_or_none()
    return None if row is None else connection_from(row)


def find_by_address(db: sa.Connection, kind: str, address_key: str) -> SystemConnection | None:
    of_address = (connections.c.address_key == address_key) & (connections.c.kind == kind)
    row = db.execute(_SELECT.where(of_address)).one_or_none()
    return None if row is None else connection_from(row)


def list_connections(
    db: sa.Connection, owner_ids: frozenset[str] | None, *, after: str | None = None, limit: int
) -> list[SystemConnection]:
    """The connections of these owners (None: of all), newest first. `after` is the last id of the page before."""
    statement = _SELECT
    if owner_ids is not None:
        statement = statement.where(connections.c.owner_id.in_(owner_ids))
    if after is not None:
        statement = statement.where(connections.c.connection_id < after)
    rows = db.execute(statement.order_by(connections.c.connection_id.desc()).limit(limit))
    return [connection_from(row) for row in rows]


def list_failing(db: sa.Connection, owner_ids: frozenset[str] | None, *, limit: int) -> list[SystemConnection]:
    """Those of these owners (None: of all) that fail, newest first."""
    statement = _SELECT.where(connections.c.failing_since.is_not(None))
    if owner_ids is not None:
        statement = statement.where(connections.c.owner_id.in_(owner_ids))
    rows = db.execute(statement.order_by(connections.c.connection_id.desc()).limit(limit))
    return [connection_from(row) for row in rows]


def count_connections(db: sa.Connection, owner_id: str) -> int:
    count = sa.select(sa.func.count()).select_from(connections).where(connections.c.owner_id == owner_id)
    return int(db.execute(count).scalar_one())


def delete_connection(db: sa.Connection, connection_id: str) -> None:
    """Delete a connection with the record of its deliveries. Its calls stay."""
    db.execute(sa.delete(connection_deliveries).where(_received.connection_id == connection_id))
    db.execute(sa.delete(connections).where(connections.c.connection_id == connection_id))


def note_success(db: sa.Connection, connection_id: str) -> None:
    """A call was placed: the connection does not fail, or not any more."""
    table = connections.c
    had_failures = (table.connection_id == connection_id) & ((table.failures > 0) | table.failing_since.is_not(None))
    db.execute(sa.update(connections).where(had_failures).values(failures=0, failing_since=None))


def insert_delivery(db: sa.Connection, delivery: ReceivedDelivery) -> None:
    values = asdict(delivery) | {"outcome": delivery.outcome.value}
    db.execute(sa.insert(connection_deliveries).values(values))


def list_deliveries(
    db: sa.Connection, connection_id: str, *, after: str | None = None, limit: int
) -> list[DeliveryWithCall]:
    """The newest deliveries with their calls, newest first. `after` is the last id of the page before."""
    with_calls = connection_deliveries.outerjoin(calls, calls.c.call_id == _received.call_id)
    statement = (
        sa.select(*_received, calls.c.status, calls.c.reason)
        .select_from(with_calls)
        .where(_received.connection_id == connection_id)
    )
    if after is not None:
        statement = statement.where(_received.delivery_id < after)
    rows = db.execute(statement.order_by(_received.delivery_id.desc()).limit(limit))
    return [DeliveryWithCall(_delivery_from(row[:-2]), row[-2], row[-1]) for row in rows]


def find_called_before(db: sa.Connection, connection_id: str, since: datetime, amount: int) -> datetime | None:
    """When the call was placed after which `amount - 1` more were placed; None with fewer calls since then."""
    statement = (
        sa.select(_received.received_at)
        .where(
            _received.connection_id == connection_id,
            sa.text("connection_deliveries.outcome = 'called'"),
            _received.received_at > since,
        )
        .order_by(_received.received_at.desc())
        .offset(amount - 1)
        .limit(1)
    )
    at: datetime | None = db.execute(statement).scalar_one_or_none()
    return at


def list_of_calls(db: sa.Connection, call_ids: list[str]) -> list[ReceivedDelivery]:
    """The deliveries that these calls came from, oldest first."""
    statement = sa.select(connection_deliveries).where(_received.call_id.in_(call_ids))
    return [_delivery_from(row) for row in db.execute(statement.order_by(_received.delivery_id))]


def delete_of_calls(db: sa.Connection, call_ids: list[str]) -> None:
    db.execute(sa.delete(connection_deliveries).where(_received.call_id.in_(call_ids)))


def delete_old_deliveries(db: sa.Connection, before: datetime) -> int:
    """Delete some of the deliveries before that time, oldest first. Returns how many were deleted."""
    oldest = sa.select(_received.delivery_id).where(_received.delivery_id < first_id(before))
    chosen = oldest.order_by(_received.delivery_id).limit(BATCH)
    return db.execute(sa.delete(connection_deliveries).where(_received.delivery_id.in_(chosen))).rowcount


def delete_surplus_refusals(db: sa.Connection) -> int:
    """Delete refused deliveries beyond the newest of each connection. Returns how many were deleted."""
    place = sa.func.row_number().over(partition_by=_received.connection_id, order_by=_received.delivery_id.desc())
    is_refused = sa.text("connection_deliveries.outcome = 'refused'")
    placed = sa.select(_received.delivery_id, place.label("place")).where(is_refused).subquery()
    surplus = sa.select(placed.c.delivery_id).where(placed.c.place > REFUSED_KEPT).limit(BATCH)
    return db.execute(sa.delete(connection_deliveries).where(_received.delivery_id.in_(surplus))).rowcount


def _delivery_from(row: Sequence[Any]) -> ReceivedDelivery:
    delivery = ReceivedDelivery(*row)
    return replace(delivery, outcome=Outcome(delivery.outcome))
