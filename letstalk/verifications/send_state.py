"""What one more send depends on, of its owner, its phone and the queue, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Integer, bindparam, func, literal_column, select

from letstalk.calls.queue import FIRST_WAITING_TURN, own_last_turn
from letstalk.calls.repository import calls
from letstalk.db.schema import UtcDateTime
from letstalk.db.statements import Statement
from letstalk.verifications.repository import IS_PENDING, verifications, wrong_codes


@dataclass(frozen=True, slots=True)
class Standing:
    """`newest_at` is when the owner's newest verification for the phone was made, `last_wrong_code_at` when the last
    code was wrong that counts against both; None without any. `accepted_calls` are those to the phone, of all owners.
    """

    newest_at: datetime | None
    has_pending: bool
    last_wrong_code_at: datetime | None
    accepted_calls: int
    own_last_turn: int | None
    first_waiting_turn: int | None


_USER_ID: BindParameter[str] = bindparam("user_id")
_PHONE: BindParameter[str] = bindparam("phone")
_OWN = (verifications.c.user_id == _USER_ID, verifications.c.phone == _PHONE)
_STANDING = Statement(
    select(
        select(func.max(verifications.c.created_at)).where(*_OWN).scalar_subquery(),
        select(literal_column("1")).select_from(verifications).where(*_OWN, IS_PENDING).exists(),
        select(func.max(wrong_codes.c.judged_at))
        .where(wrong_codes.c.user_id == _USER_ID, wrong_codes.c.phone == _PHONE)
        .scalar_subquery(),
        select(func.count())
        .select_from(
            select(calls.c.created_at)
            .where(calls.c.phone == _PHONE, calls.c.created_at > bindparam("since", type_=UtcDateTime))
            .limit(bindparam("at_most", type_=Integer))
            .subquery()
        )
        .scalar_subquery(),
        own_last_turn(_USER_ID),
        FIRST_WAITING_TURN,
    )
)


def find_standing(connection: Connection, user_id: str, phone: str, since: datetime, at_most: int) -> Standing:
    """No more than `at_most` of the calls that were accepted after `since` are counted."""
    parameters = {"user_id": user_id, "phone": phone, "since": since, "at_most": at_most}
    return Standing(*_STANDING.one(connection, parameters))
