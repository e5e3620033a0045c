"""The tables of services, of their rate limits and buckets, and of what has been counted in a bucket."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.db.schema import UtcDateTime, metadata
from letstalk.twilio.models import Bucket, RateLimit, VerifyService, is_unique_name

twilio_services = sa.Table(
    "twilio_services",
    metadata,
    sa.Column("service_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("friendly_name", sa.String(60), nullable=False),
    sa.Column("code_length", sa.Integer, nullable=False),
    sa.Column("custom_code_enabled", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
sa.Index("ix_twilio_services_user_id", twilio_services.c.owner_id)

twilio_rate_limits = sa.Table(
    "twilio_rate_limits",
    metadata,
    sa.Column("rate_limit_id", sa.String(36), primary_key=True),
    sa.Column("service_id", sa.String(36), nullable=False),
    sa.Column("unique_name", sa.String(64), nullable=False),
    sa.Column("description", sa.String(255)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
sa.Index(
    "uq_twilio_rate_limits_unique_name", twilio_rate_limits.c.service_id, twilio_rate_limits.c.unique_name, unique=True
)

twilio_buckets = sa.Table(
    "twilio_buckets",
    metadata,
    sa.Column("bucket_id", sa.String(36), primary_key=True),
    sa.Column("rate_limit_id", sa.String(36), nullable=False),
    sa.Column("max_requests", sa.Integer, nullable=False),
    sa.Column("interval_seconds", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
sa.Index("uq_twilio_buckets_interval", twilio_buckets.c.rate_limit_id, twilio_buckets.c.interval_seconds, unique=True)

# The value, such as a person's address, is kept as a keyed digest only. A window begins with its first request.
twilio_bucket_counts = sa.Table(
    "twilio_bucket_counts",
    metadata,
    sa.Column("bucket_id", sa.String(36), primary_key=True),
    sa.Column("value_digest", sa.String(64), primary_key=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False),
)
sa.Index("ix_twilio_bucket_counts_ends_at", twilio_bucket_counts.c.ends_at)

_SERVICE, _LIMIT, _BUCKET = twilio_services.c, twilio_rate_limits.c, twilio_buckets.c
_COUNT = twilio_bucket_counts.c
Condition = sa.ColumnElement[bool]


def insert_row(connection: sa.Connection, table: sa.Table, row: VerifyService | RateLimit | Bucket) -> None:
    connection.execute(sa.insert(table).values(asdict(row)))


def update_row(connection: sa.Connection, table: sa.Table, row: VerifyService | RateLimit | Bucket) -> None:
    """Write all fields of a row, which its id names."""
    values = asdict(row)
    key = table.primary_key.columns[0]
    connection.execute(sa.update(table).where(key == values[str(key.key)]).values(values))


def find_service(connection: sa.Connection, owner_id: str, service_id: str) -> VerifyService | None:
    statement = sa.select(twilio_services).where(_SERVICE.service_id == service_id, _SERVICE.owner_id == owner_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else VerifyService(*row)


def list_services(
    connection: sa.Connection, owner_id: str, *, after: str | None = None, limit: int | None = None
) -> list[VerifyService]:
    """The owner's services, newest first, after the one with the id `after`."""
    rows = _page(connection, twilio_services, _SERVICE.owner_id == owner_id, after, limit)
    return [VerifyService(*row) for row in rows]


def count_services(connection: sa.Connection, owner_id: str) -> int:
    return _count(connection, _SERVICE.owner_id == owner_id)


def delete_service(connection: sa.Connection, service_id: str) -> None:
    """Delete a service with its rate limits."""
    statement = sa.select(_LIMIT.rate_limit_id).where(_LIMIT.service_id == service_id)
    for rate_limit_id in connection.execute(statement).scalars().all():
        delete_rate_limit(connection, rate_limit_id)
    connection.execute(sa.delete(twilio_services).where(_SERVICE.service_id == service_id))


def find_rate_limit(connection: sa.Connection, service_id: str, rate_limit_id: str) -> RateLimit | None:
    return _find_rate_limit(connection, service_id, _LIMIT.rate_limit_id == rate_limit_id)


def find_rate_limit_of_name(connection: sa.Connection, service_id: str, unique_name: str) -> RateLimit | None:
    """No text that is no unique name reaches the database: PostgreSQL takes no NUL."""
    if not is_unique_name(unique_name):
        return None
    return _find_rate_limit(connection, service_id, _LIMIT.unique_name == unique_name)


def list_rate_limits(
    connection: sa.Connection, service_id: str, *, after: str | None = None, limit: int | None = None
) -> list[RateLimit]:
    rows = _page(connection, twilio_rate_limits, _LIMIT.service_id == service_id, after, limit)
    return [RateLimit(*row) for row in rows]


def delete_rate_limit(connection: sa.Connection, rate_limit_id: str) -> None:
    """Delete a rate limit with its buckets."""
    for bucket in list_buckets(connection, rate_limit_id):
        delete_bucket(connection, bucket.bucket_id)
    connection.execute(sa.delete(twilio_rate_limits).where(_LIMIT.rate_limit_id == rate_limit_id))


def find_bucket(connection: sa.Connection, rate_limit_id: str, bucket_id: str) -> Bucket | None:
    statement = sa.select(twilio_buckets).where(_BUCKET.bucket_id == bucket_id, _BUCKET.rate_limit_id == rate_limit_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else Bucket(*row)


def list_buckets(
    connection: sa.Connection, rate_limit_id: str, *, after: str | None = None, limit: int | None = None
) -> list[Bucket]:
    rows = _page(connection, twilio_buckets, _BUCKET.rate_limit_id == rate_limit_id, after, limit)
    return [Bucket(*row) for row in rows]


def delete_bucket(connection: sa.Connection, bucket_id: str) -> None:
    connection.execute(sa.delete(twilio_bucket_counts).where(_COUNT.bucket_id == bucket_id))
    connection.execute(sa.delete(twilio_buckets).where(_BUCKET.bucket_id == bucket_id))


def find_count(connection: sa.Connection, bucket_id: str, value_digest: str) -> tuple[int, datetime] | None:
    """(requests, when the window ends) of a value in a bucket."""
    row = connection.execute(
        sa.select(_COUNT.requests, _COUNT.ends_at).where(_is_count(bucket_id, value_digest))
    ).one_or_none()
    return None if row is None else (row.requests, row.ends_at)


def write_count(connection: sa.Connection, bucket_id: str, value_digest: str, requests: int, ends_at: datetime) -> None:
    """Write the count of a value, which this transaction has locked."""
    values = {"requests": requests, "ends_at": ends_at}
    is_it = _is_count(bucket_id, value_digest)
    if connection.execute(sa.update(twilio_bucket_counts).where(is_it).values(values)).rowcount == 0:
        named = {"bucket_id": bucket_id, "value_digest": value_digest}
        connection.execute(sa.insert(twilio_bucket_counts).values(named | values))


def _find_rate_limit(connection: sa.Connection, service_id: str, condition: Condition) -> RateLimit | None:
    statement = sa.select(twilio_rate_limits).where(_LIMIT.service_id == service_id, condition)
    row = connection.execute(statement).one_or_none()
    return None if row is None else RateLimit(*row)


def _is_count(bucket_id: str, value_digest: str) -> Condition:
    return sa.and_(_COUNT.bucket_id == bucket_id, _COUNT.value_digest == value_digest)


def _page(
    connection: sa.Connection, table: sa.Table, condition: Condition, after: str | None, limit: int | None
) -> list[Any]:
    """Rows in the order of their ids, the newest first."""
    key = table.primary_key.columns[0]
    statement = sa.select(table).where(condition).order_by(key.desc())
    if after is not None:
        statement = statement.where(key < after)
    return list(connection.execute(statement if limit is None else statement.limit(limit)))


def _count(connection: sa.Connection, condition: Condition) -> int:
    return int(connection.execute(sa.select(sa.func.count()).where(condition)).scalar_one())
