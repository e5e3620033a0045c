"""Single sign-on: open attempts, linked identities, and JWTs that were used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

sso_attempts = Table(
    "sso_attempts",
    metadata,
    # Hex text, because key rotation reads the rows of sealed columns in the order of a text.
    Column("state_hash", String(64), primary_key=True),
    Column("nonce", String(100), nullable=False),
    Column("verifier_sealed", Text, info=sealed_as("sign-ins elsewhere")),
    Column("next_path", String(2000)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    CheckConstraint("length(state_hash) = 64", name="state_hash_length"),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "expires_at"),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", String(500), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "account_id"),
)

spent_jwts = Table(
    "spent_jwts",
    metadata,
    Column("id_hash", LargeBinary(32), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An open attempt to sign in. `verifier_sealed` is Fernet over the secret of PKCE."""

    nonce: str
    verifier_sealed: str
    next_path: str | None


def insert_attempt(
    connection: Connection, state_hash: str, row: AttemptRow, *, now: datetime, expires_at: datetime
) -> None:
    values = {"state_hash": state_hash, "created_at": now, "expires_at": expires_at, **asdict(row)}
    connection.execute(insert(sso_attempts).values(**values))


def use_attempt(connection: Connection, state_hash: str, now: datetime) -> AttemptRow | None:
    """Use up an open attempt and erase its verifier. None for one that is unknown, used or expired."""
    table = sso_attempts
    open_one = (table.c.state_hash == state_hash) & table.c.used_at.is_(None) & (table.c.expires_at > now)
    row = connection.execute(
        select(table.c.nonce, table.c.verifier_sealed, table.c.next_path).where(open_one)
    ).one_or_none()
    if row is None:
        return None
    used = connection.execute(update(table).where(open_one).values(used_at=now, verifier_sealed=None))
    return AttemptRow(*row) if used.rowcount == 1 else None


def find_account_of_identity(connection: Connection, issuer: str, subject: str) -> str | None:
    """The id of the linked account."""
    known = (identities.c.issuer == issuer) & (identities.c.subject == subject)
    return connection.execute(select(identities.c.account_id).where(known)).scalar_one_or_none()


def insert_identity(connection: Connection, issuer: str, subject: str, account_id: str, now: datetime) -> None:
    """Raises IntegrityError if the identity is already linked."""
    connection.execute(insert(identities).values(issuer=issuer, subject=subject, account_id=account_id, created_at=now))


def has_identity_of(connection: Connection, issuer: str, account_id: str) -> bool:
    """Whether the account is linked with any identity of the issuer."""
    known = (identities.c.issuer == issuer) & (identities.c.account_id == account_id)
    return connection.execute(select(identities.c.subject).where(known).limit(1)).first() is not None


def delete_identities(connection: Connection, account_id: str) -> list[tuple[str, str]]:
    """Unlink the account. Returns (issuer, subject) of its former identities."""
    statement = delete(identities).where(identities.c.account_id == account_id)
    rows = connection.execute(statement.returning(identities.c.issuer, identities.c.subject))
    return [(row.issuer, row.subject) for row in rows]


def spend_jwt(connection: Connection, id_hash: bytes, expires_at: datetime) -> bool:
    """Whether this call spent the token. Of many concurrent calls, one returns True."""
    row = insert_into(spent_jwts, connection.dialect.name).values(id_hash=id_hash, expires_at=expires_at)
    # The row count is reliable for UPDATE and DELETE only.
    statement = row.on_conflict_do_nothing().returning(spent_jwts.c.id_hash)
    return connection.execute(statement).first() is not None
