"""Signing in to the dashboard with its one password, and out again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

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

from letstalk.core.clock import Clock
from letstalk.core.errors import NotAuthenticated
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

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
class OwnerSessionRow:
    """A session of the built-in owner. `id_hash` is the SHA-256 of the id that the browser holds.

    `password_mark` is the HMAC of the password with that id as the key. It changes with the password, and a copy of the
    database, which does not contain the id, cannot be used to guess passwords.
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


def insert_session(connection: Connection, row: OwnerSessionRow) -> None:
    connection.execute(
        insert(sessions).values(
            id_hash=row.id_hash,
            password_mark=row.password_mark,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
    )


def find_live_mark(connection: Connection, id_hash: bytes, now: datetime) -> bytes | None:
    """The password mark of a session that has neither ended nor expired, else None."""
    mark: bytes | None = connection.execute(_LIVE_MARK, {"id_hash": id_hash, "now": now}).scalar()
    return mark


def end_session(connection: Connection, id_hash: bytes, now: datetime) -> bool:
    """Whether this call ended a live session."""
    live = and_(sessions.c.id_hash == id_hash, sessions.c.ended_at.is_(None))
    return connection.execute(update(sessions).where(live).values(ended_at=now)).rowcount == 1


def delete_sessions_expired_before(connection: Connection, time: datetime) -> int:
    """Returns how many rows were deleted."""
    return connection.execute(delete(sessions).where(sessions.c.expires_at < time)).rowcount


log = get_logger(__name__)

SESSION_ID_BYTES = 32


class OwnerSessionService:
    """Sessions are stored in the database, so that signing out ends them everywhere, also for a copied cookie."""

    def __init__(
        self, db: Database, password: str, clock: Clock, lifetime_seconds: int = 12 * 3600, *, is_open: bool = True
    ) -> None:
        """With `is_open` False the password signs nobody in, and existing sessions are invalid."""
        self._db = db
        self._password = password.encode("utf-8", "surrogatepass")
        self._clock = clock
        self.is_open = is_open
        self._lifetime = timedelta(seconds=lifetime_seconds)

    def sign_in(self, password: str, address: str) -> str:
        """The id of a new session: 256 random bits, for the browser alone.

        Raises NotAuthenticated (`wrong_password`). `address` is only for the log.
        """
        if not self._is_password(password):
            sign_ins_total.labels("refused").inc()
            log.warning("sign_in_refused", address=address)
            raise NotAuthenticated("That is not the password.", code="wrong_password")
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        now = self._clock()
        row = OwnerSessionRow(_hash(session_id), self._mark(session_id), now, now + self._lifetime)
        with self._db.write() as connection:
            delete_sessions_expired_before(connection, now)
            insert_session(connection, row)
        sign_ins_total.labels("accepted").inc()
        log.info("signed_in", address=address)
        return session_id

    def is_live(self, session_id: str) -> bool:
        """Whether the session was started with the present password and has neither ended nor expired."""
        if not self.is_open:
            return False
        with self._db.read() as connection:
            mark = find_live_mark(connection, _hash(session_id), self._clock())
        return mark is not None and hmac.compare_digest(mark, self._mark(session_id))

    def sign_out(self, session_id: str) -> bool:
        """Whether this call ended a live session."""
        with self._db.write() as connection:
            ended = end_session(connection, _hash(session_id), self._clock())
        if ended:
            log.info("signed_out")
        return ended

    def _is_password(self, presented: str) -> bool:
        # Digests of one length: the time to compare reveals neither the length nor the first difference.
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        is_equal = hmac.compare_digest(digest, hashlib.sha256(self._password).digest())
        return is_equal and self.is_open

    def _mark(self, session_id: str) -> bytes:
        return hmac.digest(session_id.encode("utf-8", "surrogatepass"), self._password, "sha256")


def _hash(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()
