"""Creates, changes, rotates and revokes tokens, within the limits of the actor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from letstalk.audit.service import About, AuditTrail
from letstalk.core.actors import DEFAULT_OWNER_ID, Actor, ActorKind, CustomMessage, check_owner_id
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import Conflict, InsufficientScope, InvalidRequest, InvalidToken, NotFound
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.core.scopes import Scope
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.tokens import app_events, models
from letstalk.tokens import repository as tokens
from letstalk.tokens.authentication import TokenAuthenticator, actor_of
from letstalk.tokens.delegation import DelegationRule, ends_by, may_manage, may_see
from letstalk.tokens.models import (
    DEFAULT_GRACE_SECONDS,
    MAX_GENERATIONS,
    IssuedToken,
    NewSecret,
    NewToken,
    Revocation,
    Standing,
    Token,
    TokenChanges,
    TokenPage,
)
from letstalk.tokens.repository import TokenFilter
from letstalk.tokens.usage import UsageCounter

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
        """`default_rate` is RATE_LIMIT_TOKEN, in the notation of Flask-Limiter. None or "off" is no limit."""
        self._db = db
        self._vault = vault
        self._clock = clock
        self._usage = usage
        self._audit = audit
        self._delegation = DelegationRule(default_rate)
        self.authenticator = TokenAuthenticator(db, vault=vault, clock=clock, monotonic=monotonic)

    def create_token(self, actor: Actor, wanted: NewToken) -> IssuedToken:
        """A new token. Its default `owner_id` is the actor's own, or "default_user" for an admin token.

        Raises InvalidRequest, InsufficientScope if the token would exceed the limits of the actor, or InvalidToken.
        """
        now = self._clock()
        models.check_new(wanted, now)
        own_owner_id = DEFAULT_OWNER_ID if actor.is_admin and actor.kind is not ActorKind.PERSON else actor.owner_id
        if wanted.owner_id is None and not own_owner_id:
            raise InvalidRequest.in_field("user_id", "Give the user_id of the token's owner.")
        secret = models.generate_token()
        token = Token(
            token_id=str(uuid4()),
            lookup_id=secret.lookup_id,
            owner_id=own_owner_id if wanted.owner_id is None else check_owner_id(wanted.owner_id),
            name=models.normalise_name(wanted.name),
            scopes=models.normalise_scopes(models.DEFAULT_SCOPES if wanted.scopes is None else wanted.scopes),
            allowed_ips=models.normalise_addresses(wanted.allowed_ips),
            rate_limit=models.normalise_rate_limit(wanted.rate_limit),
            created_at=now,
            expires_at=models.expiry_after(now, wanted.expires_in_seconds),
            custom_message=wanted.custom_message or _inherited_messages(actor),
            parent_id=actor.token_id,
        )
        if len(actor.limits) >= MAX_GENERATIONS:
            raise InsufficientScope("This token comes of too many others to create more. Use one of those.")
        with self._changing(actor, now) as (connection, actor):
            self._delegation.ensure_may_issue(actor, token)
            token = replace(token, created_by=_maker_of(connection, actor))
            self._insert(connection, token, secret)
            self._record(connection, actor, "token.created", token, models.describe(token))
        return IssuedToken(token, secret.token)

    def list_tokens(
        self,
        actor: Actor,
        *,
        owner_id: str | None = None,
        include_revoked: bool = False,
        search: str | None = None,
        created_by: str | None = None,
        standing: Standing | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> TokenPage:
        """The tokens that `actor` may see, newest first.

        Revoked and expired tokens are only included with `include_revoked`. `search` is a text, in upper or lower case,
        in the name, the owner_id or the prefix; `created_by` the id of an account. `standing` finds those that
        somebody should look at. Raises InvalidRequest for an invalid
        limit, cursor or search.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest.in_field("limit", f"limit must be 1 to {MAX_PAGE}.")
        before = None if cursor is None else decode_cursor(cursor)
        if owner_id is not None:
            check_owner_id(owner_id)
        if owner_id is not None and not actor.reaches(owner_id):
            return TokenPage((), None)
        wanted = TokenFilter(
            owner_ids=actor.visible_owners if owner_id is None else frozenset({owner_id}),
            live_at=None if include_revoked else self._clock(),
            without_scopes=actor.hidden_scopes,
            search=_search_text(search),
            created_by=created_by,
        )
        if standing is not None:
            wanted = _with_standing(wanted, standing, self._clock())
        self._usage.flush()
        with self._db.read() as connection:
            found = tokens.list_tokens(connection, wanted, limit=limit + 1, before=before)
        page, next_cursor = cut_page(found, limit, lambda token: encode_cursor(token.created_at, token.token_id))
        return TokenPage(tuple(page), next_cursor)

    def get_token(self, actor: Actor, token_id: str) -> Token:
        """Raises NotFound for a token that does not exist or that `actor` may not see."""
        self._usage.flush()
        with self._db.read() as connection:
            return _find(connection, actor, token_id)

    def get_current_token(self, actor: Actor) -> Token:
        """The token with which `actor` calls. Raises NotFound for an actor without one."""
        return self.get_token(actor, actor.token_id or "")

    def update_token(self, actor: Actor, token_id: str, changes: TokenChanges) -> Token:
        """The token with `changes`. `expires_in_seconds` is counted from now.

        The changed fields must be within the actor's limits, and all fields if the token becomes wider in any way.
        Raises InvalidRequest, InsufficientScope, NotFound, or Conflict: `token_inactive` if the token is revoked or
        expired, `already_rotated` if its grace period would become longer.
        """
        now = self._clock()
        with self._changing(actor, now) as (connection, actor):
            old = _find(connection, actor, token_id, to_change=True)
            _ensure_active(old, now)
            new = models.apply_changes(old, changes, now)
            if old.successor_id is not None and not ends_by(new.expires_at, old.expires_at):
                raise Conflict("The token was rotated. Its grace period can't be made longer.", code="already_rotated")
            self._delegation.ensure_may_change(actor, old, new, changes)
            changed = models.differences(old, new)
            if changed:
                tokens.update_token(connection, new)
                self._record(connection, actor, "token.updated", new, changed)
        self.authenticator.forget(token_id)
        return new

    def rotate_token(self, actor: Actor, token_id: str, grace_seconds: int = DEFAULT_GRACE_SECONDS) -> IssuedToken:
        """A new token with its own id and the limits of the old one, which works for `grace_seconds` more.

        Of two concurrent rotations, one succeeds. Raises InvalidRequest, InsufficientScope, NotFound, or Conflict:
        `already_rotated`, or `token_inactive` if the token is revoked or expired.
        """
        models.ensure_grace_seconds(grace_seconds)
        now = self._clock()
        with self._changing(actor, now) as (connection, actor):
            old = _find(connection, actor, token_id, to_change=True)
            if old.successor_id is not None and old.revoked_at is None:
                raise Conflict("The token was already rotated.", code="already_rotated")
            _ensure_active(old, now)
            self._delegation.ensure_may_issue(actor, old)
            secret = models.generate_token()
            new = replace(
                old,
                token_id=str(uuid4()),
                lookup_id=secret.lookup_id,
                created_at=now,
                last_used=None,
                requests_total=0,
                bucket_id=old.counted_under,
                # The new text is known to who rotates it: an admin takes the token over, an app keeps its own.
                created_by=old.created_by if actor.kind is ActorKind.TOKEN else actor.account_id,
            )
            ending = _earlier_end(old, now + timedelta(seconds=grace_seconds))
            self._insert(connection, new, secret)
            old = replace(old, expires_at=ending, successor_id=new.token_id)
            tokens.update_token(connection, old)
            tokens.move_children(connection, token_id, new.token_id)
            detail = {"successor_id": new.token_id, "grace_seconds": grace_seconds, "works_until": iso_utc(ending)}
            self._record(connection, actor, "token.rotated", old, detail)
        self.authenticator.forget(token_id)
        return IssuedToken(new, secret.token)

    def list_descendants(self, actor: Actor, token_id: str) -> list[Token]:
        """The tokens that are revoked with `token_id` if that is asked for. Raises NotFound."""
        with self._db.read() as connection:
            _find(connection, actor, token_id)
            now = self._clock()
            return [token for token in tokens.list_descendants(connection, token_id) if token.is_live(now)]

    def revoke_token(self, actor: Actor, token_id: str, *, cascade: bool = False) -> Token:
        """Revoke the token, and end the grace period of the tokens that it replaced.

        With `cascade`, also revoke the tokens that were created with it or replaced it, those that came of them, and
        so on, even if it is revoked already. Returns the revoked token. A second call changes nothing. Raises
        NotFound, or InsufficientScope if the actor may not manage one of them.
        """
        now = self._clock()
        ended = [token_id]
        with self._changing(actor, now) as (connection, actor):
            token = _find(connection, actor, token_id, to_change=True)
            if token.revoked_at is None:
                token = replace(token, revoked_at=now)
                tokens.update_token(connection, token)
                ended += _end_grace(connection, token_id, now)
                detail = {"grace_ended": ended[1:]} if ended[1:] else None
                self._record(connection, actor, "token.revoked", token, detail)
            for one in tokens.list_descendants(connection, token_id) if cascade else ():
                if one.is_live(now):
                    _ensure_may_manage(connection, actor, one)
                    revoked = replace(one, revoked_at=now)
                    tokens.update_token(connection, revoked)
                    self._record(connection, actor, "token.revoked", revoked, {"revoked_with": token_id})
                    ended.append(one.token_id)
        self.authenticator.forget(*ended)
        return token

    def revoke_tokens(self, actor: Actor, token_ids: Sequence[str], *, cascade: bool = False) -> list[Revocation]:
        """Revoke several tokens, each on its own: one that can't be revoked leaves the others as they are asked for.

        Returns what became of each, in the order of `token_ids` without repetitions. Raises InvalidRequest for none, or
        for more than MAX_PAGE.
        """
        wanted = tuple(dict.fromkeys(token_ids))
        if not 1 <= len(wanted) <= MAX_PAGE:
            raise InvalidRequest.in_field("token_id", f"Choose 1 to {MAX_PAGE} tokens.")
        before = {token_id: self._look_up(actor, token_id) for token_id in wanted}
        return [self._revoke_one(actor, token_id, before[token_id], cascade=cascade) for token_id in wanted]

    def _revoke_one(self, actor: Actor, token_id: str, before: Token | None, *, cascade: bool) -> Revocation:
        if before is not None and before.revoked_at is not None:
            return Revocation(token_id, before, is_revoked=False, reason="It was revoked before.")
        try:
            return Revocation(token_id, self.revoke_token(actor, token_id, cascade=cascade), is_revoked=True)
        except (NotFound, InsufficientScope) as error:
            return Revocation(token_id, before, is_revoked=False, reason=error.message)

    def _look_up(self, actor: Actor, token_id: str) -> Token | None:
        try:
            return self.get_token(actor, token_id)
        except NotFound:
            return None

    @contextmanager
    def _changing(self, actor: Actor, now: datetime) -> Iterator[tuple[Connection, Actor]]:
        """A write transaction that excludes other changes of tokens, because each change reads before it writes.

        Yields the actor with the limits that its token has now: the cached ones are up to half a second old, in which
        a revoked token could create one that outlives it. Raises InvalidToken if the actor's token is not valid now.
        """
        with self._db.write() as connection:
            self._db.lock(connection, "tokens")
            yield connection, _reread(connection, actor, now)

    def _record(
        self, connection: Connection, actor: Actor, action: str, token: Token, detail: Mapping[str, Any] | None
    ) -> None:
        about = About(token_id=token.token_id, owner_id=token.owner_id, detail=detail)
        self._audit.record(connection, actor, action, **about)
        if action in app_events.TYPES:
            app_events.record_token_event(connection, app_events.TYPES[action], token, self._clock())

    def _insert(self, connection: Connection, token: Token, secret: NewSecret) -> None:
        tokens.insert_token(connection, token, self._vault.encrypt(secret.secret_hash))


def _with_standing(wanted: TokenFilter, standing: Standing, now: datetime) -> TokenFilter:
    wanted = replace(wanted, live_at=now)
    if standing is Standing.EXPIRING:
        return replace(wanted, expires_by=now + models.EXPIRING_WITHIN)
    if standing is Standing.SUSPENDED:
        return replace(wanted, is_suspended=True)
    return replace(wanted, never_used_since=now - models.NEW_FOR, unused_since=now - models.UNUSED_AFTER)


def _inherited_messages(actor: Actor) -> CustomMessage | None:
    return None if actor.custom_message is CustomMessage.ON else actor.custom_message


def _maker_of(connection: Connection, actor: Actor) -> str | None:
    """The account of a person, or that of the token with which an app creates another. None for who has no account."""
    if actor.token_id is None:
        return actor.account_id
    own = tokens.get_token(connection, actor.token_id)
    return None if own is None else own.created_by


def _reread(connection: Connection, actor: Actor, now: datetime) -> Actor:
    if actor.token_id is None:
        return actor
    own = tokens.get_token(connection, actor.token_id)
    if own is None or own.is_suspended or not own.is_live(now):
        raise InvalidToken
    return replace(actor_of(own, tokens.list_bounds(connection, own)), address=actor.address)


def _find(connection: Connection, actor: Actor, token_id: str, *, to_change: bool = False) -> Token:
    # The database only gets UUIDs: PostgreSQL rejects some texts, such as one with a NUL.
    token = tokens.get_token(connection, token_id) if _is_uuid(token_id) else None
    if token is None or not may_see(actor, token):
        raise NotFound("This token does not exist.")
    if to_change:
        _ensure_may_manage(connection, actor, token)
    return token


def _ensure_may_manage(connection: Connection, actor: Actor, token: Token) -> None:
    if not may_manage(actor, token):
        missing = tuple(sorted(scope.value for scope in token.granted - actor.scopes))
        raise InsufficientScope("This token has scopes that you can't give.", required_scopes=missing)
    if actor.kind is ActorKind.TOKEN and not actor.is_admin and not _came_of(connection, actor, token):
        sentence = "A token can change itself, the tokens that it replaced and those that it created, but no other."
        raise InsufficientScope(f"{sentence} Use an admin token, or sign in.", required_scopes=(Scope.ADMIN.value,))


def _came_of(connection: Connection, actor: Actor, token: Token) -> bool:
    """Whether `token` is the actor's own, one that this replaced, or was created by one of its rotations or by what
    came of these. Revoking the actor's token with all that came of it must reach whatever it can rotate, and a token
    that was replaced must not take the new one from its holder.
    """
    own_rotations = actor.limits[0][0]
    if token.counted_under == own_rotations and token.token_id != actor.token_id:
        own = tokens.get_token(connection, actor.token_id or "")
        return own is not None and own.successor_id is None
    return any(one.counted_under == own_rotations for one in tokens.list_bounds(connection, token))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _ensure_active(token: Token, now: datetime) -> None:
    if not token.is_live(now):
        raise Conflict("The token is revoked or expired.", code="token_inactive")


def _earlier_end(token: Token, limit: datetime) -> datetime:
    """The new expiry of a `token` that must end by `limit`: not later than before."""
    ending = limit if token.expires_at is None else min(token.expires_at, limit)
    return max(ending, token.created_at)  # the clocks of two machines can differ


def _end_grace(connection: Connection, token_id: str, now: datetime) -> list[str]:
    """End the grace periods of all predecessors of `token_id`. Returns their ids."""
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
        raise InvalidRequest.in_field("search", f"search must be at most {MAX_SEARCH_LENGTH} printable characters.")
    return models.public_part(text) or None
