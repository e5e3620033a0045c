"""What an actor may hand on, with the rates of this installation filled in."""

from __future__ import annotations

from dataclasses import replace

from letstalk.core.actors import Actor
from letstalk.core.rates import Rate, parse_rates
from letstalk.tokens.changes import UNSET, TokenChanges
from letstalk.tokens.delegation import Grant, is_wider, refuse_wider
from letstalk.tokens.models import Token


class DelegationRule:
    def __init__(self, default_rate: str | None) -> None:
        """`default_rate` is RATE_LIMIT_TOKEN; None or "off" is no limit. Raises InvalidRequest for what is no rate."""
        self._default_rate = () if default_rate is None or default_rate == "off" else parse_rates(default_rate)

    def check_token(self, actor: Actor, token: Token) -> None:
        """Raises InsufficientScope if `token`, new in the actor's hands, is wider than the actor itself."""
        refuse_wider(actor, self._grant_of(token), actor_rate=self._rate_of(actor.rate_limit))

    def check_change(self, actor: Actor, old: Token, new: Token, changes: TokenChanges) -> None:
        """Raises InsufficientScope if the actor must not turn `old` into `new`.

        The actor answers for what `changes` name, and for everything as soon as the token gets wider. A name or a
        narrowing hands nothing on, so a bounded actor may set them on a token that has fewer bounds; but one more
        scope on a token that never expires would be a scope given for ever.
        """
        grant = self._grant_of(new)
        actor_rate = self._rate_of(actor.rate_limit)
        if not is_wider(grant, self._grant_of(old)):
            grant = replace(
                grant,
                allowed_ips=actor.allowed_ips if changes.allowed_ips is UNSET else grant.allowed_ips,
                expires_at=actor.expires_at if changes.expires_in_seconds is UNSET else grant.expires_at,
                rate=actor_rate if changes.rate_limit is UNSET else grant.rate,
            )
        refuse_wider(actor, grant, actor_rate=actor_rate)

    def _grant_of(self, token: Token) -> Grant:
        rate = self._rate_of(token.rate_limit)
        return Grant(token.user_id, token.scopes, token.allowed_ips, token.expires_at, rate)

    def _rate_of(self, rate_limit: str | None) -> tuple[Rate, ...]:
        return self._default_rate if rate_limit is None else parse_rates(rate_limit)
