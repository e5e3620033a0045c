"""Sessions of accounts: start, renew, list, end."""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection

from letstalk.accounts import account_session_repository as session_repository
from letstalk.accounts import repository
from letstalk.accounts.access_tokens import AccessTokenService
from letstalk.accounts.models import (
    MAX_USER_AGENT_LENGTH,
    Account,
    AccountSession,
    Device,
    SessionKind,
    hash_secret,
    person_actor,
)
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidCredentials, InvalidToken, NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.ip_addresses import subscriber_of
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

REFRESH_PREFIX = "ltr_"
SECRET_BYTES = 32
MAX_SESSIONS = 50  # live ones of an account: another sign-in ends the oldest
BROWSER_LIFETIME = timedelta(hours=12)
# After this long a person must sign in again, however often the session was renewed (NIST SP 800-63B-4, section 2.1.3).
LONGEST_LIFE = timedelta(days=30)
# How long a client whose response was lost may repeat a refresh.
REPEATABLE_FOR = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with its valid pair of tokens. They can be shown only now, because their hashes are stored."""

    account: Account
    session_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    sessions: tuple[AccountSession, ...]
    next_cursor: str | None


class AccountSessionService:
    def __init__(
        self,
        db: Database,
        access_tokens: AccessTokenService,
        audit: AuditTrail,
        clock: Clock,
        *,
        refresh_ttl_seconds: int,
    ) -> None:
        self._db = db
        self._access_tokens = access_tokens
        self._audit = audit
        self._clock = clock
        self._refresh_ttl = timedelta(seconds=refresh_ttl_seconds)

    def start_session(
        self, account_id: str, device: Device, method: str, *, credentials_epoch: int | None = None
    ) -> SignedIn:
        """Sign in a person who has passed the second factor, if any. Raises InvalidCredentials if not active, and if
        the account's credentials are no longer those of `credentials_epoch`, with which the sign-in began.
        """
        refresh_token = _new_refresh_token()
        with self._db.write() as connection:
            account, row = self._start(
                connection, account_id, device, method, self._refresh_ttl, epoch=credentials_epoch, secret_hash=None
            )
            session_repository.insert_refresh_token(
                connection, hash_secret(refresh_token), row.session_id, row.created_at, row.expires_at
            )
        return self._signed_in(account, row.session_id, row.epoch, refresh_token)

    def start_browser_session(
        self, account_id: str, device: Device, method: str, *, credentials_epoch: int | None = None
    ) -> str:
        """The same for a browser. Returns the value of its cookie, 256 random bits."""
        secret, epoch = secrets.token_urlsafe(SECRET_BYTES), credentials_epoch
        with self._db.write() as connection:
            secret_hash = hash_secret(secret)
            self._start(connection, account_id, device, method, BROWSER_LIFETIME, epoch=epoch, secret_hash=secret_hash)
        return secret

    def find_browser_session(self, secret: str, address: str) -> tuple[Actor, Account] | None:
        """Whose cookie it is. None if the session has ended or expired, or the account is not active."""
        now = self._clock()
        with self._db.read() as connection:
            found = session_repository.find_live_by_secret(connection, hash_secret(secret), now)
        if found is None:
            return None
        row, account = found
        session_repository.note_seen(self._db, row, now)
        return person_actor(account, row.session_id, address), account

    def refresh(self, refresh_token: str, device: Device) -> SignedIn:
        """A new pair of tokens for a refresh token, which is spent by this.

        For 20 seconds the same client (its address, or /64, and its `User-Agent`) gets the same refresh token again,
        while that one is not spent: a response can be lost, and a program can refresh twice at once. Any other use of a
        spent token ends the session, because one of the two who have it must have stolen it (RFC 9700, section
        4.14.2). Raises InvalidToken for every reason.
        """
        with self._db.write() as connection:
            renewed = self._renew(connection, refresh_token, self._clock(), device)
        # Raised after the transaction, which would otherwise undo the end of the session.
        if renewed is None:
            raise InvalidToken
        account, row, new_token = renewed
        return self._signed_in(account, row.session_id, row.epoch, new_token)

    def forget_successors(self) -> None:
        """Make it impossible to derive the successors of tokens that were spent too long ago to hand them out again."""
        with self._db.write() as connection:
            session_repository.erase_successor_salts(connection, self._clock() - REPEATABLE_FOR)

    def renew_tokens(self, session_id: str) -> SignedIn:
        """A new pair of tokens for a live API session. Its other refresh tokens are spent. Raises InvalidToken."""
        new_token = _new_refresh_token()
        with self._db.write() as connection:
            now = self._clock()
            found = session_repository.find_live(connection, session_id, now)
            if found is None:
                raise InvalidToken
            row, account = found
            session_repository.spend_all_refresh_tokens(connection, session_id, now)
            self._add_refresh_token(connection, row, new_token, now)
        return self._signed_in(account, session_id, row.epoch, new_token)

    def list_sessions(self, account_id: str) -> list[AccountSession]:
        """The live sessions of an account, newest first, `MAX_SESSIONS` at most."""
        return list(self.page_sessions(account_id, limit=MAX_SESSIONS).sessions)

    def page_sessions(self, account_id: str, *, limit: int, cursor: str | None = None) -> SessionPage:
        """A page of them. Raises InvalidRequest for a cursor that is none."""
        before = None if cursor is None else decode_cursor(cursor)
        with self._db.read() as connection:
            found = session_repository.list_live_sessions(
                connection, account_id, self._clock(), limit=limit + 1, before=before
            )
        page, next_cursor = cut_page(found, limit, lambda one: encode_cursor(one.created_at, one.session_id))
        return SessionPage(tuple(page), next_cursor)

    def find_session(self, session_id: str) -> AccountSession | None:
        """None if it has ended or expired, or if the account is not active."""
        with self._db.read() as connection:
            found = session_repository.find_live(connection, session_id, self._clock())
        return None if found is None else found[0]

    def end_session(self, actor: Actor, session_id: str, reason: str = "ended") -> None:
        """End one of the actor's own sessions. Raises NotFound for any other session, and for one that has ended."""
        account_id, known_id = actor.account_id, canonical_id(session_id)
        ended = 0
        if account_id is not None and known_id is not None:
            with self._db.write() as connection:
                ended = self._end(connection, account_id, actor, reason, session_id=known_id)
        if not ended:
            raise NotFound("There is no such session.")

    def end_all_sessions(
        self, account_id: str, actor: Actor | None, *, reason: str = "ended_everywhere", keep: str | None = None
    ) -> int:
        """End all sessions of an account except `keep`. Returns how many were live."""
        with self._db.write() as connection:
            return self._end(connection, account_id, actor, reason, keep=keep)

    def end_browser_session(self, secret: str, reason: str = "signed_out") -> bool:
        """Returns whether this call ended a live session."""
        found = self.find_browser_session(secret, "")
        if found is None:
            return False
        actor, account = found
        with self._db.write() as connection:
            return self._end(connection, account.account_id, actor, reason, session_id=actor.session_id) > 0

    def _start(
        self,
        connection: Connection,
        account_id: str,
        device: Device,
        method: str,
        lifetime: timedelta,
        *,
        epoch: int | None,
        secret_hash: bytes | None,
    ) -> tuple[Account, AccountSession]:
        """A new session: a browser's with the `secret_hash` of its cookie, an API session without."""
        now = self._clock()
        # Locked, so that disabling the account at the same time comes first or ends this session too.
        account = repository.get_account(connection, account_id, for_update=True)
        if account is None or not account.is_active or epoch not in (None, account.credentials_epoch):
            raise InvalidCredentials
        repository.note_sign_in(connection, account_id, now)
        row = AccountSession(
            session_id=str(uuid4()),
            account_id=account_id,
            kind=SessionKind.API if secret_hash is None else SessionKind.BROWSER,
            method=method,
            epoch=0,
            created_at=now,
            last_seen_at=now,
            expires_at=now + lifetime,
            ended_at=None,
            end_reason=None,
            address=device.address[:64],
            user_agent="".join(filter(str.isprintable, device.user_agent))[:MAX_USER_AGENT_LENGTH],
        )
        subscriber = subscriber_of(device.address)
        session_repository.insert_session(connection, row, subscriber=subscriber, secret_hash=secret_hash)
        actor = person_actor(account, row.session_id, row.address)
        detail = {"session_id": row.session_id, "kind": row.kind.value, "method": method}
        self._audit.record(connection, actor, "session.started", account_id=account_id, detail=detail)
        for oldest in session_repository.list_live_sessions(connection, account_id, now, offset=MAX_SESSIONS):
            if oldest.session_id != row.session_id:
                self._end(connection, account_id, None, "too_many_sessions", session_id=oldest.session_id)
        log.info("person_signed_in", account_id=account_id, method=method, kind=row.kind.value)
        return account, row

    def _renew(
        self, connection: Connection, refresh_token: str, now: datetime, device: Device
    ) -> tuple[Account, AccountSession, str] | None:
        token_hash, salt = hash_secret(refresh_token), secrets.token_bytes(SECRET_BYTES)
        found = session_repository.find_refresh_token(connection, token_hash)
        if found is None or (found.spent_at is None and found.expires_at <= now):
            return None
        live = session_repository.find_live(connection, found.session_id, now)
        if live is None:
            return None
        row, account = live
        if not session_repository.spend_refresh_token(connection, token_hash, now, salt):
            same_again = self._find_successor(connection, refresh_token, now, device)
            if same_again is not None:
                return account, row, same_again
            reason, address = "refresh_token_reused", device.address
            self._end(connection, account.account_id, None, reason, session_id=row.session_id, address=address)
            log.warning("refresh_token_reused", account_id=account.account_id, session_id=row.session_id)
            return None
        new_token = _derive_successor(refresh_token, salt, device)
        self._add_refresh_token(connection, row, new_token, now)
        return account, row, new_token

    def _find_successor(self, connection: Connection, refresh_token: str, now: datetime, device: Device) -> str | None:
        """The token that `device` got for the spent `refresh_token` a moment ago, if it is not spent itself."""
        # Read again: another request may have spent it since.
        spent = session_repository.find_refresh_token(connection, hash_secret(refresh_token))
        if spent is None or spent.spent_at is None or spent.successor_salt is None:
            return None
        successor = _derive_successor(refresh_token, spent.successor_salt, device)
        known = session_repository.find_refresh_token(connection, hash_secret(successor))
        is_repeatable = now - spent.spent_at <= REPEATABLE_FOR and known is not None and known.spent_at is None
        return successor if is_repeatable else None

    def _add_refresh_token(self, connection: Connection, row: AccountSession, token: str, now: datetime) -> None:
        expires_at = min(now + self._refresh_ttl, row.created_at + max(LONGEST_LIFE, self._refresh_ttl))
        session_repository.insert_refresh_token(connection, hash_secret(token), row.session_id, now, expires_at)
        session_repository.extend_session(connection, row.session_id, now, expires_at)

    def _signed_in(self, account: Account, session_id: str, epoch: int, refresh_token: str) -> SignedIn:
        access_token = self._access_tokens.sign(account, session_id, epoch)
        return SignedIn(account, session_id, access_token, refresh_token, self._access_tokens.ttl_seconds)

    def _end(
        self,
        connection: Connection,
        account_id: str,
        actor: Actor | None,
        reason: str,
        *,
        session_id: str | None = None,
        keep: str | None = None,
        address: str | None = None,
    ) -> int:
        ended = session_repository.end_sessions(
            connection, account_id, reason, self._clock(), session_id=session_id, keep=keep
        )
        for each in ended:
            detail = {"session_id": each, "reason": reason}
            self._audit.record(
                connection, actor, "session.ended", account_id=account_id, detail=detail, address=address
            )
        return len(ended)


def _new_refresh_token() -> str:
    return REFRESH_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _derive_successor(refresh_token: str, salt: bytes, device: Device) -> str:
    """The next refresh token, which only who has the one before and the salt can compute: neither is enough, and the
    former is not stored. Another client computes a token that nobody has been given.
    """
    client = f"{subscriber_of(device.address)}\n{device.user_agent}".encode("utf-8", "surrogatepass")
    key = refresh_token.encode("utf-8", "surrogatepass")
    digest = hmac.digest(key, salt + client, "sha256")
    return REFRESH_PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
