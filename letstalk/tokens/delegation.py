"""What an actor may delegate to a token: nothing that it does not have itself, unless it is an admin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from letstalk.core import ip_addresses as addresses
from letstalk.core import rates
from letstalk.core.actors import Actor, ActorKind, CustomMessage
from letstalk.core.errors import InsufficientScope, NotGranted
from letstalk.core.rates import Rate, parse_rates
from letstalk.core.scopes import Scope, expand_scopes
from letstalk.core.unset import UNSET
from letstalk.tokens.models import Token, TokenChanges


@dataclass(frozen=True, slots=True)
class Grant:
    """Everything that limits a token.

    Empty `allowed_ips` permits every address, `expires_at` None is never, and an empty `rate` is no limit. `rate` is
    the installation's default for a token without its own.
    """

    owner_id: str
    scopes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    expires_at: datetime | None
    rate: tuple[Rate, ...]
    custom_message: CustomMessage = CustomMessage.ON


class DelegationRule:
    def __init__(self, default_rate: str | None) -> None:
        """`default_rate` is RATE_LIMIT_TOKEN; None or "off" is no limit. Raises InvalidRequest for an invalid rate."""
        self._default_rate = () if default_rate is None or default_rate == "off" else parse_rates(default_rate)

    def ensure_may_issue(self, actor: Actor, token: Token) -> None:
        """Raises InsufficientScope if the new `token` would be wider than the actor."""
        ensure_not_wider(actor, self._grant_of(token), actor_rate=self._rate_of(actor.rate_limit))

    def ensure_may_change(self, actor: Actor, old: Token, new: Token, changes: TokenChanges) -> None:
        """Raises InsufficientScope if the actor may not change `old` to `new`.

        The fields that `changes` name must be within the actor's limits. If the token becomes wider in any way, all
        fields must be. A new name or a narrower field delegates nothing, so an actor with limits may set them on a
        token that has fewer limits. But one more scope on a token that never expires would be a permanent scope.
        """
        grant = self._grant_of(new)
        actor_rate = self._rate_of(actor.rate_limit)
        if not is_wider(grant, self._grant_of(old)):
            grant = replace(
                grant,
                allowed_ips=actor.allowed_ips if changes.allowed_ips is UNSET else grant.allowed_ips,
                expires_at=actor.expires_at if changes.expires_in_seconds is UNSET else grant.expires_at,
                rate=actor_rate if changes.rate_limit is UNSET else grant.rate,
                custom_message=actor.custom_message if changes.custom_message is UNSET else grant.custom_message,
            )
        ensure_not_wider(actor, grant, actor_rate=actor_rate)

    def _grant_of(self, token: Token) -> Grant:
        rate = self._rate_of(token.rate_limit)
        messages = token.custom_message or CustomMessage.ON
        return Grant(token.owner_id, token.scopes, token.allowed_ips, token.expires_at, rate, messages)

    def _rate_of(self, rate_limit: str | None) -> tuple[Rate, ...]:
        return self._default_rate if rate_limit is None else parse_rates(rate_limit)


def may_manage(actor: Actor, token: Token) -> bool:
    """Whether `actor` may change `token`: an admin may; others require its owner and all of its scopes."""
    return actor.is_admin or (actor.reaches(token.owner_id) and token.granted <= actor.scopes)


def creator_of(actor: Actor) -> str | None:
    """What the creation of tokens is counted under: the first of the tokens above, or the person. None is unlimited, as
    an admin is, who may give any limit.
    """
    if actor.is_admin:
        return None
    return actor.limits[-1][0] if actor.limits else actor.account_id


def may_see(actor: Actor, token: Token) -> bool:
    """Whether `actor` may see `token`: if it may manage it, or is a person to whom the owner is granted."""
    return may_manage(actor, token) or (actor.kind is ActorKind.PERSON and actor.reaches(token.owner_id))


def ensure_not_wider(actor: Actor, grant: Grant, *, actor_rate: tuple[Rate, ...]) -> None:
    """Raises InsufficientScope if `grant` exceeds the limits of `actor`, whose rate is `actor_rate`. Admins have none.

    The sentence names the field, and `required_scopes` the scopes that the actor lacks.
    """
    if actor.is_admin:
        return
    if not actor.reaches(grant.owner_id):
        if actor.kind is ActorKind.PERSON:
            raise NotGranted("user_id: your account was not granted this user_id.")
        raise _needs_admin("user_id: only an admin token can create tokens for another user_id.")
    missing = expand_scopes(grant.scopes) - actor.scopes
    if missing:
        required = [Scope.ADMIN] if Scope.ADMIN in missing else sorted(missing)
        names = tuple(scope.value for scope in required)
        sentence = f"scopes: a token can't give scopes that it does not have ({', '.join(names)})."
        raise InsufficientScope(sentence, required_scopes=names)
    if not addresses.are_within(grant.allowed_ips, actor.allowed_ips):
        raise _needs_admin("allowed_ips: a token can't permit addresses from which it can't be used itself.")
    if not ends_by(grant.expires_at, actor.expires_at):
        sentence = "expires_in: a token can't give a later expiry than its own. Without expires_in, it is never."
        raise _needs_admin(sentence)
    if not rates.are_within(grant.rate, actor_rate):
        raise _needs_admin("rate_limit: a token can't give a higher rate than its own.")
    if not grant.custom_message.is_within(actor.custom_message):
        raise _needs_admin("custom_message: a token can't permit messages that it can't send itself.")


def is_wider(after: Grant, before: Grant) -> bool:
    """Whether `after` allows anything that `before` did not."""
    return not (
        expand_scopes(after.scopes) <= expand_scopes(before.scopes)
        and addresses.are_within(after.allowed_ips, before.allowed_ips)
        and ends_by(after.expires_at, before.expires_at)
        and rates.are_within(after.rate, before.rate)
        and after.custom_message.is_within(before.custom_message)
    )


def ends_by(time: datetime | None, limit: datetime | None) -> bool:
    """Whether `time` is no later than `limit`. None is never."""
    return limit is None or (time is not None and time <= limit)


def _needs_admin(sentence: str) -> InsufficientScope:
    return InsufficientScope(sentence, required_scopes=(Scope.ADMIN.value,))
