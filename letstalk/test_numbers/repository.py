"""The table of test numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.test_numbers.models import TestNumber

test_numbers = sa.Table(
    "test_numbers",
    metadata,
    sa.Column("test_number_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("phone", sa.String(16), nullable=False),
    sa.Column("phone_as_given", sa.String(16)),
    sa.Column("code_sealed", sa.Text, nullable=False, info=sealed_as("codes of test numbers")),
    sa.Column("name", sa.String(100)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.CheckConstraint("expires_at IS NULL OR expires_at > created_at", name="expires_at"),
)
partial_index("ix_test_numbers_expires_at", "expires_at IS NOT NULL", test_numbers.c.expires_at)
sa.Index("uq_test_numbers_user_id_phone", test_numbers.c.owner_id, test_numbers.c.phone, unique=True)


def id_of_test_number(owner_id: sa.BindParameter[str], phone: sa.BindParameter[str]) -> sa.ScalarSelect[str]:
    """The id of the test number of an owner and phone, live or not: a part of another statement."""
    return (
        sa.select(test_numbers.c.test_number_id)
        .where(test_numbers.c.owner_id == owner_id, test_numbers.c.phone == phone)
        .scalar_subquery()
    )


def insert_test_number(connection: sa.Connection, number: TestNumber) -> None:
    connection.execute(sa.insert(test_numbers), asdict(number))


def find_test_number(connection: sa.Connection, test_number_id: str) -> TestNumber | None:
    return _one(connection, test_numbers.c.test_number_id == test_number_id)


def find_of_phone(connection: sa.Connection, owner_id: str, phone: str) -> TestNumber | None:
    """The owner's test number of the canonical number `phone`, live or not."""
    return _one(connection, sa.and_(test_numbers.c.owner_id == owner_id, test_numbers.c.phone == phone))


def count_of_owner(connection: sa.Connection, owner_id: str) -> int:
    statement = sa.select(sa.func.count()).where(test_numbers.c.owner_id == owner_id)
    return int(connection.execute(statement).scalar_one())


def list_test_numbers(
    connection: sa.Connection, owner_ids: frozenset[str] | None, *, limit: int, before: tuple[datetime, str] | None
) -> list[TestNumber]:
    """At most `limit` test numbers of these owners (None: of all), newest first, that come after `before`."""
    table = test_numbers.c
    statement = sa.select(test_numbers).order_by(table.created_at.desc(), table.test_number_id.desc()).limit(limit)
    if owner_ids is not None:
        statement = statement.where(table.owner_id.in_(owner_ids))
    if before is not None:
        created_at, number_id = before
        is_older = sa.and_(table.created_at == created_at, table.test_number_id < number_id)
        statement = statement.where(sa.or_(table.created_at < created_at, is_older))
    return [_number_from(row) for row in connection.execute(statement)]


def list_of_phone(connection: sa.Connection, phone: str) -> list[TestNumber]:
    """Every owner's test number of the canonical number `phone`, oldest first."""
    statement = sa.select(test_numbers).where(test_numbers.c.phone == phone).order_by(test_numbers.c.created_at)
    return [_number_from(row) for row in connection.execute(statement)]


def update_test_number(connection: sa.Connection, number: TestNumber) -> None:
    """Write what can change of a test number: its code, its name and its end."""
    values = {"code_sealed": number.code_sealed, "name": number.name, "expires_at": number.expires_at}
    is_it = test_numbers.c.test_number_id == number.test_number_id
    connection.execute(sa.update(test_numbers).where(is_it).values(values))


def delete_test_number(connection: sa.Connection, test_number_id: str) -> None:
    connection.execute(sa.delete(test_numbers).where(test_numbers.c.test_number_id == test_number_id))


def _one(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> TestNumber | None:
    row = connection.execute(sa.select(test_numbers).where(condition)).one_or_none()
    return None if row is None else _number_from(row)


def _number_from(row: Sequence[Any]) -> TestNumber:
    return TestNumber(*row)
