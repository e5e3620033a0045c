"""The table of spoken codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.calls.repository import calls, delete_calls_about
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement
from letstalk.events.delivery_repository import delete_deliveries_about
from letstalk.events.repository import delete_events_about
from letstalk.speaking.models import SpokenCode
from letstalk.test_numbers.repository import id_of_test_number

spoken_codes = sa.Table(
    "spoken_codes",
    metadata,
    sa.Column("spoken_id", sa.String(36), primary_key=True),
    sa.Column("call_id", sa.String(36), nullable=False),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("token_id", sa.String(36)),
    sa.Column("phone", sa.String(16), nullable=False),
    sa.Column("phone_as_given", sa.String(16)),
    sa.Column("country", sa.String(3), nullable=False),
    sa.Column("locale", sa.String(35)),
    sa.Column("reference", sa.String(64)),
    sa.Column("code_digest", sa.String(64)),  # erased when the same code is another call
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("is_test", sa.Boolean, nullable=False),
    sa.Column("approved", sa.Boolean),
    sa.Column("reported_at", UtcDateTime),
    sa.Column("session_digest", sa.String(32), nullable=False, server_default=""),
    sa.CheckConstraint("(approved IS NULL) = (reported_at IS NULL)", name="reported_at"),
)
sa.Index("ix_spoken_codes_phone", spoken_codes.c.phone, spoken_codes.c.owner_id, spoken_codes.c.created_at)
sa.Index("ix_spoken_codes_call_id", spoken_codes.c.call_id)
partial_index("ix_spoken_codes_digest", "code_digest IS NOT NULL", spoken_codes.c.created_at)
partial_index("ix_spoken_codes_reported", "approved IS NOT NULL", spoken_codes.c.owner_id, spoken_codes.c.created_at)
partial_index("ix_spoken_codes_session", "session_digest <> ''", spoken_codes.c.owner_id, spoken_codes.c.created_at)

# The exact text of the partial index: SQLite does not use it for a parameter.
HAS_SESSION = sa.text("spoken_codes.session_digest <> ''")

_OWNER_ID: sa.BindParameter[str] = sa.bindparam("owner_id")
_PHONE: sa.BindParameter[str] = sa.bindparam("phone")
_LATEST = Statement(
    sa.select(spoken_codes)
    .where(
        spoken_codes.c.owner_id == _OWNER_ID,
        spoken_codes.c.phone == _PHONE,
        spoken_codes.c.created_at > sa.bindparam("since", type_=UtcDateTime),
    )
    .order_by(spoken_codes.c.created_at.desc(), spoken_codes.c.spoken_id.desc())
)
_TEST_NUMBER = Statement(sa.select(id_of_test_number(_OWNER_ID, _PHONE)))
_INSERT = Statement(sa.insert(spoken_codes).values({column.key: sa.bindparam(column.key) for column in spoken_codes.c}))
_BY_CALL = Statement(
    sa.select(spoken_codes).where(
        spoken_codes.c.call_id == sa.bindparam("call_id"), spoken_codes.c.owner_id == _OWNER_ID
    )
)


def insert_spoken_code(connection: sa.Connection, spoken: SpokenCode) -> None:
    _INSERT.execute(connection, asdict(spoken))


def list_latest(connection: sa.Connection, owner_id: str, phone: str, since: datetime) -> list[SpokenCode]:
    """The owner's spoken codes for a canonical number that were given after `since`, newest first."""
    parameters = {"owner_id": owner_id, "phone": phone, "since": since}
    return [_spoken_from(row) for row in _LATEST.all(connection, parameters)]


def has_test_number(connection: sa.Connection, owner_id: str, phone: str) -> bool:
    return _TEST_NUMBER.one(connection, {"owner_id": owner_id, "phone": phone})[0] is not None


def find_by_call(connection: sa.Connection, owner_id: str, call_id: str) -> SpokenCode | None:
    row = _BY_CALL.first(connection, {"owner_id": owner_id, "call_id": call_id})
    return None if row is None else _spoken_from(row)


def find_of_session(connection: sa.Connection, owner_id: str, session_digest: str, spoken_id: str) -> SpokenCode | None:
    table = spoken_codes.c
    statement = sa.select(spoken_codes).where(
        table.spoken_id == spoken_id, table.owner_id == owner_id, table.session_digest == session_digest
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _spoken_from(row)


def lock_by_call(connection: sa.Connection, owner_id: str, call_id: str) -> SpokenCode | None:
    """The same, locked until the transaction ends. Lock it before its call."""
    is_it = sa.and_(spoken_codes.c.call_id == call_id, spoken_codes.c.owner_id == owner_id)
    row = connection.execute(sa.select(spoken_codes).where(is_it).with_for_update()).one_or_none()
    return None if row is None else _spoken_from(row)


def note_outcome(connection: sa.Connection, spoken_id: str, now: datetime, *, approved: bool) -> None:
    """Write what the other side reported, and forget what the code was."""
    is_it = spoken_codes.c.spoken_id == spoken_id
    connection.execute(sa.update(spoken_codes).where(is_it).values(approved=approved, reported_at=now))


def erase_digests(connection: sa.Connection, before: datetime) -> int:
    """Erase some digests of codes that were given before that time. Returns how many."""
    old = (
        sa.select(spoken_codes.c.spoken_id)
        .where(spoken_codes.c.code_digest.is_not(None), spoken_codes.c.created_at < before)
        .limit(BATCH)
    )
    return connection.execute(
        sa.update(spoken_codes).where(spoken_codes.c.spoken_id.in_(old)).values(code_digest=None)
    ).rowcount


def count_reported(connection: sa.Connection, owner_id: str, block: str, since: datetime) -> tuple[int, int]:
    """(reported, approved) of an owner's spoken codes since then, to the block of numbers that begins with `block`.

    Those of which nothing was reported are not counted: many systems never do.
    """
    table = spoken_codes.c
    statement = sa.select(sa.func.count(), sa.func.count().filter(table.approved)).where(
        table.owner_id == owner_id,
        table.created_at > since,
        table.approved.is_not(None),
        ~table.is_test,
        table.phone.startswith(block),
    )
    reported, approved = connection.execute(statement).one()
    return int(reported), int(approved)


def list_all_of_phone(connection: sa.Connection, phone: str) -> list[SpokenCode]:
    """Every owner's spoken codes for a canonical number, oldest first."""
    statement = sa.select(spoken_codes).where(spoken_codes.c.phone == phone).order_by(spoken_codes.c.created_at)
    return [_spoken_from(row) for row in connection.execute(statement)]


def delete_old(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Delete spoken codes given before that time with their calls, up to `limit`, but none whose call is live.

    Returns how many.
    """
    ended = sa.select(calls.c.subject_id).where(calls.c.ended_at < before).order_by(calls.c.ended_at).limit(limit)
    live = sa.exists().where(calls.c.subject_id == spoken_codes.c.spoken_id, calls.c.holds_channel)
    statement = (
        sa.select(spoken_codes.c.spoken_id)
        .where(spoken_codes.c.spoken_id.in_(ended), spoken_codes.c.created_at < before, ~live)
        .with_for_update(skip_locked=True)
    )
    old = list(connection.execute(statement).scalars())
    delete_spoken_codes(connection, old)
    return len(old)


def delete_spoken_codes(connection: sa.Connection, spoken_ids: list[str]) -> None:
    """Delete these spoken codes with their calls and their events for apps."""
    delete_deliveries_about(connection, spoken_ids)
    delete_events_about(connection, spoken_ids)
    delete_calls_about(connection, spoken_ids)
    connection.execute(sa.delete(spoken_codes).where(spoken_codes.c.spoken_id.in_(spoken_ids)))


def _spoken_from(row: Sequence[Any]) -> SpokenCode:
    return SpokenCode(*row)
