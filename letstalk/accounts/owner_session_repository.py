"""Signed-in people's sessions: what is kept is enough to end one, and too little to use one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    LargeBinary,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from letstalk.db.schema import UtcDateTime, metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", LargeBinary(32), primary_key=True),
    Column("password_mark", LargeBinary(32), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("ended_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that was signed in to. `id_hash` is the SHA-256 of the id that the browser holds.

    `password_mark` is the HMAC of the password under that id: it changes with the password, and a copy of the
    database, which has no id, cannot be used to try passwords against it.
    """

    id_hash: bytes
    password_mark: bytes
    created_at: datetime
    expires_at: datetime


_LIVE_MARK = select(sessions.c.password_mark).where(
    sessions.c.id_hash == bindparam("id_hash"),
    sessions.c.ended_at.is_(None),
    sessions.c.expires_at > bindparam("now", type_=UtcDateTime),
)


def insert_session(connection: Connection, row: SessionRow) -> None:
    connection.execute(
        insert(sessions).values(
            id_hash=row.id_hash,
            password_mark=row.password_mark,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
    )


def find_live_mark(connection: Connection, id_hash: bytes, now: datetime) -> bytes | None:
    """The password mark of a session that has neither ended nor expired; None without one."""
    mark: bytes | None = connection.execute(_LIVE_MARK, {"id_hash": id_hash, "now": now}).scalar()
    return mark


def end_session(connection: Connection, id_hash: bytes, now: datetime) -> bool:
    """Whether a live session was ended by this very call."""
    live = and_(sessions.c.id_hash == id_hash, sessions.c.ended_at.is_(None))
    return connection.execute(update(sessions).where(live).values(ended_at=now)).rowcount == 1


def delete_sessions_expired_before(connection: Connection, before: datetime) -> int:
    """How many rows were of no use any more."""
    return connection.execute(delete(sessions).where(sessions.c.expires_at < before)).rowcount
