"""All that is known of one phone."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select, true

from letstalk.domain.verifications import Verification
from letstalk.storage.calls import calls
from letstalk.storage.idempotency import idempotency_keys
from letstalk.storage.verifications import verification_from, verifications, wrong_codes


def list_all_of_phone(connection: Connection, phone: str) -> list[Verification]:
    """Every owner's verifications of `phone`, oldest first."""
    statement = select(verifications).where(verifications.c.phone == phone).order_by(verifications.c.created_at)
    return [verification_from(row) for row in connection.execute(statement)]


def count_wrong_codes(connection: Connection, phone: str) -> int:
    return int(connection.execute(select(func.count()).where(wrong_codes.c.phone == phone)).scalar_one())


def has_live_call(connection: Connection, phone: str) -> bool:
    statement = select(func.count()).where(calls.c.phone == phone, calls.c.holds_channel == true())
    return bool(connection.execute(statement).scalar_one())


def delete_traces(connection: Connection, phone: str) -> None:
    """Delete what names `phone` besides its verifications: wrong codes, and first answers to idempotent requests."""
    connection.execute(delete(wrong_codes).where(wrong_codes.c.phone == phone))
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.answer.contains(f'"{phone}"')))
