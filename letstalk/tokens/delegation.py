"""What an actor may hand on: nothing that it does not hold itself, unless it is an admin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from letstalk.core import ip_addresses as addresses
from letstalk.core import rates
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import InsufficientScope, NotGranted
from letstalk.core.rates import Rate
from letstalk.core.scopes import SCOPE_NAMES, Scope, expand_scopes
from letstalk.tokens.models import Token


@dataclass(frozen=True, slots=True)
class Grant:
    """All that bounds a token. Empty `allowed_ips` is anywhere, `expires_at` None is never, empty `rate` no limit.

    `rate` is what is in force, the installation's default filled in where the token has none of its own.
    """

    user_id: str
    scopes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    expires_at: datetime | None
    rate: tuple[Rate, ...]


def may_manage(actor: Actor, token: Token) -> bool:
    """Whether `actor` may change `token`: of an owner it reaches, of scopes that it holds itself, or any as admin."""
    return actor.is_admin or (actor.reaches(token.user_id) and token.granted <= actor.scopes)


def may_see(actor: Actor, token: Token) -> bool:
    """Whether `token` exists for `actor`: one that it may manage; for a person, all of the owners granted to them."""
    return may_manage(actor, token) or (actor.kind is ActorKind.PERSON and actor.reaches(token.user_id))


def visible_owners(actor: Actor) -> frozenset[str] | None:
    """The owners whose tokens `actor` may see; None for all."""
    if actor.is_admin:
        return None
    return actor.user_ids if actor.kind is ActorKind.PERSON else frozenset({actor.user_id})


def hidden_scopes(actor: Actor) -> tuple[str, ...]:
    """The scope names, bundles among them, that a token of `actor`'s owners cannot have for `actor` to see it."""
    if actor.kind is ActorKind.PERSON:
        return ()
    return tuple(name for name in SCOPE_NAMES if not expand_scopes([name]) <= actor.scopes)


def refuse_wider(actor: Actor, grant: Grant, *, actor_rate: tuple[Rate, ...]) -> None:
    """Refuse what `actor`, itself limited by `actor_rate`, must not give; an admin may give anything.

    Raises InsufficientScope, whose sentence names the field and whose `required_scopes` say what the actor lacks.
    """
    if actor.is_admin:
        return
    if not actor.reaches(grant.user_id):
        if actor.kind is ActorKind.PERSON:
            raise NotGranted("user_id: your account was not granted this user_id.")
        raise _needs_admin("user_id: only an admin token may make tokens for another user_id.")
    missing = expand_scopes(grant.scopes) - actor.scopes
    if missing:
        required = [Scope.ADMIN] if Scope.ADMIN in missing else sorted(missing)
        names = tuple(scope.value for scope in required)
        sentence = f"scopes: a token can't give scopes that it does not have ({', '.join(names)})."
        raise InsufficientScope(sentence, required_scopes=names)
    if not addresses.are_within(grant.allowed_ips, actor.allowed_ips):
        raise _needs_admin("allowed_ips: a token can't give addresses that it may not be used from itself.")
    if not ends_by(grant.expires_at, actor.expires_at):
        raise _needs_admin("expires_in: a token can't give a later expiry than its own; left out means never.")
    if not rates.are_within(grant.rate, actor_rate):
        raise _needs_admin("rate_limit: a token can't give a higher rate than its own.")


def is_wider(after: Grant, before: Grant) -> bool:
    """Whether `after` allows anything that `before` did not."""
    return not (
        expand_scopes(after.scopes) <= expand_scopes(before.scopes)
        and addresses.are_within(after.allowed_ips, before.allowed_ips)
        and ends_by(after.expires_at, before.expires_at)
        and rates.are_within(after.rate, before.rate)
    )


def ends_by(moment: datetime | None, bound: datetime | None) -> bool:
    """Whether `moment` is no later than `bound`; None is never."""
    return bound is None or (moment is not None and moment <= bound)


def _needs_admin(sentence: str) -> InsufficientScope:
    return InsufficientScope(sentence, required_scopes=(Scope.ADMIN.value,))
