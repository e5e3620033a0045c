"""Making, changing, rotating and revoking tokens, each within what the actor may hand on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import DEFAULT_OWNER_ID, Actor, ActorKind, check_owner_id
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import Conflict, InsufficientScope, InvalidRequest, NotFound
from letstalk.core.pagination import decode_cursor, encode_cursor
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.tokens import repository as tokens
from letstalk.tokens.authentication import TokenAuthenticator
from letstalk.tokens.changes import (
    UNSET,
    IssuedToken,
    NewToken,
    TokenChanges,
    TokenPage,
    allowed_ips_from,
    apply_changes,
    describe,
    differences,
    expiry_from,
    rate_limit_from,
)
from letstalk.tokens.delegation import ends_by, hidden_scopes, may_manage, may_see, visible_owners
from letstalk.tokens.delegation_rules import DelegationRule
from letstalk.tokens.models import (
    DEFAULT_GRACE_SECONDS,
    DEFAULT_SCOPES,
    PREFIX,
    NewSecret,
    Token,
    check_grace,
    check_name,
    check_scopes,
    generate_token,
)
from letstalk.tokens.repository import TokenFilter
from letstalk.tokens.usage import UsageCounter

__all__ = ["UNSET", "IssuedToken", "NewToken", "TokenChanges", "TokenPage", "TokenService"]

MAX_PAGE = 100
MAX_SEARCH_LENGTH = 200


class TokenService:
    def __init__(
        self,
        db: Database,
        *,
        vault: Vault,
        clock: Clock,
        usage: UsageCounter,
        audit: AuditTrail,
        default_rate: str | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`default_rate` is RATE_LIMIT_TOKEN: rates in Flask-Limiter's words, None or "off" for no limit."""
        self._db = db
        self._vault = vault
        self._clock = clock
        self._usage = usage
        self._audit = audit
        self._delegation = DelegationRule(default_rate)
        self._authenticator = TokenAuthenticator(db, vault=vault, clock=clock, monotonic=monotonic)

    def authenticate(self, presented: str, address: str) -> Actor:
        """See `TokenAuthenticator.authenticate`. Raises InvalidToken or AddressNotAllowed."""
        return self._authenticator.authenticate(presented, address)

    def recall(self, presented: str, address: str) -> Actor | None:
        """See `TokenAuthenticator.recall`."""
        return self._authenticator.recall(presented, address)

    def create_token(self, actor: Actor, wanted: NewToken) -> IssuedToken:
        """A new token. Without a `user_id` it is whose the actor acts for; with an admin token, "default_user"'s.

        Raises InvalidRequest, or InsufficientScope for more than the actor may give.
        """
        now = self._clock()
        own_user_id = DEFAULT_OWNER_ID if actor.is_admin and actor.kind is not ActorKind.PERSON else actor.user_id
        if wanted.user_id is None and not own_user_id:
            raise InvalidRequest.in_field("user_id", "Name the user_id that the token is for.")
        secret = generate_token()
        token = Token(
            token_id=str(uuid4()),
            lookup_id=secret.lookup_id,
            user_id=own_user_id if wanted.user_id is None else check_owner_id(wanted.user_id),
            name=check_name(wanted.name),
            scopes=check_scopes(DEFAULT_SCOPES if wanted.scopes is None else wanted.scopes),
            allowed_ips=allowed_ips_from(wanted.allowed_ips),
            rate_limit=rate_limit_from(wanted.rate_limit),
            created_at=now,
            expires_at=expiry_from(now, wanted.expires_in_seconds),
        )
        self._delegation.check_token(actor, token)
        with self._db.write() as connection:
            self._insert(connection, token, secret)
            self._audit.record(connection, actor, "token.created", token_id=token.token_id, detail=describe(token))
        return IssuedToken(token, secret.token)

    def list_tokens(
        self,
        actor: Actor,
        *,
        user_id: str | None = None,
        include_revoked: bool = False,
        search: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> TokenPage:
        """The tokens that `actor` may manage, newest first.

        Only live ones, unless `include_revoked`, which shows the revoked and the expired too. `search` keeps those
        with the text, in any case, in name, user_id or prefix. Raises InvalidRequest for a bad limit or cursor.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest.in_field("limit", f"limit must be 1 to {MAX_PAGE}.")
        before = None if cursor is None else decode_cursor(cursor)
        if user_id is not None:
            check_owner_id(user_id)
        if user_id is not None and not actor.reaches(user_id):
            return TokenPage((), None)
        wanted = TokenFilter(
            user_ids=visible_owners(actor) if user_id is None else frozenset({user_id}),
            live_at=None if include_revoked else self._clock(),
            without_scopes=hidden_scopes(actor),
            search=_search_text(search),
        )
        self._usage.flush()
        with self._db.read() as connection:
            found = tokens.list_tokens(connection, wanted, limit=limit + 1, before=before)
        page = tuple(found[:limit])
        is_last = len(found) <= limit
        return TokenPage(page, None if is_last else encode_cursor(page[-1].created_at, page[-1].token_id))

    def get_token(self, actor: Actor, token_id: str) -> Token:
        """Raises NotFound for a token that `actor` may not manage, as for one that does not exist."""
        self._usage.flush()
        with self._db.read() as connection:
            return _find(connection, actor, token_id)

    def get_current_token(self, actor: Actor) -> Token:
        """The token that `actor` is calling with. Raises NotFound for an actor without one."""
        return self.get_token(actor, actor.token_id or "")

    def update_token(self, actor: Actor, token_id: str, changes: TokenChanges) -> Token:
        """The token with `changes` made; `expires_in_seconds` counts from now.

        What is changed must lie within the actor's own bounds, and a change that widens the token in any way is
        refused unless all of the result lies within them. Raises InvalidRequest, InsufficientScope, NotFound, or
        Conflict: `token_inactive` when it is revoked or expired, `already_rotated` when its life would outlast the
        grace.
        """
        now = self._clock()
        with self._changing() as connection:
            old = _find(connection, actor, token_id, to_change=True)
            _refuse_inactive(old, now)
            new = apply_changes(old, changes, now)
            if old.successor_id is not None and not ends_by(new.expires_at, old.expires_at):
                raise Conflict("The token has been rotated; its grace can't be made longer.", code="already_rotated")
            self._delegation.check_change(actor, old, new, changes)
            changed = differences(old, new)
            if changed:
                tokens.update_token(connection, new)
                self._audit.record(connection, actor, "token.updated", token_id=token_id, detail=changed)
        self._authenticator.forget(token_id)
        return new

    def rotate_token(self, actor: Actor, token_id: str, grace_seconds: int = DEFAULT_GRACE_SECONDS) -> IssuedToken:
        """A new token with its own id and all that bounds the old one, which works for `grace_seconds` more.

        Of two rotations at once one wins. Raises InvalidRequest, InsufficientScope, NotFound, or Conflict:
        `already_rotated`, or `token_inactive` when it is revoked or expired.
        """
        check_grace(grace_seconds)
        now = self._clock()
        with self._changing() as connection:
            old = _find(connection, actor, token_id, to_change=True)
            if old.successor_id is not None and old.revoked_at is None:
                raise Conflict("The token has been rotated already.", code="already_rotated")
            _refuse_inactive(old, now)
            self._delegation.check_token(actor, old)
            secret = generate_token()
            new = replace(
                old,
                token_id=str(uuid4()),
                lookup_id=secret.lookup_id,
                created_at=now,
                last_used=None,
                requests_total=0,
            )
            ending = _earlier_end(old, now + timedelta(seconds=grace_seconds))
            self._insert(connection, new, secret)
            tokens.update_token(connection, replace(old, expires_at=ending, successor_id=new.token_id))
            detail = {"successor_id": new.token_id, "grace_seconds": grace_seconds, "works_until": iso_utc(ending)}
            self._audit.record(connection, actor, "token.rotated", token_id=token_id, detail=detail)
        self._authenticator.forget(token_id)
        return IssuedToken(new, secret.token)

    def revoke_token(self, actor: Actor, token_id: str) -> Token:
        """The token, dead from now on, and with it the grace of those that it was put in place of.

        A second call changes nothing. Raises NotFound.
        """
        now = self._clock()
        ended = [token_id]
        with self._changing() as connection:
            token = _find(connection, actor, token_id, to_change=True)
            if token.revoked_at is None:
                token = replace(token, revoked_at=now)
                tokens.update_token(connection, token)
                ended += _end_grace(connection, token_id, now)
                detail = {"grace_ended": ended[1:]} if ended[1:] else None
                self._audit.record(connection, actor, "token.revoked", token_id=token_id, detail=detail)
        self._authenticator.forget(*ended)
        return token

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A write transaction in which no other one changes tokens: a change reads before it writes."""
        with self._db.write() as connection:
            self._db.lock(connection, "tokens")
            yield connection

    def _insert(self, connection: Connection, token: Token, secret: NewSecret) -> None:
        tokens.insert_token(connection, token, self._vault.encrypt(secret.secret_hash))


def _find(connection: Connection, actor: Actor, token_id: str, *, to_change: bool = False) -> Token:
    # Only what can be an id reaches the database: PostgreSQL refuses some texts, such as one with a NUL.
    token = tokens.get_token(connection, token_id) if _is_uuid(token_id) else None
    if token is None or not may_see(actor, token):
        raise NotFound("There is no such token.")
    if to_change and not may_manage(actor, token):
        missing = tuple(sorted(scope.value for scope in token.granted - actor.scopes))
        raise InsufficientScope("This token may do more than you may give.", required_scopes=missing)
    return token


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _refuse_inactive(token: Token, now: datetime) -> None:
    if not token.is_live(now):
        raise Conflict("The token is revoked or expired.", code="token_inactive")


def _earlier_end(token: Token, limit: datetime) -> datetime:
    """When `token` ends if it must by `limit`: never later than before, nor before it was made (clocks can differ)."""
    ending = limit if token.expires_at is None else min(token.expires_at, limit)
    return max(ending, token.created_at)


def _end_grace(connection: Connection, token_id: str, now: datetime) -> list[str]:
    """End those that `token_id` was put in place of, and those that they were. Returns the ids of all of them."""
    ended = []
    old = tokens.get_predecessor(connection, token_id)
    while old is not None:
        if old.is_live(now):
            tokens.update_token(connection, replace(old, expires_at=_earlier_end(old, now)))
        ended.append(old.token_id)
        old = tokens.get_predecessor(connection, old.token_id)
    return ended


def _search_text(search: str | None) -> str | None:
    if search is None or not search.strip():
        return None
    text = search.strip()
    if len(text) > MAX_SEARCH_LENGTH or not text.isprintable():
        raise InvalidRequest.in_field("search", f"search takes at most {MAX_SEARCH_LENGTH} printable characters.")
    # Whoever pastes a prefix, or even a whole token, means its lookup id.
    whole = f"{PREFIX}_"
    return text.removeprefix(whole).partition("_")[0] or None if text.startswith(whole) else text
