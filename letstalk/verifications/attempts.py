"""Attempts at codes: locking a pending verification with all that decides about a guess, and spending an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    select,
    update,
)

from letstalk.calls.repository import calls
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import Statement
from letstalk.verifications.models import MAX_ATTEMPTS, VerificationStatus
from letstalk.verifications.repository import IS_PENDING, verifications, wrong_codes


@dataclass(frozen=True, slots=True)
class AwaitedCode:
    """The code of a pending verification that has an attempt left.

    `last_wrong_code_at` is the time of the newest wrong code that counts against its owner and phone, or None.
    """

    verification_id: str
    phone: str
    created_at: datetime
    attempts_used: int
    replays_used: int
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
    verifications.c.replays_used,
    verifications.c.code_digest,
    verifications.c.digest_key_id,
)
_STANDING = (
    select(func.max(wrong_codes.c.judged_at, type_=UtcDateTime))
    .where(wrong_codes.c.user_id == verifications.c.user_id, wrong_codes.c.phone == verifications.c.phone)
    .scalar_subquery(),
    exists(_ONE).where(calls.c.verification_id == verifications.c.verification_id, calls.c.ended_at.is_(None)),
)


class _Finding:
    """Queries for the pending verification that `conditions` select."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        has_attempts = verifications.c.attempts_used < literal_column(str(MAX_ATTEMPTS))
        is_alive = verifications.c.expires_at > bindparam("now", type_=UtcDateTime)
        is_awaited = and_(*conditions, IS_PENDING, has_attempts, is_alive)
        # The lock that an UPDATE of the row takes. A transaction that adds a call to the verification need not wait.
        self._hold = Statement(select(*_DECISIVE).where(is_awaited).with_for_update(key_share=True))
        self._look = Statement(select(*_STANDING).select_from(verifications).where(*conditions))
        self._see = Statement(select(*_DECISIVE, *_STANDING).where(is_awaited))

    def hold(self, connection: Connection, parameters: dict[str, Any]) -> AwaitedCode | None:
        if connection.dialect.name == "sqlite":  # its writer is the only one
            row = self._see.first(connection, parameters)
            return None if row is None else AwaitedCode(*row)
        # A statement that had to wait for the row does not see what was committed meanwhile. The next one does: of
        # parallel guesses, the tenth wrong one must be the last. Both find the same verification, because no newer one
        # can be added while this one is pending and held.
        row = self._hold.first(connection, parameters)
        if row is None:
            return None
        return AwaitedCode(*row, *self._look.one(connection, parameters))


_BY_ID = _Finding(_IS_IT, _OWN)
_NEWEST = _Finding(_IS_NEWEST)
_SPEND = (
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(attempts_used=verifications.c.attempts_used + _ONE)
)
_SPEND_ON_WRONG = Statement(_SPEND)
_SPEND_ON_RIGHT = Statement(
    _SPEND.values(
        status=literal_column(f"'{VerificationStatus.APPROVED.value}'"),
        speech_sealed=null(),
        approved_at=bindparam("now", type_=UtcDateTime),
    )
)


def find_awaited_code(connection: Connection, user_id: str, verification_id: str, now: datetime) -> AwaitedCode | None:
    """The code of an owner's verification, or None when none is awaited or no attempt is left.

    The verification is locked until the transaction ends.
    """
    return _BY_ID.hold(connection, {"user_id": user_id, "verification_id": verification_id, "now": now})


def find_newest_awaited_code(connection: Connection, user_id: str, phone: str, now: datetime) -> AwaitedCode | None:
    """The same for the newest verification of an owner and phone, or None when that one is no longer awaited."""
    return _NEWEST.hold(connection, {"user_id": user_id, "phone": phone, "now": now})


def spend_attempt(connection: Connection, verification_id: str) -> None:
    """Count a wrong guess at a code whose verification this transaction has locked."""
    _SPEND_ON_WRONG.execute(connection, {"id": verification_id})


def spend_attempt_and_approve(connection: Connection, verification_id: str, now: datetime) -> None:
    """Count the right guess at a code whose verification this transaction has locked: approve it and erase the code."""
    _SPEND_ON_RIGHT.execute(connection, {"id": verification_id, "now": now})
