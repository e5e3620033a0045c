"""The wrong codes that count against an owner, phone and session, and against a phone as a whole."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import Statement
from letstalk.verifications.models import MAX_WRONG_CODES, MAX_WRONG_CODES_OF_PHONE

wrong_codes = Table(
    "wrong_codes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("user_id", String(128), key="owner_id", nullable=False),
    Column("phone", String(16), nullable=False),
    Column("judged_at", UtcDateTime, nullable=False),
    # Null once an approval has cleared it: then it counts only for the phone, over all owners.
    Column("session_digest", String(32), server_default=""),
    Column("verification_id", String(36)),
)
Index(
    "ix_wrong_codes_session",
    wrong_codes.c.owner_id,
    wrong_codes.c.phone,
    wrong_codes.c.session_digest,
    wrong_codes.c.judged_at,
)
Index("ix_wrong_codes_phone", wrong_codes.c.phone, wrong_codes.c.judged_at)
Index("ix_wrong_codes_judged_at", wrong_codes.c.judged_at)

OF_SESSION = (
    wrong_codes.c.owner_id == bindparam("owner_id"),
    wrong_codes.c.phone == bindparam("phone"),
    wrong_codes.c.session_digest == bindparam("session_digest"),
)
_WRONG_CODES = Statement(
    select(wrong_codes.c.judged_at)
    .where(*OF_SESSION)
    .order_by(wrong_codes.c.judged_at.desc())
    .limit(literal_column(str(MAX_WRONG_CODES)))
)
_WRONG_CODES_OF_PHONE = Statement(
    select(func.count()).select_from(
        select(wrong_codes.c.judged_at)
        .where(
            wrong_codes.c.phone == bindparam("phone"), wrong_codes.c.judged_at > bindparam("since", type_=UtcDateTime)
        )
        .limit(literal_column(str(MAX_WRONG_CODES_OF_PHONE)))
        .subquery()
    )
)
_COLUMNS = ("owner_id", "phone", "session_digest", "judged_at", "verification_id")
_INSERT_WRONG_CODE = Statement(insert(wrong_codes).values({name: bindparam(name) for name in _COLUMNS}))
_CLEAR_WRONG_CODES = Statement(update(wrong_codes).where(*OF_SESSION).values(session_digest=null()))


def list_wrong_codes(connection: Connection, owner_id: str, phone: str, session_digest: str) -> list[datetime]:
    """When the last wrong codes were judged, newest first, as many as the rule needs."""
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest}
    return [judged_at for (judged_at,) in _WRONG_CODES.all(connection, parameters)]


def count_wrong_codes_of_phone(connection: Connection, phone: str, since: datetime) -> int:
    """How many codes for a phone were wrong after `since`, over all owners and sessions, as far as the rule needs.

    `phone` is the number under which a phone is counted, as the rows of verifications have it.
    """
    return int(_WRONG_CODES_OF_PHONE.one(connection, {"phone": phone, "since": since})[0])


def list_of_verification(connection: Connection, owner_id: str, phone: str, verification_id: str) -> list[datetime]:
    """When the wrong codes that were given for a verification were judged, oldest first, as far as they are kept."""
    # By the phone, which has an index.
    statement = select(wrong_codes.c.judged_at).where(
        wrong_codes.c.phone == phone,
        wrong_codes.c.owner_id == owner_id,
        wrong_codes.c.verification_id == verification_id,
    )
    return list(connection.execute(statement.order_by(wrong_codes.c.judged_at)).scalars())


def insert_wrong_code(
    connection: Connection,
    owner_id: str,
    phone: str,
    session_digest: str,
    now: datetime,
    *,
    verification_id: str | None = None,
) -> None:
    """Count a wrong code that was given for that verification."""
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest, "judged_at": now}
    parameters["verification_id"] = verification_id
    _INSERT_WRONG_CODE.execute(connection, parameters)


def clear_wrong_codes(connection: Connection, owner_id: str, phone: str, session_digest: str) -> None:
    """Count them no longer for the session. For the phone they count on: an approval is not every guesser's."""
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest}
    _CLEAR_WRONG_CODES.execute(connection, parameters)


def delete_old_wrong_codes(connection: Connection, before: datetime) -> int:
    """Delete some of the wrong codes that were judged before that time. Returns how many were deleted."""
    return delete_oldest(connection, wrong_codes.c.judged_at, before)
