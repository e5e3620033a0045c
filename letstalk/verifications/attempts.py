"""Attempts at codes: what is still awaited is held, with all that decides about a guess, and each guess spends one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    Integer,
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
from letstalk.db.database import UtcDateTime
from letstalk.db.statements import Statement, first_of_each
from letstalk.verifications.models import MAX_ATTEMPTS, VerificationStatus
from letstalk.verifications.repository import IS_PENDING, verifications, wrong_codes


@dataclass(frozen=True, slots=True)
class AwaitedCode:
    """A code that is still awaited and has an attempt left.

    `last_wrong_code_at` is the newest that counts against its owner and phone, None without any.
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
    """Finding the verification that `conditions` name."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        has_attempts = verifications.c.attempts_used < literal_column(str(MAX_ATTEMPTS))
        is_alive = verifications.c.expires_at > bindparam("now", type_=UtcDateTime)
        is_awaited = and_(*conditions, IS_PENDING, has_attempts, is_alive)
        # As an UPDATE of the row would hold it: whoever adds a call to it need not wait.
        self._hold = Statement(select(*_DECISIVE).where(is_awaited).with_for_update(key_share=True))
        self._look = Statement(select(*_STANDING).select_from(verifications).where(*conditions))
        self._see = Statement(select(*_DECISIVE, *_STANDING).where(is_awaited))

    def see(self, connection: Connection, parameters: dict[str, Any]) -> AwaitedCode | None:
        row = self._see.first(connection, parameters)
        return None if row is None else AwaitedCode(*row)

    def hold(self, connection: Connection, parameters: dict[str, Any]) -> AwaitedCode | None:
        if connection.dialect.name == "sqlite":  # whose writer is alone
            return self.see(connection, parameters)
        # A statement that had to wait for the row does not see what was committed meanwhile; the next one does. Of
        # parallel guesses, the tenth wrong one must be the last. Both find the same: no newer verification comes while
        # this one, still awaited, is held.
        row, standing = first_of_each(connection, parameters, self._hold, self._look)
        if row is None:
            return None
        if standing is None:
            raise LookupError("a verification that is held was not found")
        return AwaitedCode(*row, *standing)


_BY_ID = _Finding(_IS_IT, _OWN)
_NEWEST = _Finding(_IS_NEWEST)
_SPEND = (
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(attempts_used=verifications.c.attempts_used + _ONE)
)
_SPEND_ON_WRONG = Statement(_SPEND)
_APPROVE = _SPEND.values(
    status=literal_column(f"'{VerificationStatus.APPROVED.value}'"),
    speech_sealed=null(),
    approved_at=bindparam("now", type_=UtcDateTime),
)
_SPEND_ON_RIGHT = Statement(_APPROVE)
# Every guess that is judged spends an attempt, and every call that is added a replay.
_APPROVE_UNCHANGED = Statement(
    _APPROVE.where(
        verifications.c.attempts_used == bindparam("attempts", type_=Integer),
        verifications.c.replays_used == bindparam("replays", type_=Integer),
    )
)


def find_awaited_code(
    connection: Connection, user_id: str, verification_id: str, now: datetime, *, hold: bool = True
) -> AwaitedCode | None:
    """The code of an owner's verification. None where none is awaited, or no attempt is left.

    To `hold` it keeps its verification as it is until the transaction ends.
    """
    finding = _BY_ID.hold if hold else _BY_ID.see
    return finding(connection, {"user_id": user_id, "verification_id": verification_id, "now": now})


def find_newest_awaited_code(
    connection: Connection, user_id: str, phone: str, now: datetime, *, hold: bool = True
) -> AwaitedCode | None:
    """The same of the newest verification of an owner and phone, if it is that one that is still awaited."""
    finding = _NEWEST.hold if hold else _NEWEST.see
    return finding(connection, {"user_id": user_id, "phone": phone, "now": now})


def spend_attempt(connection: Connection, verification_id: str) -> None:
    """Note a wrong guess at an awaited code that this transaction holds."""
    _SPEND_ON_WRONG.run_with_next(connection, {"id": verification_id})


def spend_attempt_and_approve(connection: Connection, verification_id: str, now: datetime) -> None:
    """Note the right guess at an awaited code that this transaction holds: it is approved, and the code erased."""
    _SPEND_ON_RIGHT.run_with_next(connection, {"id": verification_id, "now": now})


def approve_unchanged(connection: Connection, awaited: AwaitedCode, now: datetime) -> bool:
    """The same of one that was seen and is not held. False, and nothing is done, where it is no longer as it was."""
    seen = {"attempts": awaited.attempts_used, "replays": awaited.replays_used}
    return _APPROVE_UNCHANGED.execute(connection, {"id": awaited.verification_id, "now": now, **seen}) == 1
