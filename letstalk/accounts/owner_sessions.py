"""Signing in to the dashboard with its one password, and out again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from letstalk.accounts import owner_session_repository as rows
from letstalk.core.clock import Clock
from letstalk.core.errors import NotAuthenticated
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

log = get_logger(__name__)

SESSION_ID_BYTES = 32


class SessionService:
    """Sessions live in the database, so that signing out ends one everywhere, also for a copied cookie."""

    def __init__(
        self, db: Database, password: str, clock: Clock, lifetime_seconds: int = 12 * 3600, *, is_open: bool = True
    ) -> None:
        """Unless `is_open` the password signs nobody in, and who is signed in by it is so no more."""
        self._db = db
        self._password = password.encode("utf-8", "surrogatepass")
        self._clock = clock
        self.is_open = is_open
        self._lifetime = timedelta(seconds=lifetime_seconds)

    def sign_in(self, password: str, address: str) -> str:
        """A new session's id: 256 random bits, known to nobody but the browser that gets it.

        Raises NotAuthenticated (`wrong_password`). `address` is only for the log.
        """
        if not self._is_password(password):
            sign_ins_total.labels("refused").inc()
            log.warning("sign_in_refused", address=address)
            raise NotAuthenticated("That is not the password.", code="wrong_password")
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        now = self._clock()
        row = rows.SessionRow(_hash(session_id), self._mark(session_id), now, now + self._lifetime)
        with self._db.write() as connection:
            rows.delete_sessions_expired_before(connection, now)
            rows.insert_session(connection, row)
        sign_ins_total.labels("accepted").inc()
        log.info("signed_in", address=address)
        return session_id

    def is_live(self, session_id: str) -> bool:
        """Whether the session was signed in to, with the password as it is now, and has neither ended nor expired."""
        if not self.is_open:
            return False
        with self._db.read() as connection:
            mark = rows.find_live_mark(connection, _hash(session_id), self._clock())
        return mark is not None and hmac.compare_digest(mark, self._mark(session_id))

    def sign_out(self, session_id: str) -> bool:
        """Whether a session was ended: not so for one that was over already, or never was."""
        with self._db.write() as connection:
            ended = rows.end_session(connection, _hash(session_id), self._clock())
        if ended:
            log.info("signed_out")
        return ended

    def _is_password(self, presented: str) -> bool:
        # Digests of one length, so that the time to compare tells neither the length nor where they part.
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        is_equal = hmac.compare_digest(digest, hashlib.sha256(self._password).digest())
        return is_equal and self.is_open

    def _mark(self, session_id: str) -> bytes:
        return hmac.digest(session_id.encode("utf-8", "surrogatepass"), self._password, "sha256")


def _hash(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()
