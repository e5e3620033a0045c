"""The tables of webhook deliveries and of the tries of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime

import sqlalchemy as sa

from letstalk.core.ids import first_id
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement, insert_into
from letstalk.events.endpoint_models import LEASE, MAX_AT_ONCE, Attempt, Delivery
from letstalk.events.endpoint_repository import webhook_endpoints

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(36), primary_key=True),
    sa.Column("endpoint_id", sa.String(36), sa.ForeignKey("webhook_endpoints.endpoint_id"), nullable=False),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("subject_id", sa.String(36)),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # the same at each try
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcDateTime),  # null when it is over, or is being tried
    sa.Column("leased_until", UtcDateTime),
    sa.Column("is_manual", sa.Boolean, nullable=False),  # the next try was asked for by a person
    sa.Column("delivered_at", UtcDateTime),
    sa.UniqueConstraint("endpoint_id", "event_id"),
)
partial_index("ix_webhook_deliveries_due", "next_attempt_at IS NOT NULL", webhook_deliveries.c.next_attempt_at)
partial_index("ix_webhook_deliveries_leased", "leased_until IS NOT NULL", webhook_deliveries.c.leased_until)
partial_index(
    "ix_webhook_deliveries_endpoint_id_due",
    "next_attempt_at IS NOT NULL",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.next_attempt_at,
)
sa.Index("ix_webhook_deliveries_endpoint_id", webhook_deliveries.c.endpoint_id, webhook_deliveries.c.delivery_id)
partial_index("ix_webhook_deliveries_subject_id", "subject_id IS NOT NULL", webhook_deliveries.c.subject_id)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column("attempt_id", sa.String(36), primary_key=True),
    sa.Column("delivery_id", sa.String(36), sa.ForeignKey("webhook_deliveries.delivery_id"), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("response_status", sa.Integer),
    sa.Column("response_body", sa.Text),
    sa.Column("error", sa.String(200)),
    sa.Column("is_manual", sa.Boolean, nullable=False),
)
sa.Index("ix_webhook_attempts_delivery_id", webhook_attempts.c.delivery_id, webhook_attempts.c.attempt_id)

_IS_DUE = sa.and_(
    webhook_deliveries.c.next_attempt_at.is_not(None),
    webhook_deliveries.c.next_attempt_at <= sa.bindparam("now", type_=UtcDateTime),
)
_FIELDS = tuple(field.name for field in fields(Delivery))
_others = webhook_deliveries.alias("others")
_COUNT_OF_LEASED = (
    sa.select(sa.func.count())
    .where(_others.c.endpoint_id == webhook_endpoints.c.endpoint_id, _others.c.leased_until.is_not(None))
    .scalar_subquery()
)
# Grouped first: a backlog is thousands of entries of one index, and no more than that is read of it.
_with_due = (
    sa.select(webhook_deliveries.c.endpoint_id).where(_IS_DUE).group_by(webhook_deliveries.c.endpoint_id).subquery()
)
_ENDPOINTS_WITH_DUE = Statement(
    sa.select(webhook_endpoints.c.endpoint_id, webhook_endpoints.c.failing_since, _COUNT_OF_LEASED).join(
        _with_due, _with_due.c.endpoint_id == webhook_endpoints.c.endpoint_id
    )
)
_FIRST_DUE_OF = Statement(
    sa.select(webhook_deliveries)
    .where(webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint_id"), _IS_DUE)
    .order_by(webhook_deliveries.c.next_attempt_at)
    .limit(sa.literal_column(str(MAX_AT_ONCE)))
)


def insert_deliveries(connection: sa.Connection, deliveries: Iterable[Delivery]) -> None:
    """Insert deliveries, at least one. Skips those that exist: an endpoint is sent an event once."""
    statement = insert_into(webhook_deliveries, connection.dialect.name)
    statement = statement.on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"])
    connection.execute(statement, [{name: getattr(each, name) for name in _FIELDS} for each in deliveries])


def has_due(connection: sa.Connection, now: datetime) -> bool:
    """Whether a delivery is due, or a worker has died while it tried one."""
    table = webhook_deliveries.c
    due = sa.select(table.delivery_id).where(table.next_attempt_at.is_not(None), table.next_attempt_at <= now)
    lost = sa.select(table.delivery_id).where(table.leased_until.is_not(None), table.leased_until <= now)
    return any(connection.execute(statement.limit(1)).first() is not None for statement in (due, lost))


def put_back_lost(connection: sa.Connection, now: datetime) -> None:
    """Make the deliveries due whose worker has died."""
    table = webhook_deliveries.c
    lost = table.leased_until.is_not(None) & (table.leased_until <= now)
    connection.execute(sa.update(webhook_deliveries).where(lost).values(leased_until=None, next_attempt_at=now))


def lease_due(connection: sa.Connection, now: datetime, limit: int, most_of_one: int = MAX_AT_ONCE) -> list[Delivery]:
    """Lease up to `limit` deliveries that are due, the oldest first.

    An endpoint gets `most_of_one` at a time, those of other workers included. One that fails gets one at a time, and
    what a person asks for. So what waits for failing endpoints does not stand before everybody else's.

    Call it under a lock, so that two workers do not count the same places.
    """
    found: list[Delivery] = []
    for endpoint_id, failing_since, count_of_leased in _ENDPOINTS_WITH_DUE.all(connection, {"now": now}):
        places = most_of_one if failing_since is None else 1
        due = _FIRST_DUE_OF.all(connection, {"endpoint_id": endpoint_id, "now": now})
        for place, delivery in enumerate((Delivery(*row) for row in due), start=count_of_leased + 1):
            if place <= (MAX_AT_ONCE if delivery.is_manual else places):
                found.append(delivery)
    leased = sorted(found, key=_when_due)[:limit]
    if leased:
        table = webhook_deliveries.c
        ids = [delivery.delivery_id for delivery in leased]
        taken = sa.update(webhook_deliveries).where(table.delivery_id.in_(ids))
        connection.execute(taken.values(leased_until=now + LEASE, next_attempt_at=None, attempts=table.attempts + 1))
    return leased


def _when_due(delivery: Delivery) -> tuple[datetime | None, str]:
    return delivery.next_attempt_at, delivery.delivery_id


def note_attempt(
    connection: sa.Connection, attempt: Attempt, next_attempt_at: datetime | None, delivered_at: datetime | None
) -> None:
    """Record a try of a delivery that this worker has leased, and when the next one is."""
    connection.execute(sa.insert(webhook_attempts).values(asdict(attempt)))
    values = {"leased_until": None, "next_attempt_at": next_attempt_at, "is_manual": False}
    values |= {} if delivered_at is None else {"delivered_at": delivered_at}
    of_delivery = webhook_deliveries.c.delivery_id == attempt.delivery_id
    connection.execute(sa.update(webhook_deliveries).where(of_delivery).values(values))


def find_delivery(connection: sa.Connection, endpoint_id: str, delivery_id: str) -> Delivery | None:
    table = webhook_deliveries.c
    statement = sa.select(webhook_deliveries).where(table.delivery_id == delivery_id, table.endpoint_id == endpoint_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else Delivery(*row)


def list_deliveries(
    connection: sa.Connection, endpoint_id: str, *, status: str | None = None, after: str | None = None, limit: int
) -> list[Delivery]:
    """The deliveries to an endpoint, newest first. `status` is one of `Delivery.status`."""
    table = webhook_deliveries.c
    is_over = table.next_attempt_at.is_(None) & table.leased_until.is_(None)
    conditions = {
        "delivered": table.delivered_at.is_not(None),
        "failed": table.delivered_at.is_(None) & is_over,
        "pending": table.delivered_at.is_(None) & ~is_over,
    }
    statement = sa.select(webhook_deliveries).where(table.endpoint_id == endpoint_id)
    if status is not None:
        statement = statement.where(conditions[status])
    if after is not None:
        statement = statement.where(table.delivery_id < after)
    rows = connection.execute(statement.order_by(table.delivery_id.desc()).limit(limit))
    return [Delivery(*row) for row in rows]


def list_attempts(connection: sa.Connection, delivery_id: str) -> list[Attempt]:
    """The tries of a delivery, oldest first."""
    table = webhook_attempts.c
    statement = sa.select(webhook_attempts).where(table.delivery_id == delivery_id).order_by(table.attempt_id)
    return [Attempt(*row) for row in connection.execute(statement)]


def count_attempts(connection: sa.Connection, endpoint_id: str, since: datetime) -> tuple[int, int]:
    """(accepted, all) tries of an endpoint's deliveries since then."""
    table = webhook_attempts.c
    is_accepted = table.response_status.between(200, 299)
    statement = (
        sa.select(sa.func.count().filter(is_accepted), sa.func.count())
        .select_from(webhook_attempts.join(webhook_deliveries, webhook_deliveries.c.delivery_id == table.delivery_id))
        .where(webhook_deliveries.c.endpoint_id == endpoint_id, table.attempt_id >= first_id(since))
    )
    accepted, tried = connection.execute(statement).one()
    return int(accepted), int(tried)


def try_again_now(connection: sa.Connection, delivery_ids: list[str], now: datetime) -> int:
    """Make deliveries due that no worker is trying. Returns how many."""
    table = webhook_deliveries.c
    idle = table.delivery_id.in_(delivery_ids) & table.leased_until.is_(None)
    values = {"next_attempt_at": now, "is_manual": True, "attempts": 0}
    return connection.execute(sa.update(webhook_deliveries).where(idle).values(values)).rowcount


def give_up_all(connection: sa.Connection, endpoint_id: str) -> None:
    """End the deliveries to an endpoint that wait for their next try."""
    table = webhook_deliveries.c
    waiting = (table.endpoint_id == endpoint_id) & table.next_attempt_at.is_not(None)
    connection.execute(sa.update(webhook_deliveries).where(waiting).values(next_attempt_at=None))


def list_events_delivered(connection: sa.Connection, endpoint_id: str, event_ids: list[str]) -> dict[str, str]:
    """By event id, the id of its delivery to an endpoint, of those that have one."""
    table = webhook_deliveries.c
    statement = sa.select(table.event_id, table.delivery_id).where(
        table.endpoint_id == endpoint_id, table.event_id.in_(event_ids)
    )
    return {row.event_id: row.delivery_id for row in connection.execute(statement)}


def delete_deliveries(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    """Delete deliveries with their tries. Returns how many were deleted."""
    ids = list(connection.execute(sa.select(webhook_deliveries.c.delivery_id).where(condition)).scalars())
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        connection.execute(sa.delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(batch)))
        connection.execute(sa.delete(webhook_deliveries).where(webhook_deliveries.c.delivery_id.in_(batch)))
    return len(ids)


def delete_deliveries_about(connection: sa.Connection, subject_ids: list[str]) -> None:
    """Delete what was or will be sent about these verifications, or other subjects of calls."""
    delete_deliveries(connection, webhook_deliveries.c.subject_id.in_(subject_ids))


def delete_deliveries_to(connection: sa.Connection, endpoint_id: str) -> None:
    delete_deliveries(connection, webhook_deliveries.c.endpoint_id == endpoint_id)


def delete_old_deliveries(connection: sa.Connection, before: datetime, limit: int = BATCH) -> int:
    """Delete some of the deliveries that were made before that time. Returns how many were deleted."""
    delivery_id = webhook_deliveries.c.delivery_id
    oldest = sa.select(delivery_id).where(delivery_id < first_id(before)).order_by(delivery_id).limit(limit)
    return delete_deliveries(connection, delivery_id.in_(oldest.with_for_update(skip_locked=True)))
