"""Single sign-on: open attempts, linked identities, and JWTs that were used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

sso_attempts = sa.Table(
    "sso_attempts",
    metadata,
    # Hex text, because key rotation reads the rows of sealed columns in the order of a text.
    sa.Column("state_hash", sa.String(64), primary_key=True),
    sa.Column("nonce", sa.String(100), nullable=False),
    sa.Column("verifier_sealed", sa.Text, info=sealed_as("sign-ins elsewhere")),
    sa.Column("next_path", sa.String(2000)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.CheckConstraint("length(state_hash) = 64", name="state_hash_length"),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.Index(None, "expires_at"),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("issuer", sa.String(500), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id"),
)

spent_jwts = sa.Table(
    "spent_jwts",
    metadata,
    sa.Column("id_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An open attempt to sign in. `verifier_sealed` is Fernet over the secret of PKCE."""

    nonce: str
    verifier_sealed: str
    next_path: str | None


def insert_attempt(
    connection: sa.Connection, state_hash: str, row: AttemptRow, *, now: datetime, expires_at: datetime
) -> None:
    values = {"state_hash": state_hash, "created_at": now, "expires_at": expires_at, **asdict(row)}
    connection.execute(sa.insert(sso_attempts).values(**values))


def use_attempt(connection: sa.Connection, state_hash: str, now: datetime) -> AttemptRow | None:
    """Use up an open attempt and erase its verifier. None for one that is unknown, used or expired."""
    table = sso_attempts
    open_one = (table.c.state_hash == state_hash) & table.c.used_at.is_(None) & (table.c.expires_at > now)
    row = connection.execute(
        sa.select(table.c.nonce, table.c.verifier_sealed, table.c.next_path).where(open_one)
    ).one_or_none()
    if row is None:
        return None
    used = connection.execute(sa.update(table).where(open_one).values(used_at=now, verifier_sealed=None))
    return AttemptRow(*row) if used.rowcount == 1 else None


def find_account_of_identity(connection: sa.Connection, issuer: str, subject: str) -> str | None:
    """The id of the linked account."""
    known = (identities.c.issuer == issuer) & (identities.c.subject == subject)
    return connection.execute(sa.select(identities.c.account_id).where(known)).scalar_one_or_none()


def insert_identity(connection: sa.Connection, issuer: str, subject: str, account_id: str, now: datetime) -> None:
    """Raises IntegrityError if the identity is already linked."""
    connection.execute(
        sa.insert(identities).values(issuer=issuer, subject=subject, account_id=account_id, created_at=now)
    )


def has_identity_of(connection: sa.Connection, issuer: str, account_id: str) -> bool:
    """Whether the account is linked with any identity of the issuer."""
    known = (identities.c.issuer == issuer) & (identities.c.account_id == account_id)
    return connection.execute(sa.select(identities.c.subject).where(known).limit(1)).first() is not None


def delete_identities(connection: sa.Connection, account_id: str) -> list[tuple[str, str]]:
    """Unlink the account. Returns (issuer, subject) of its former identities."""
    statement = sa.delete(identities).where(identities.c.account_id == account_id)
    rows = connection.execute(statement.returning(identities.c.issuer, identities.c.subject))
    return [(row.issuer, row.subject) for row in rows]


def spend_jwt(connection: sa.Connection, id_hash: bytes, expires_at: datetime) -> bool:
    """Whether this call spent the token. Of many concurrent calls, one returns True."""
    row = insert_into(spent_jwts, connection.dialect.name).values(id_hash=id_hash, expires_at=expires_at)
    # The row count is reliable for UPDATE and DELETE only.
    statement = row.on_conflict_do_nothing().returning(spent_jwts.c.id_hash)
    return connection.execute(statement).first() is not None
