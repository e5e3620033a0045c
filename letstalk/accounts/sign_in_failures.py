"""Failures to sign in, by what they are counted under."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Connection, Index, Integer, LargeBinary, Table, delete, select

from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    # A keyed digest: names that people mistype are often passwords.
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", UtcDateTime, nullable=False),
    Column("wait_until", UtcDateTime, nullable=False),
    CheckConstraint("failures >= 0", name="failures"),
    Index(None, "last_failed_at"),
)


@dataclass(frozen=True, slots=True)
class FailureRow:
    key_hash: bytes
    failures: int
    last_failed_at: datetime
    wait_until: datetime


def find_failures(connection: Connection, key_hashes: list[bytes]) -> dict[bytes, FailureRow]:
    statement = select(sign_in_failures).where(sign_in_failures.c.key_hash.in_(key_hashes))
    return {row.key_hash: FailureRow(*row) for row in connection.execute(statement)}


def put_failures(connection: Connection, rows: list[FailureRow]) -> None:
    """Write `rows`, each over what stands under its key."""
    statement = insert_into(sign_in_failures, connection.dialect.name)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key_hash"],
            set_={"failures": new.failures, "last_failed_at": new.last_failed_at, "wait_until": new.wait_until},
        ),
        [
            {
                "key_hash": row.key_hash,
                "failures": row.failures,
                "last_failed_at": row.last_failed_at,
                "wait_until": row.wait_until,
            }
            for row in rows
        ],
    )


def delete_failures(connection: Connection, key_hashes: list[bytes]) -> None:
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key_hash.in_(key_hashes)))
