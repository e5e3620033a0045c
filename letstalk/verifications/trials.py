"""Calling the API with a token that a person may manage, from the dashboard, without its secret."""

from __future__ import annotations

from dataclasses import dataclass, replace

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import DEFAULT_OWNER_ID, Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import AddressNotAllowed, InsufficientScope, InvalidToken
from letstalk.core.ip_addresses import is_allowed, to_networks
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.tokens.authentication import actor_of
from letstalk.tokens.delegation import may_manage
from letstalk.tokens.models import NewToken, Token
from letstalk.tokens.repository import list_bounds
from letstalk.tokens.service import MAX_PAGE, TokenService

TOKEN_NAME = "Try it"


@dataclass(frozen=True, slots=True)
class TrialService:
    """Who may manage a token could rotate it and so know its secret: to call with it gives nobody more rights."""

    db: Database
    tokens: TokenService
    audit: AuditTrail
    clock: Clock

    def list_tokens(self, person: Actor) -> list[Token]:
        """The newest tokens that can send and that `person` may manage, newest first."""
        page = self.tokens.list_tokens(person, limit=MAX_PAGE)
        return [
            token
            for token in page.tokens
            if Scope.OTP_SEND in token.granted and may_manage(person, token) and not token.is_suspended
        ]

    def make_token(self, person: Actor) -> Token:
        """A new token that can send and check, for an owner of theirs. Its text is told to nobody.

        Raises what `TokenService.create_token` raises.
        """
        owner_id = min(person.owner_ids, default=DEFAULT_OWNER_ID)
        return self.tokens.create_token(person, NewToken(owner_id=owner_id, name=TOKEN_NAME)).record

    def act_with(self, person: Actor, token_id: str) -> Actor:
        """The actor that the API would know if `person` called with the token, with all of its limits.

        Raises NotFound for a token that the person may not see, InsufficientScope for one that they may not manage,
        and what the API would raise for this token and address: InvalidToken, AddressNotAllowed.
        """
        token = self.tokens.get_token(person, token_id)
        if not may_manage(person, token):
            raise InsufficientScope("This token has scopes that you can't give.")
        if token.is_suspended or not token.is_live(self.clock()):
            raise InvalidToken
        if not is_allowed(person.address or "", to_networks(token.allowed_ips)):
            raise AddressNotAllowed("This token can't be used from this address.")
        with self.db.read() as connection:
            bounds = list_bounds(connection, token)
        return replace(actor_of(token, bounds), address=person.address)

    def note(self, person: Actor, token_id: str, verification_id: str) -> None:
        """Record that `person` has sent a code with the token."""
        owner_id = self.tokens.get_token(person, token_id).owner_id
        detail = {"verification_id": verification_id}
        self.audit.note("verification.tried", actor=person, token_id=token_id, owner_id=owner_id, detail=detail)
