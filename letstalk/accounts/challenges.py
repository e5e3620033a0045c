"""Sign-ins that wait for a code: the table, and what is asked of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from letstalk.accounts.models import hash_secret
from letstalk.db.schema import UtcDateTime, metadata

MAX_RECOVERY_FAILURES = 5

second_factor_challenges = sa.Table(
    "second_factor_challenges",
    metadata,
    sa.Column("challenge_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    # No foreign key: verifications are deleted independently. Empty while the phone has to be proven first, and
    # `second_factors.NOT_CALLED` where the call was refused.
    sa.Column("verification_id", sa.String(36), nullable=False),
    sa.Column("method", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    # The account's at the sign-in. With another one now, the sign-in is over.
    sa.Column("credentials_epoch", sa.Integer, nullable=False, server_default="0"),
    # The phone that the person has entered during this sign-in. It becomes the account's once its code was given.
    sa.Column("phone", sa.String(16)),
    sa.Column("recovery_failures", sa.Integer, nullable=False, server_default="0"),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.Index(None, "account_id"),
    sa.Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    account_id: str
    verification_id: str
    method: str
    created_at: datetime
    expires_at: datetime
    credentials_epoch: int
    phone: str | None = None
    recovery_failures: int = 0


def find_open_challenge(connection: sa.Connection, challenge: str, now: datetime) -> ChallengeRow | None:
    """The sign-in that waits for a code. None if the challenge is used, expired or unknown."""
    table = second_factor_challenges.c
    columns = (table[each.name] for each in fields(ChallengeRow))
    is_open = (table.challenge_hash == hash_secret(challenge)) & table.used_at.is_(None) & (table.expires_at > now)
    row = connection.execute(sa.select(*columns).where(is_open)).one_or_none()
    return None if row is None else ChallengeRow(*row)


def insert_challenge(connection: sa.Connection, challenge: str, row: ChallengeRow) -> None:
    values = {"challenge_hash": hash_secret(challenge), **asdict(row)}
    connection.execute(sa.insert(second_factor_challenges).values(**values))


def use_challenge(connection: sa.Connection, challenge: str, now: datetime) -> bool:
    """Whether it was still unused."""
    return connection.execute(_unused(challenge).values(used_at=now)).rowcount == 1


def set_phone(connection: sa.Connection, challenge: str, phone: str) -> None:
    connection.execute(_unused(challenge).values(phone=phone))


def count_recovery_failure(connection: sa.Connection, challenge: str) -> bool:
    """Count another wrong recovery code. False if the sign-in has had as many as it may."""
    table = second_factor_challenges.c
    statement = _unused(challenge).where(table.recovery_failures < MAX_RECOVERY_FAILURES)
    return connection.execute(statement.values(recovery_failures=table.recovery_failures + 1)).rowcount == 1


def forget_phone(connection: sa.Connection, phone: str) -> None:
    """End every sign-in for which `phone` was entered."""
    connection.execute(sa.delete(second_factor_challenges).where(second_factor_challenges.c.phone == phone))


def _unused(challenge: str) -> sa.Update:
    table = second_factor_challenges
    is_unused = (table.c.challenge_hash == hash_secret(challenge)) & table.c.used_at.is_(None)
    return sa.update(table).where(is_unused)
