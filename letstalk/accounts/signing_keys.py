"""The keys that sign access tokens: the newest signs, those before it verify until their last token has expired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Index, String, Table, Text, insert, select, update

from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.sealed_values import sealed_as

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(36), primary_key=True),
    # Fernet over the 32 bytes of an Ed25519 private key.
    Column("private_key_encrypted", Text, nullable=False, info=sealed_as("signing keys")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),
    Index(None, "retired_at"),
)


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    kid: str
    private_key_encrypted: str
    created_at: datetime
    retired_at: datetime | None


def insert_signing_key(connection: Connection, kid: str, private_key_encrypted: str, now: datetime) -> None:
    connection.execute(
        insert(signing_keys).values(kid=kid, private_key_encrypted=private_key_encrypted, created_at=now)
    )


def find_signing_key(connection: Connection, kid: str) -> SigningKeyRow | None:
    row = connection.execute(select(signing_keys).where(signing_keys.c.kid == kid)).one_or_none()
    return None if row is None else SigningKeyRow(*row)


def find_current_signing_key(connection: Connection) -> SigningKeyRow | None:
    """The one that signs: the newest that is not retired."""
    statement = select(signing_keys).where(signing_keys.c.retired_at.is_(None))
    row = connection.execute(statement.order_by(signing_keys.c.created_at.desc()).limit(1)).one_or_none()
    return None if row is None else SigningKeyRow(*row)


def retire_signing_keys(connection: Connection, now: datetime) -> int:
    """Let none of the present keys sign any more. Returns how many there were."""
    present = signing_keys.c.retired_at.is_(None)
    return connection.execute(update(signing_keys).where(present).values(retired_at=now)).rowcount
