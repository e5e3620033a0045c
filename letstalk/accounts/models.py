"""Accounts: their data, the rights of a role, the rules for names and addresses, and changes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Any

from letstalk.core.actors import DEFAULT_OWNER_ID, RESERVED_PREFIX, Actor, ActorKind, check_owner_id
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.core.errors import InsufficientScope, InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.core.name_keys import encode_domain
from letstalk.core.scopes import ALL_SCOPES, Scope, expand_scopes
from letstalk.core.unset import UNSET, Unset
from letstalk.telephony.phone_numbers import parse_phone

# The owners of the calls that give people their codes when they sign in to this service, and when they prove a phone. A
# colon and the id of the account follow: each account has limits of its own.
SECOND_FACTOR_OWNER_ID = f"{RESERVED_PREFIX}sign-in"
PHONE_PROOF_OWNER_ID = f"{RESERVED_PREFIX}phone"

BUILT_IN_OWNER = "owner"  # in the place of an account's id, which is a UUID

MIN_USERNAME_LENGTH = 2
MAX_USERNAME_LENGTH = 64
MAX_EMAIL_LENGTH = 254  # RFC 5321, 4.5.3.1.3: a path of 256 with its angle brackets
MAX_GRANTS = 100
MAX_USER_AGENT_LENGTH = 300

_USERNAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{{MIN_USERNAME_LENGTH - 1},{MAX_USERNAME_LENGTH - 1}}}")
# Loose on purpose: only a mail tells whether an address exists. What could break a header is rejected.
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+\.[^\s@<>()\[\],;:\\\".]+")


class Role(StrEnum):
    ADMIN = "admin"  # everything
    DEVELOPER = "developer"  # tokens and verifications of the granted owners
    VIEWER = "viewer"  # reads those


class AccountState(StrEnum):
    INVITED = "invited"  # has a link, and neither username nor password yet
    UNVERIFIED = "unverified"  # registered, the e-mail address not proven yet
    ACTIVE = "active"  # may sign in
    DISABLED = "disabled"  # may not sign in until an admin enables it


class SessionKind(StrEnum):
    API = "api"  # access tokens, renewed by refresh tokens
    BROWSER = "browser"  # a cookie


_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: ALL_SCOPES,
    Role.DEVELOPER: expand_scopes(("read", "write", "tokens:read", "tokens:write", "test_numbers:write", "otp:speak"))
    | {Scope.WEBHOOKS_WRITE, Scope.CONNECTIONS_WRITE},
    Role.VIEWER: frozenset({Scope.CALLS_READ, Scope.TOKENS_READ}),
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its secrets.

    `username` is None until an invited person accepts. `phone` is E.164, and proven by a code that was read to it;
    `pending_phone` waits for that, and no sign-in calls it. `credentials_epoch` grows with each change of the password,
    the phone and the second factor. `owner_ids` are the granted owners, sorted; an
    admin needs none. `second_factor` is the person's own setting; their role may require one as well.
    `email_verified_at` is when the address was proven by a link or another service, or an admin made the account with
    it. Disabling and enabling changes nothing of that.
    """

    account_id: str
    username: str | None
    email: str
    role: Role
    state: AccountState
    phone: str | None
    owner_ids: tuple[str, ...]
    created_at: datetime
    second_factor: bool = False
    has_password: bool = False
    last_signed_in_at: datetime | None = None
    pending_phone: str | None = None
    credentials_epoch: int = 0
    email_verified_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        return self.state is AccountState.ACTIVE


@dataclass(frozen=True, slots=True)
class AccountSession:
    """A session without its secrets. `method` is how the person signed in: password, sso, jwt, invitation…"""

    session_id: str
    account_id: str
    kind: SessionKind
    method: str
    epoch: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class SignInProvider:
    """Another service that people can sign in with: what its button says, and the address to send the browser to."""

    name: str
    start_url: str


@dataclass(frozen=True, slots=True)
class Device:
    """What a person signs in with: the address of the connection, and the name that the program gives itself.

    A browser that somebody has signed in with before has a `browser_id`; `known_to` are the ids of those accounts, or
    BUILT_IN_OWNER, each with the mark that their credentials had then: the `credentials_epoch`, or the owner's mark.
    """

    address: str
    user_agent: str = ""
    browser_id: str | None = None
    known_to: frozenset[tuple[str, str]] = frozenset()


def scopes_of(role: Role) -> frozenset[Scope]:
    return _SCOPES[role]


def person_actor(account: Account, session_id: str, address: str | None = None) -> Actor:
    """It acts for its only granted owner, an admin for the default owner. With several, a request must name one."""
    owner_ids = frozenset(account.owner_ids)
    owner_id = account.owner_ids[0] if len(owner_ids) == 1 else ""
    return Actor(
        kind=ActorKind.PERSON,
        owner_id=DEFAULT_OWNER_ID if account.role is Role.ADMIN else owner_id,
        scopes=scopes_of(account.role),
        address=address,
        account_id=account.account_id,
        session_id=session_id,
        owner_ids=owner_ids,
    )


def ensure_admin(actor: Actor) -> None:
    """Raises InsufficientScope unless `actor` is an admin."""
    if not actor.is_admin:
        raise InsufficientScope("Only an admin may do this.", required_scopes=(Scope.ADMIN.value,))


def check_username(username: str) -> str:
    """`username` itself. Raises InvalidRequest unless it is 2 to 64 letters, digits, dots, hyphens and underscores.
    ASCII letters only, so that no name looks like another; no @, so that no name looks like an e-mail address.
    """
    if not _USERNAME.fullmatch(username):
        raise InvalidRequest.in_field(
            "username",
            f"username must be {MIN_USERNAME_LENGTH} to {MAX_USERNAME_LENGTH} of a-z, 0-9, dot, hyphen and underscore, "
            "and begin with a letter or digit.",
        )
    return username


def check_email(email: str) -> str:
    """`email` without surrounding spaces. Raises InvalidRequest for what can't be an address, and for a domain that
    IDNA 2008 does not allow: what a program makes of it depends on the program.
    """
    email = email.strip()
    is_plain = not any(unicodedata.category(character)[0] in "CZ" for character in email)
    if len(email) > MAX_EMAIL_LENGTH or not is_plain or not _EMAIL.fullmatch(email):
        raise InvalidRequest.in_field("email", "email must be an e-mail address.")
    try:
        encode_domain(email.rpartition("@")[2])
    except ValueError:
        raise InvalidRequest.in_field("email", "email must have a domain that exists (IDNA 2008).") from None
    return email


def check_role(name: str) -> Role:
    """The role of that name. Raises InvalidRequest."""
    try:
        return Role(name)
    except ValueError:
        raise InvalidRequest.in_field("role", f"role must be one of {', '.join(Role)}.") from None


def check_grants(owner_ids: Iterable[str]) -> tuple[str, ...]:
    """`owner_ids` without duplicates, sorted. Raises InvalidRequest for an invalid one and for more than 100."""
    try:
        grants = tuple(sorted({check_owner_id(owner_id) for owner_id in owner_ids}))
    except InvalidRequest as error:
        raise InvalidRequest.in_field("user_ids", error.message) from None
    if len(grants) > MAX_GRANTS:
        raise InvalidRequest.in_field("user_ids", f"user_ids takes at most {MAX_GRANTS} entries.")
    return grants


def usernames_for(name: str, email: str) -> Iterator[str]:
    """Usernames for a new account, without end: `name`, the one in the address, then with a number."""
    base = _as_username(name) or _as_username(email.partition("@")[0]) or "person"
    yield base
    for number in count(2):
        ending = f"-{number}"
        yield base[: MAX_USERNAME_LENGTH - len(ending)] + ending


def _as_username(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:MAX_USERNAME_LENGTH]
    return plain if len(plain) >= MIN_USERNAME_LENGTH else ""


def hash_secret(secret: str) -> bytes:
    """The SHA-256 of a secret of ours, to store. Its random bits, 192 or more, need no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create. With `state` INVITED it needs neither `username` nor `password`. `phone` is pending. One
    that `owns_itself` is granted an owner of its own.
    """

    email: str
    username: str | None = None
    role: str = Role.VIEWER.value
    owner_ids: tuple[str, ...] = ()
    password: str | None = None
    phone: str | None = None
    state: AccountState = AccountState.ACTIVE
    owns_itself: bool = False


def check_new_account(wanted: NewAccount, default_region: str | None) -> NewAccount:
    """`wanted` with its values as they are stored. Raises InvalidRequest with all that is wrong; InvalidPhone."""
    checked: dict[str, Any] = {}
    problems = FieldErrors()
    with problems.collected():
        if wanted.username is not None:
            checked["username"] = check_username(wanted.username)
        elif wanted.state is not AccountState.INVITED:
            raise InvalidRequest.in_field("username", "username is missing.")
    with problems.collected():
        checked["email"] = check_email(wanted.email)
    with problems.collected():
        checked["role"] = check_role(wanted.role).value
    with problems.collected():
        checked["owner_ids"] = check_grants(wanted.owner_ids)
    if wanted.phone is not None:
        with problems.collected():
            checked["phone"] = parse_phone(wanted.phone, default_region).e164
    problems.raise_found()
    return replace(wanted, **checked)


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """The changes; UNSET leaves a value as it is. `phone` None removes the phone, and the second factor with it;
    another one is pending until it is proven.
    """

    username: str | Unset = UNSET
    email: str | Unset = UNSET
    role: str | Unset = UNSET
    owner_ids: Sequence[str] | Unset = UNSET
    phone: str | Unset | None = UNSET
    second_factor: bool | Unset = UNSET
    disabled: bool | Unset = UNSET

    @property
    def changes_rights(self) -> bool:
        """Whether it changes what only an admin may change."""
        return any(value is not UNSET for value in (self.email, self.role, self.owner_ids, self.disabled))

    @property
    def changes_second_factor(self) -> bool:
        """Whether it changes the phone or the second factor."""
        return self.phone is not UNSET or self.second_factor is not UNSET


@dataclass(frozen=True, slots=True)
class AccountPage:
    accounts: tuple[Account, ...]
    next_cursor: str | None


def apply_changes(account: Account, changes: AccountChanges, default_region: str | None) -> Account:
    """`account` with `changes` made. Raises InvalidRequest with all that is wrong; InvalidPhone."""
    given: dict[str, Any] = {}
    problems = FieldErrors()
    if not isinstance(changes.username, Unset):
        with problems.collected():
            given["username"] = check_username(changes.username)
    if not isinstance(changes.email, Unset):
        with problems.collected():
            given["email"] = check_email(changes.email)
    if not isinstance(changes.role, Unset):
        with problems.collected():
            given["role"] = check_role(changes.role)
    if not isinstance(changes.owner_ids, Unset):
        with problems.collected():
            given["owner_ids"] = check_grants(changes.owner_ids)
    if not isinstance(changes.phone, Unset):
        with problems.collected():
            given |= _phone_changes(account, changes.phone, default_region)
    problems.raise_found()
    if not isinstance(changes.second_factor, Unset):
        given["second_factor"] = changes.second_factor
    if not isinstance(changes.disabled, Unset):
        given["state"] = _state_after(account, changes.disabled)
    changed = replace(account, **given)
    if changed.second_factor and changed.phone is None:
        raise InvalidRequest.in_field("second_factor", "second_factor requires a phone that was proven by a code.")
    return end_sign_ins(account, changed)


def _phone_changes(account: Account, phone: str | None, default_region: str | None) -> dict[str, Any]:
    if phone is None:
        return {"phone": None, "pending_phone": None, "second_factor": False}
    wanted = parse_phone(phone, default_region).e164
    return {"pending_phone": None if wanted == account.phone else wanted}


def is_weaker(before: Account, after: Account) -> bool:
    """Whether a proven phone or the second factor is taken away."""
    return (before.phone is not None and after.phone is None) or (before.second_factor and not after.second_factor)


def end_sign_ins(before: Account, after: Account) -> Account:
    """`after`, in which the sign-ins that wait for a code have ended if the phone or the second factor is another, or
    the account is enabled again.
    """
    is_enabled_again = before.state is AccountState.DISABLED and after.state is not AccountState.DISABLED
    is_same = (before.phone, before.second_factor) == (after.phone, after.second_factor) and not is_enabled_again
    return after if is_same else replace(after, credentials_epoch=before.credentials_epoch + 1)


def describe_account(account: Account) -> dict[str, Any]:
    """`account` without its phone, as JSON takes it."""
    return {
        "account_id": account.account_id,
        "username": account.username,
        "email": account.email,
        "email_verified": account.email_verified_at is not None,
        "role": account.role,
        "state": account.state,
        "user_ids": list(account.owner_ids),
        "second_factor": account.second_factor,
        "created_at": iso_utc(account.created_at),
        "last_signed_in_at": iso_utc_or_none(account.last_signed_in_at),
    }


def differences(before: Account, after: Account) -> dict[str, Any]:
    """What changed, for the audit trail; of a phone only that it changed."""
    changed: dict[str, Any] = {}
    for name in ("username", "email", "role", "state", "second_factor"):
        if getattr(before, name) != getattr(after, name):
            changed[name] = {"from": getattr(before, name), "to": getattr(after, name)}
    if before.owner_ids != after.owner_ids:
        changed["user_ids"] = {"from": list(before.owner_ids), "to": list(after.owner_ids)}
    for name in ("phone", "pending_phone"):
        if getattr(before, name) != getattr(after, name):
            changed[f"{name}_changed"] = True
    return changed


def _state_after(account: Account, disabled: bool) -> AccountState:
    if disabled:
        return AccountState.DISABLED
    if account.state is not AccountState.DISABLED:
        return account.state
    if account.username is None:
        return AccountState.INVITED
    return AccountState.UNVERIFIED if account.email_verified_at is None else AccountState.ACTIVE
