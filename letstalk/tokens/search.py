"""Finding tokens for the dashboard's search: by id, public start, name or owner."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from letstalk.core.actors import Actor
from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.scopes import Scope
from letstalk.core.search import MOST_OF_A_KIND, Hit
from letstalk.tokens.models import Token
from letstalk.tokens.service import TokenService

KIND = "Tokens"


def find_tokens(tokens: TokenService, actor: Actor, text: str) -> Sequence[Hit]:
    """The newest tokens that `text` names, also revoked ones; the last hit leads to the rest of them."""
    if not actor.holds(Scope.TOKENS_READ):
        return ()
    known_id = canonical_id(text)
    if known_id is not None:
        try:
            return [_hit(tokens.get_token(actor, known_id))]
        except NotFound:
            return ()
    found = tokens.list_tokens(actor, search=text, include_revoked=True, limit=MOST_OF_A_KIND)
    hits = [_hit(token) for token in found.tokens]
    if found.next_cursor is not None:
        address = f"/api/tokens/dashboard?{urlencode({'q': text, 'revoked': 1})}"
        hits.append(Hit(KIND, "All of them", "In the list of tokens", address))
    return hits


def _hit(token: Token) -> Hit:
    state = ", revoked" if token.revoked_at is not None else ""
    note = f"{token.prefix}…, {token.owner_id}{state}"
    return Hit(KIND, token.name or "Unnamed token", note, f"/dashboard/tokens/{token.token_id}")
