"""Idempotency keys: a repeated request gets the first response again, and a different request an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from letstalk.core.clock import Clock
from letstalk.core.errors import IdempotencyKeyReused, InvalidRequest
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import Statement

KEPT_FOR = timedelta(hours=24)
MAX_KEY_CHARACTERS = 255

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("path", sa.String(40), nullable=False),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("owner_id", "path", "key"),
)
sa.Index("ix_idempotency_keys_created_at", idempotency_keys.c.created_at)

_IS_IT = [column == sa.bindparam(column.key) for column in idempotency_keys.primary_key]
_FIRST = Statement(
    sa.select(idempotency_keys.c.body_hash, idempotency_keys.c.answer).where(
        *_IS_IT, idempotency_keys.c.created_at > sa.bindparam("since")
    )
)
_DELETE = Statement(sa.delete(idempotency_keys).where(*_IS_IT))
_INSERT = Statement(
    sa.insert(idempotency_keys).values({column.key: sa.bindparam(column.key) for column in idempotency_keys.c})
)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes two requests the same: `path`, the client's `key`, and a digest of the body as parsed JSON."""

    path: str
    key: str
    body_hash: str


def read_idempotency_key(path: str, key: str | None, body: Mapping[str, Any]) -> IdempotencyKey | None:
    """The key of a request; None without one.

    Raises InvalidRequest for a key that is not 1 to 255 printable ASCII characters.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not all(" " <= character <= "~" for character in key):
        message = "The Idempotency-Key must be 1 to 255 printable ASCII characters."
        raise InvalidRequest.in_field("Idempotency-Key", message)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(path, key, hashlib.sha256(canonical.encode()).hexdigest())


def find_first_response(
    db: Database, connection: sa.Connection, owner_id: str, wanted: IdempotencyKey | None, now: datetime
) -> dict[str, Any] | None:
    """The response to the first request with this key; None for the first request, and without a key.

    Until the transaction ends, other requests with the same key wait here. Raises IdempotencyKeyReused when the first
    request had a different body.
    """
    if wanted is None:
        return None
    db.lock(connection, "idempotency", f"{owner_id}\0{wanted.path}\0{wanted.key}")
    row = _FIRST.first(connection, _named(owner_id, wanted) | {"since": now - KEPT_FOR})
    if row is None:
        return None
    body_hash, response = row
    if body_hash != wanted.body_hash:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    content: dict[str, Any] = json.loads(response)
    return content


def store_first_response(
    connection: sa.Connection, owner_id: str, wanted: IdempotencyKey, response: Mapping[str, Any], now: datetime
) -> None:
    """Store the response to the first request with this key. It replaces one that has expired."""
    named = _named(owner_id, wanted)
    _DELETE.execute(connection, named)
    values = {"created_at": now, "body_hash": wanted.body_hash, "answer": json.dumps(response)}
    _INSERT.execute(connection, named | values)


def delete_expired_keys(db: Database, clock: Clock) -> None:
    before = clock() - KEPT_FOR
    delete_in_batches(db, lambda connection: delete_oldest(connection, idempotency_keys.c.created_at, before))


def _named(owner_id: str, wanted: IdempotencyKey) -> dict[str, Any]:
    return {"owner_id": owner_id, "path": wanted.path, "key": wanted.key}
