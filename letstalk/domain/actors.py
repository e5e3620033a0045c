"""Who is asking: the one type that guards, services and the audit trail share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from letstalk.domain.scopes import ALL_SCOPES, Scope


class ActorKind(StrEnum):
    TOKEN = "token"  # an app, by its API token
    OWNER = "owner"  # the person who signed in to the dashboard
    COMMAND_LINE = "command_line"  # someone with a shell on the machine
    LOOPBACK = "loopback"  # a laptop in development, without credentials


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller and all that bounds what it may do or hand on.

    `user_id` owns the verifications that the actor starts. `token_id`, `allowed_ips` (CIDR text; empty for
    anywhere), `expires_at` (None for never) and `rate_limit` (Flask-Limiter's words; None for the default)
    are those of the token, and stay empty for the other kinds.
    """

    kind: ActorKind
    user_id: str
    scopes: frozenset[Scope]
    token_id: str | None = None
    allowed_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None
    rate_limit: str | None = None
    address: str | None = None

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def holds(self, scope: Scope) -> bool:
        return scope in self.scopes


def trusted_actor(kind: ActorKind, address: str | None = None) -> Actor:
    """Someone who administers this installation: may do everything that a token with `admin` may."""
    return Actor(kind=kind, user_id="default_user", scopes=ALL_SCOPES, address=address)
