"""Attempts at codes: each is spent, and what decides about it read, in as few statements as the database allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnClause, ColumnElement, Connection, bindparam, literal_column, select, update

from letstalk.domain.verifications import MAX_ATTEMPTS
from letstalk.storage.db import UtcDateTime
from letstalk.storage.statements import Statement, first_of_each
from letstalk.storage.verifications import IS_PENDING, verifications


@dataclass(frozen=True, slots=True)
class SpentAttempt:
    """A pending verification, held until the transaction ends, one of whose attempts has just been spent.

    `last_wrong_code_at` is the newest that counts against its owner and phone, None without any.
    """

    verification_id: str
    phone: str
    created_at: datetime
    attempts_used: int  # with this one
    code_digest: str
    digest_key_id: str
    last_wrong_code_at: datetime | None
    has_unfinished_calls: bool


_ONE: ColumnClause[int] = literal_column("1")
_OWN = verifications.c.user_id == bindparam("user_id")
_IS_IT = verifications.c.verification_id == bindparam("verification_id")

_newest = verifications.alias("newest")
_IS_NEWEST = verifications.c.verification_id == (
    select(_newest.c.verification_id)
    .where(_newest.c.user_id == bindparam("user_id"), _newest.c.phone == bindparam("phone"))
    .order_by(_newest.c.created_at.desc())
    .limit(_ONE)
    .scalar_subquery()
)

_DECISIVE = (
    verifications.c.verification_id,
    verifications.c.phone,
    verifications.c.created_at,
    verifications.c.attempts_used,
    verifications.c.code_digest,
    verifications.c.digest_key_id,
)
# As text: in RETURNING SQLAlchemy leaves out the names of tables, without which these would ask about every row.
_STANDING = (
    literal_column(
        "(SELECT max(wrong_codes.judged_at) FROM wrong_codes"
        " WHERE wrong_codes.user_id = verifications.user_id AND wrong_codes.phone = verifications.phone)",
        UtcDateTime,
    ),
    literal_column(
        "EXISTS (SELECT 1 FROM calls"
        " WHERE calls.verification_id = verifications.verification_id AND calls.ended_at IS NULL)",
        Boolean,
    ),
)


class _Spending:
    """Spending an attempt of the verification that `conditions` name."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        has_attempts = verifications.c.attempts_used < literal_column(str(MAX_ATTEMPTS))
        is_alive = verifications.c.expires_at > bindparam("now", type_=UtcDateTime)
        spend = (
            update(verifications)
            .where(*conditions, IS_PENDING, has_attempts, is_alive)
            .values(attempts_used=verifications.c.attempts_used + _ONE)
        )
        self._spend = Statement(spend.returning(*_DECISIVE))
        self._look = Statement(select(*_STANDING).select_from(verifications).where(*conditions))
        self._spend_and_look = Statement(spend.returning(*_DECISIVE, *_STANDING))

    def run(self, connection: Connection, parameters: dict[str, Any]) -> SpentAttempt | None:
        if connection.dialect.name == "sqlite":
            row = self._spend_and_look.first(connection, parameters)
            return None if row is None else SpentAttempt(*row)
        # A statement that had to wait for the row does not see what was committed meanwhile; the next one does. Of
        # parallel guesses, the tenth wrong one must be the last. Both find the same: no newer verification comes while
        # this one, still awaited, is held.
        row, standing = first_of_each(connection, parameters, self._spend, self._look)
        if row is None:
            return None
        if standing is None:
            raise LookupError("a verification that is held was not found")
        return SpentAttempt(*row, *standing)


_BY_ID = _Spending(_IS_IT, _OWN)
_NEWEST = _Spending(_IS_NEWEST)


def spend_attempt(connection: Connection, user_id: str, verification_id: str, now: datetime) -> SpentAttempt | None:
    """Take one of the attempts of an owner's verification that is still awaited. None when there is none to take."""
    return _BY_ID.run(connection, {"user_id": user_id, "verification_id": verification_id, "now": now})


def spend_attempt_of_newest(connection: Connection, user_id: str, phone: str, now: datetime) -> SpentAttempt | None:
    """The same of the newest verification of an owner and phone, if it is that one that is still awaited."""
    return _NEWEST.run(connection, {"user_id": user_id, "phone": phone, "now": now})
