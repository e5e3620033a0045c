"""Sign-ins that wait for a code, and the roles that always ask for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    select,
    update,
)

from letstalk.accounts.models import Role
from letstalk.accounts.repository import ROLES
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into

second_factor_challenges = Table(
    "second_factor_challenges",
    metadata,
    Column("challenge_hash", LargeBinary(32), primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    # No foreign key: verifications are forgotten and erased on their own terms.
    Column("verification_id", String(36), nullable=False),
    Column("method", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "account_id"),
    Index(None, "expires_at"),
)

role_policies = Table(
    "role_policies",
    metadata,
    Column("role", String(20), primary_key=True),
    Column("requires_second_factor", Boolean, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint(ROLES, name="role"),
)


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    account_id: str
    verification_id: str
    method: str
    created_at: datetime
    expires_at: datetime


def insert_challenge(connection: Connection, challenge_hash: bytes, row: ChallengeRow) -> None:
    connection.execute(
        second_factor_challenges.insert().values(
            challenge_hash=challenge_hash,
            account_id=row.account_id,
            verification_id=row.verification_id,
            method=row.method,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
    )


def find_open_challenge(connection: Connection, challenge_hash: bytes, now: datetime) -> ChallengeRow | None:
    """The sign-in that waits under that name; None for one that is over, expired or unknown."""
    table = second_factor_challenges.c
    row = connection.execute(
        select(table.account_id, table.verification_id, table.method, table.created_at, table.expires_at).where(
            table.challenge_hash == challenge_hash, table.used_at.is_(None), table.expires_at > now
        )
    ).one_or_none()
    return None if row is None else ChallengeRow(*row)


def use_challenge(connection: Connection, challenge_hash: bytes, now: datetime) -> bool:
    """Whether this very call used it up."""
    table = second_factor_challenges
    unused = (table.c.challenge_hash == challenge_hash) & table.c.used_at.is_(None)
    return connection.execute(update(table).where(unused).values(used_at=now)).rowcount == 1


def requires_second_factor(connection: Connection, role: Role) -> bool:
    statement = select(role_policies.c.requires_second_factor).where(role_policies.c.role == role.value)
    return bool(connection.execute(statement).scalar_one_or_none())


def list_role_policies(connection: Connection) -> dict[Role, bool]:
    """For every role whether it asks for a second factor."""
    statement = select(role_policies.c.role, role_policies.c.requires_second_factor)
    stored = {Role(role): bool(required) for role, required in connection.execute(statement)}
    return {role: stored.get(role, False) for role in Role}


def set_role_policy(connection: Connection, role: Role, *, requires_second_factor: bool, now: datetime) -> None:
    values = {"requires_second_factor": requires_second_factor, "updated_at": now}
    statement = insert_into(role_policies, connection.dialect.name).values(role=role.value, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["role"], set_=values))
