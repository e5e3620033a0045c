"""What the token service is asked for, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from letstalk.core.clock import iso_utc
from letstalk.core.ip_addresses import normalise_allowed
from letstalk.core.rates import parse_rates
from letstalk.tokens.models import Token, check_expires_in, check_name, check_scopes


class Unset(Enum):
    """What a change leaves as it is; None means to clear."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a new token is asked to be; None is the default: no name, never expiring, from anywhere, default rate."""

    user_id: str | None = None
    scopes: tuple[str, ...] | None = None
    name: str | None = None
    expires_in_seconds: int | None = None
    allowed_ips: tuple[str, ...] | None = None
    rate_limit: str | None = None


@dataclass(frozen=True, slots=True)
class TokenChanges:
    name: str | Unset | None = UNSET
    scopes: tuple[str, ...] | Unset = UNSET
    expires_in_seconds: int | Unset | None = UNSET
    allowed_ips: tuple[str, ...] | Unset | None = UNSET
    rate_limit: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token at the one moment when `secret`, its whole text, can be shown."""

    record: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenPage:
    tokens: tuple[Token, ...]
    next_cursor: str | None


def allowed_ips_from(given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Normalised; None is anywhere. Raises InvalidRequest."""
    return () if given is None else normalise_allowed(given)


def rate_limit_from(given: str | None) -> str | None:
    """With single spaces; None is the default. Raises InvalidRequest."""
    if given is None:
        return None
    parse_rates(given)
    return " ".join(given.split())


def expiry_from(now: datetime, given_seconds: int | None) -> datetime | None:
    """That long after `now`; None is never. Raises InvalidRequest."""
    seconds = check_expires_in(given_seconds)
    return None if seconds is None else now + timedelta(seconds=seconds)


def apply_changes(token: Token, changes: TokenChanges, now: datetime) -> Token:
    """`token` as `changes` ask for it. Raises InvalidRequest."""
    new: dict[str, Any] = {}
    if not isinstance(changes.name, Unset):
        new["name"] = check_name(changes.name)
    if not isinstance(changes.scopes, Unset):
        new["scopes"] = check_scopes(changes.scopes)
    if not isinstance(changes.allowed_ips, Unset):
        new["allowed_ips"] = allowed_ips_from(changes.allowed_ips)
    if not isinstance(changes.rate_limit, Unset):
        new["rate_limit"] = rate_limit_from(changes.rate_limit)
    if not isinstance(changes.expires_in_seconds, Unset):
        new["expires_at"] = expiry_from(now, changes.expires_in_seconds)
    return replace(token, **new)


def describe(token: Token) -> dict[str, Any]:
    """What bounds `token`, as JSON, for the audit trail."""
    return {
        "user_id": token.user_id,
        "name": token.name,
        "scopes": list(token.scopes),
        "allowed_ips": list(token.allowed_ips),
        "rate_limit": token.rate_limit,
        "expires_at": iso_utc(token.expires_at) if token.expires_at else None,
    }


def differences(old: Token, new: Token) -> dict[str, Any]:
    """What `describe` says differently of the two: `{field: [before, after]}`."""
    before, after = describe(old), describe(new)
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}
