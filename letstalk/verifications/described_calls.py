"""What became of calls, for who knows only their ids: the verification or spoken code that each is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from letstalk.calls.models import ENDED, CallStatus
from letstalk.calls.repository import calls
from letstalk.db.database import Database
from letstalk.speaking.repository import spoken_codes
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications


@dataclass(frozen=True, slots=True)
class DescribedCall:
    """`result` says in a sentence how the call ended. It is None while the call is live.

    `verification_id` is None for a call that says a code which an app made.
    """

    verification_id: str | None
    is_over: bool
    is_approved: bool
    result: str | None


def describe_calls(db: Database, call_ids: Sequence[str]) -> dict[str, DescribedCall]:
    """By call id. A call that is not known is left out."""
    known = (verifications.c.verification_id, verifications.c.status.label("of"), spoken_codes.c.approved)
    statement = (
        select(calls.c.call_id, calls.c.status, calls.c.reason, *known)
        .join_from(calls, verifications, calls.c.subject_id == verifications.c.verification_id, isouter=True)
        .join(spoken_codes, calls.c.subject_id == spoken_codes.c.spoken_id, isouter=True)
        .where(calls.c.call_id.in_(call_ids))
    )
    with db.read() as connection:
        rows = connection.execute(statement).all()
    described = {}
    for row in rows:
        is_over = CallStatus(row.status) in ENDED
        is_approved = row.of == VerificationStatus.APPROVED or bool(row.approved)
        result = row.reason if is_over else None
        described[row.call_id] = DescribedCall(row.verification_id, is_over, is_approved, result)
    return described
