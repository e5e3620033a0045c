"""Who presents a bearer token: an app with an API token, or a person with an access token."""

from __future__ import annotations

from letstalk.accounts.access_tokens import AccessTokenService
from letstalk.core.actors import Actor
from letstalk.tokens.models import PREFIX
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter

API_TOKEN_START = f"{PREFIX}_"
DOTS_OF_A_JWT = 2  # RFC 7515, section 3.1: header, payload and signature


class BearerAuthenticator:
    """The `Authenticator` of the guards and of the fast path."""

    def __init__(self, tokens: TokenService, usage: UsageCounter, access_tokens: AccessTokenService) -> None:
        self._tokens = tokens
        self._usage = usage
        self._access_tokens = access_tokens

    def authenticate(self, presented: str, address: str) -> Actor:
        """The actor whose token this is. Raises InvalidToken and AddressNotAllowed."""
        if presented.startswith(API_TOKEN_START) or presented.count(".") != DOTS_OF_A_JWT:
            return self._tokens.authenticate(presented, address)
        return self._access_tokens.authenticate(presented, address)

    def recall(self, presented: str, address: str) -> Actor | None:
        """The actor of an API token that was seen a moment ago, without a database read; None for every other."""
        return self._tokens.recall(presented, address)

    def count_request(self, token_id: str) -> None:
        """Add one to the requests of an API token."""
        self._usage.count(token_id)
