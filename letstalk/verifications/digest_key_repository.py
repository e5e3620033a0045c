"""The table of the keys of the code digests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, Text, insert, select

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata

digest_keys = Table(
    "digest_keys",
    metadata,
    Column("key_id", String(36), primary_key=True),
    Column("key_encrypted", Text, nullable=False, info=sealed_as("digest keys")),
    Column("created_at", UtcDateTime, nullable=False),
)


def list_digest_keys(connection: Connection) -> list[tuple[str, str]]:
    """(key id, encrypted key), oldest first."""
    statement = select(digest_keys.c.key_id, digest_keys.c.key_encrypted).order_by(digest_keys.c.created_at)
    return [(row.key_id, row.key_encrypted) for row in connection.execute(statement)]


def insert_digest_key(connection: Connection, key_id: str, key_encrypted: str, now: datetime) -> None:
    connection.execute(insert(digest_keys), {"key_id": key_id, "key_encrypted": key_encrypted, "created_at": now})
