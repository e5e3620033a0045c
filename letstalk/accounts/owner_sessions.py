"""Signing in to the dashboard with its one password, and out again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from sqlalchemy import CheckConstraint, Column, LargeBinary, Table, and_, bindparam, exists, insert, select, update

from letstalk.accounts.models import hash_secret
from letstalk.core.clock import Clock
from letstalk.core.errors import NotAuthenticated
from letstalk.core.ip_addresses import subscriber_of
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

sessions = Table(
    "sessions",
    metadata,
    # The SHA-256 of the id that the browser holds.
    Column("id_hash", LargeBinary(32), primary_key=True),
    # The HMAC of the password with that id as the key. It changes with the password, and a copy of the database, which
    # does not contain the id, cannot be used to guess passwords.
    Column("password_mark", LargeBinary(32), nullable=False),
    # The HMAC of the subscriber and the password: whether somebody signed in from there, with this password.
    Column("address_mark", LargeBinary(32), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("ended_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
)


_LIVE_MARK = select(sessions.c.password_mark).where(
    sessions.c.id_hash == bindparam("id_hash"),
    sessions.c.ended_at.is_(None),
    sessions.c.expires_at > bindparam("now", type_=UtcDateTime),
)

log = get_logger(__name__)

SESSION_ID_BYTES = 32
MAX_SESSIONS = 50  # live ones: another sign-in ends the oldest


class OwnerSessionService:
    """Sessions are stored in the database, so that signing out ends them everywhere, also for a copied cookie."""

    def __init__(
        self,
        db: Database,
        password: str,
        clock: Clock,
        lifetime_seconds: int = 12 * 3600,
        *,
        key: bytes,
        is_open: bool = True,
    ) -> None:
        """With `is_open` False the password signs nobody in, and existing sessions are invalid. `key` prevents guessing
        the password from what is derived from it.
        """
        self._db = db
        self._password = password.encode("utf-8", "surrogatepass")
        self._key = key
        # Changes with the password, and is part of a cookie.
        self.credentials_mark = hmac.new(key, b"credentials\0" + self._password, "sha256").hexdigest()
        self._clock = clock
        self.is_open = is_open
        self._lifetime = timedelta(seconds=lifetime_seconds)

    def sign_in(self, password: str, address: str) -> str:
        """The id of a new session, 256 random bits, for the browser alone. Raises NotAuthenticated `wrong_password`."""
        if not self._is_password(password):
            sign_ins_total.labels("refused").inc()
            log.warning("sign_in_refused", address=address)
            raise NotAuthenticated("That is not the password.", code="wrong_password")
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        now = self._clock()
        row = {
            "id_hash": hash_secret(session_id),
            "password_mark": self._mark(session_id),
            "address_mark": self._address_mark(address),
            "created_at": now,
            "expires_at": now + self._lifetime,
        }
        with self._db.write() as connection:
            connection.execute(insert(sessions).values(**row))
            live = and_(sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
            others = sessions.c.id_hash != row["id_hash"]
            newest = select(sessions.c.id_hash).where(live).order_by(sessions.c.created_at.desc()).limit(MAX_SESSIONS)
            connection.execute(
                update(sessions).where(live, sessions.c.id_hash.not_in(newest), others).values(ended_at=now)
            )
        sign_ins_total.labels("accepted").inc()
        log.info("signed_in", address=address)
        return session_id

    def has_signed_in_from(self, address: str) -> bool:
        """Whether a stored session was started with the present password from that address, or its /64."""
        statement = select(exists().where(sessions.c.address_mark == self._address_mark(address)))
        with self._db.read() as connection:
            return bool(connection.execute(statement).scalar())

    def is_live(self, session_id: str) -> bool:
        """Whether the session was started with the present password and has neither ended nor expired."""
        if not self.is_open:
            return False
        with self._db.read() as connection:
            id_hash = hash_secret(session_id)
            mark = connection.execute(_LIVE_MARK, {"id_hash": id_hash, "now": self._clock()}).scalar()
        return mark is not None and hmac.compare_digest(mark, self._mark(session_id))

    def sign_out(self, session_id: str) -> bool:
        """Whether this call ended a live session."""
        with self._db.write() as connection:
            live = and_(sessions.c.id_hash == hash_secret(session_id), sessions.c.ended_at.is_(None))
            ended = connection.execute(update(sessions).where(live).values(ended_at=self._clock())).rowcount == 1
        if ended:
            log.info("signed_out")
        return ended

    def _is_password(self, presented: str) -> bool:
        # Digests of one length: the time to compare reveals neither the length nor the first difference.
        digest = hash_secret(presented)
        is_equal = hmac.compare_digest(digest, hashlib.sha256(self._password).digest())
        return is_equal and self.is_open

    def _address_mark(self, address: str) -> bytes:
        subscriber = subscriber_of(address).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, b"\0".join((b"address", subscriber, self._password)), "sha256")

    def _mark(self, session_id: str) -> bytes:
        return hmac.digest(session_id.encode("utf-8", "surrogatepass"), self._password, "sha256")
