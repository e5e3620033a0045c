"""First answers of requests that carried an Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
)

from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import Statement

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", String(128), nullable=False),
    Column("path", String(40), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("user_id", "path", "key"),
)
Index("ix_idempotency_keys_created_at", idempotency_keys.c.created_at)

_IS_IT = [column == bindparam(column.name) for column in idempotency_keys.primary_key]
_FIRST = Statement(
    select(idempotency_keys.c.body_hash, idempotency_keys.c.answer).where(
        *_IS_IT, idempotency_keys.c.created_at > bindparam("since")
    )
)
_DELETE = Statement(delete(idempotency_keys).where(*_IS_IT))
_INSERT = Statement(
    insert(idempotency_keys).values({column.name: bindparam(column.name) for column in idempotency_keys.c})
)


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """`body_hash` tells whether a request is the same; `answer` is JSON text."""

    body_hash: str
    answer: str


def find_first_answer(connection: Connection, user_id: str, path: str, key: str, since: datetime) -> FirstAnswer | None:
    row = _FIRST.first(connection, {"user_id": user_id, "path": path, "key": key, "since": since})
    return None if row is None else FirstAnswer(*row)


def insert_first_answer(
    connection: Connection, user_id: str, path: str, key: str, first: FirstAnswer, now: datetime
) -> None:
    """Keep the answer, in place of one that is too old to count."""
    named = {"user_id": user_id, "path": path, "key": key}
    _DELETE.execute(connection, named)
    _INSERT.execute(connection, named | {"created_at": now, "body_hash": first.body_hash, "answer": first.answer})


def delete_old_answers(connection: Connection, before: datetime) -> int:
    """Delete some of the answers that were given before that time. Returns how many went."""
    return delete_oldest(connection, idempotency_keys.c.created_at, before)
