"""Verifications, the wrong codes that count against a phone, and the keys of the code digests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from letstalk.db.crypto import sealed_as
from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement
from letstalk.verifications.models import MAX_ATTEMPTS, MAX_WRONG_CODES, Verification, VerificationStatus

PENDING = VerificationStatus.PENDING.value

verifications = Table(
    "verifications",
    metadata,
    Column("verification_id", String(36), primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("phone", String(16), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_spoken_for_at", UtcDateTime, nullable=False),
    Column("attempts_used", Integer, nullable=False),
    Column("replays_used", Integer, nullable=False),
    Column("locale", String(35)),
    Column("code_digest", String(64), nullable=False),
    Column("digest_key_id", String(36), nullable=False),
    Column("speech_sealed", Text, info=sealed_as("waiting codes")),
    Column("approved_at", UtcDateTime),
    CheckConstraint(
        "status IN ({})".format(", ".join(f"'{status.value}'" for status in VerificationStatus)), name="status"
    ),
    CheckConstraint(f"attempts_used BETWEEN 0 AND {MAX_ATTEMPTS}", name="attempts_used"),
    CheckConstraint("replays_used >= 0", name="replays_used"),
    CheckConstraint("expires_at > created_at", name="expires_at"),
    CheckConstraint("(status = 'approved') = (approved_at IS NOT NULL)", name="approved_at"),
    CheckConstraint("status = 'pending' OR speech_sealed IS NULL", name="speech_erased"),
)
partial_index(
    "uq_verifications_pending", "status = 'pending'", verifications.c.user_id, verifications.c.phone, unique=True
)
Index("ix_verifications_user_id_phone", verifications.c.user_id, verifications.c.phone, verifications.c.created_at)
Index("ix_verifications_user_id_created_at", verifications.c.user_id, verifications.c.created_at)
partial_index("ix_verifications_expiring", "status = 'pending'", verifications.c.expires_at)

wrong_codes = Table(
    "wrong_codes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("phone", String(16), nullable=False),
    Column("judged_at", UtcDateTime, nullable=False),
)
Index("ix_wrong_codes_user_id_phone", wrong_codes.c.user_id, wrong_codes.c.phone, wrong_codes.c.judged_at)

digest_keys = Table(
    "digest_keys",
    metadata,
    Column("key_id", String(36), primary_key=True),
    Column("key_encrypted", Text, nullable=False, info=sealed_as("digest keys")),
    Column("created_at", UtcDateTime, nullable=False),
)

# In the very words of the partial indexes: SQLite uses none of those for a parameter.
IS_PENDING = text("verifications.status = 'pending'")

_SELECT = select(verifications)
_BY_ID = Statement(
    _SELECT.where(
        verifications.c.verification_id == bindparam("verification_id"), verifications.c.user_id == bindparam("user_id")
    )
)
_HELD = Statement(_SELECT.where(verifications.c.verification_id == bindparam("verification_id")).with_for_update())
_NEWEST = Statement(
    _SELECT.where(
        verifications.c.user_id == bindparam("user_id"),
        verifications.c.phone == bindparam("phone"),
    )
    .order_by(verifications.c.created_at.desc())
    .limit(literal_column("1"))
)
_INSERT = Statement(insert(verifications).values({column.name: bindparam(column.name) for column in verifications.c}))
_END = Statement(
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(status=bindparam("ended_as"), speech_sealed=None)
)
_WRONG_CODES = Statement(
    select(wrong_codes.c.judged_at)
    .where(wrong_codes.c.user_id == bindparam("user_id"), wrong_codes.c.phone == bindparam("phone"))
    .order_by(wrong_codes.c.judged_at.desc())
    .limit(literal_column(str(MAX_WRONG_CODES)))
)
_FIELDS = tuple(column.name for column in verifications.c)  # the very fields of a Verification, in their order
_values_of = attrgetter(*_FIELDS)
_STATUSES = {status.value: status for status in VerificationStatus}


def verification_from(row: Sequence[Any]) -> Verification:
    """The verification of a row with all columns, in their order."""
    verification_id, user_id, phone, status, *others = row
    return Verification(verification_id, user_id, phone, _STATUSES[status], *others)


def insert_verification(connection: Connection, verification: Verification) -> None:
    """Write a new one. Raises IntegrityError when the owner has another pending one for this phone."""
    _INSERT.execute(connection, dict(zip(_FIELDS, _values_of(verification), strict=True)))


def find_verification(connection: Connection, user_id: str, verification_id: str) -> Verification | None:
    row = _BY_ID.first(connection, {"verification_id": verification_id, "user_id": user_id})
    return None if row is None else verification_from(row)


def find_newest(connection: Connection, user_id: str, phone: str) -> Verification | None:
    """The newest verification of an owner and phone, however old."""
    row = _NEWEST.first(connection, {"user_id": user_id, "phone": phone})
    return None if row is None else verification_from(row)


def lock_verification(connection: Connection, verification_id: str) -> Verification | None:
    """The verification, held until the transaction ends; None when it has been deleted.

    Always taken before its calls, so that no two transactions wait for each other in a ring.
    """
    row = _HELD.first(connection, {"verification_id": verification_id})
    return None if row is None else verification_from(row)


def list_verifications(
    connection: Connection,
    user_id: str,
    *,
    phone: str | None,
    status: VerificationStatus | None,
    after: tuple[datetime, str] | None,
    limit: int,
    now: datetime,
) -> list[Verification]:
    """Newest first; `after` is the timestamp and id of the last one that was seen."""
    table = verifications.c
    statement = _SELECT.where(table.user_id == user_id)
    if phone is not None:
        statement = statement.where(table.phone == phone)
    if status is VerificationStatus.PENDING:
        statement = statement.where(IS_PENDING, table.expires_at > now)
    elif status is VerificationStatus.EXPIRED:
        ran_out = and_(IS_PENDING, table.expires_at <= now)
        statement = statement.where(or_(table.status == status.value, ran_out))
    elif status is not None:
        statement = statement.where(table.status == status.value)
    if after is not None:
        created_at, verification_id = after
        earlier = or_(
            table.created_at < created_at,
            and_(table.created_at == created_at, table.verification_id < verification_id),
        )
        statement = statement.where(earlier)
    statement = statement.order_by(table.created_at.desc(), table.verification_id.desc()).limit(limit)
    return [verification_from(row) for row in connection.execute(statement)]


def spend_replay(connection: Connection, verification_id: str, now: datetime) -> None:
    connection.execute(
        update(verifications)
        .where(verifications.c.verification_id == verification_id)
        .values(replays_used=verifications.c.replays_used + 1, last_spoken_for_at=now)
    )


def end_verification(connection: Connection, verification_id: str, status: VerificationStatus) -> bool:
    """Give a pending verification a last status but approval, and erase its code. False when it was not pending."""
    return _END.execute(connection, {"id": verification_id, "ended_as": status.value}) == 1


def find_expired(connection: Connection, now: datetime, limit: int = 500) -> list[str]:
    """Ids of verifications that are still marked pending although their time ran out."""
    statement = (
        select(verifications.c.verification_id).where(IS_PENDING, verifications.c.expires_at <= now).limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_wrong_codes(connection: Connection, user_id: str, phone: str) -> list[datetime]:
    """When the last wrong codes were judged, newest first, as many as the rule needs."""
    return [judged_at for (judged_at,) in _WRONG_CODES.all(connection, {"user_id": user_id, "phone": phone})]


def insert_wrong_code(connection: Connection, user_id: str, phone: str, now: datetime) -> None:
    connection.execute(insert(wrong_codes), {"user_id": user_id, "phone": phone, "judged_at": now})


def clear_wrong_codes(connection: Connection, user_id: str, phone: str) -> None:
    connection.execute(delete(wrong_codes).where(wrong_codes.c.user_id == user_id, wrong_codes.c.phone == phone))


def delete_old_wrong_codes(connection: Connection, before: datetime) -> int:
    """Delete some of the wrong codes that were judged before that time. Returns how many went."""
    return delete_oldest(connection, wrong_codes.c.judged_at, before)


def list_digest_keys(connection: Connection) -> list[tuple[str, str]]:
    """(key id, encrypted key), oldest first."""
    statement = select(digest_keys.c.key_id, digest_keys.c.key_encrypted).order_by(digest_keys.c.created_at)
    return [(row.key_id, row.key_encrypted) for row in connection.execute(statement)]


def insert_digest_key(connection: Connection, key_id: str, key_encrypted: str, now: datetime) -> None:
    connection.execute(insert(digest_keys), {"key_id": key_id, "key_encrypted": key_encrypted, "created_at": now})
