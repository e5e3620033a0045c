"""The authenticated caller: one type for guards, services and the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from letstalk.core.errors import InsufficientScope, InvalidRequest, NotGranted
from letstalk.core.scopes import ALL_SCOPES, SCOPE_NAMES, Scope, expand_scopes

DEFAULT_OWNER_ID = "default_user"
MAX_OWNER_ID_LENGTH = 128
RESERVED_PREFIX = "letstalk:"  # owners that are parts of this service: no token and no person can use it


class ActorKind(StrEnum):
    TOKEN = "token"  # an app, by its API token
    PERSON = "person"  # someone with an account, by an access token or a browser's session
    OWNER = "owner"  # the holder of the dashboard's password
    COMMAND_LINE = "command_line"  # someone with a shell on the machine
    LOOPBACK = "loopback"  # a developer's laptop, without credentials
    CONNECTION = "connection"  # another system, by a connection
    SERVICE = "service"  # this service, for someone who is signing in


class CustomMessage(StrEnum):
    """Whether a call may say a text of the caller's, from the widest to the narrowest."""

    ON = "on"  # any text, or a template
    TEMPLATES = "templates"  # a text that the operator has written
    OFF = "off"  # only the default text

    def is_within(self, other: CustomMessage) -> bool:
        """Whether this allows nothing that `other` does not."""
        order = list(CustomMessage)
        return order.index(self) >= order.index(other)

    def narrowed_by(self, other: CustomMessage) -> CustomMessage:
        return other if other.is_within(self) else self


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller and the limits of what it may do.

    `owner_id` owns the verifications that the actor starts. It is empty for a person with several grants who has not
    chosen one (`act_for`). A token has `token_id`, `token_prefix` (its public start), `allowed_ips` (CIDR text; empty
    for any address), `expires_at` (None for never) and `rate_limit` (Flask-Limiter's notation; None for the default). A
    person has `account_id`, `session_id` and `owner_ids`, the granted ones. `custom_message` may narrow what the
    installation allows. `limits` are the request limits of a token: (what it is counted under, `rate_limit`) of its
    own, and of each token above it that is no admin's.
    """

    kind: ActorKind
    owner_id: str
    scopes: frozenset[Scope]
    token_id: str | None = None
    token_prefix: str | None = None
    allowed_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None
    rate_limit: str | None = None
    address: str | None = None
    account_id: str | None = None
    session_id: str | None = None
    owner_ids: frozenset[str] = frozenset()
    custom_message: CustomMessage = CustomMessage.ON
    limits: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def holds(self, scope: Scope) -> bool:
        return scope in self.scopes

    def ensure_holds(self, scope: Scope) -> None:
        """For what only some requests to a view need. Raises InsufficientScope."""
        if not self.holds(scope):
            raise InsufficientScope(f"This needs the scope {scope.value}.", required_scopes=(scope.value,))

    def reaches(self, owner_id: str) -> bool:
        """Whether the actor may act for `owner_id` at all. Scopes say what they may do."""
        if self.is_admin:
            return True
        return owner_id in self.owner_ids if self.kind is ActorKind.PERSON else owner_id == self.owner_id

    @property
    def visible_owners(self) -> frozenset[str] | None:
        """The owners whose things the actor may see. None is all owners."""
        if self.is_admin:
            return None
        return self.owner_ids if self.kind is ActorKind.PERSON else frozenset({self.owner_id})

    @property
    def hidden_scopes(self) -> tuple[str, ...]:
        """The scopes and bundles that hide a token from the actor, even if its owner is visible."""
        if self.kind is ActorKind.PERSON:
            return ()
        return tuple(name for name in SCOPE_NAMES if not expand_scopes([name]) <= self.scopes)

    def act_for(self, owner_id: str | None) -> Actor:
        """The actor for one owner: `owner_id`, or the only one that the actor has.

        Raises NotGranted; InvalidRequest where a person has several grants and names none.
        """
        if owner_id is not None and not self.reaches(owner_id):
            raise NotGranted("Your account was not granted this user_id.")
        if owner_id is not None or self.owner_id:
            return self if owner_id is None else replace(self, owner_id=owner_id)
        if not self.owner_ids:
            raise NotGranted("No user_id is granted to your account. Ask an admin for one.")
        raise InvalidRequest.in_field("X-User-Id", "Give the user_id that you act for in the X-User-Id header.")


def trusted_actor(kind: ActorKind, address: str | None = None) -> Actor:
    """An administrator of this installation, with every scope."""
    return Actor(kind=kind, owner_id=DEFAULT_OWNER_ID, scopes=ALL_SCOPES, address=address)


def usual_owner(owner_ids: Sequence[str]) -> str:
    """The owner that a form begins with, of those that exist: the default or the only one. Empty if that is open."""
    if not owner_ids or DEFAULT_OWNER_ID in owner_ids:
        return DEFAULT_OWNER_ID
    return owner_ids[0] if len(owner_ids) == 1 else ""


def check_owner_id(owner_id: str) -> str:
    """`owner_id` itself. Raises InvalidRequest unless it is 1 to 128 printable characters, not only spaces.

    The API calls an owner `user_id`.
    """
    if owner_id.startswith(RESERVED_PREFIX):
        raise InvalidRequest.in_field("user_id", f"user_id must not begin with {RESERVED_PREFIX}")
    if not owner_id.strip() or len(owner_id) > MAX_OWNER_ID_LENGTH or not owner_id.isprintable():
        raise InvalidRequest.in_field("user_id", f"user_id must be 1 to {MAX_OWNER_ID_LENGTH} printable characters.")
    return owner_id
