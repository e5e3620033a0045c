"""What the account service is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from letstalk.accounts.models import Account, AccountState, Role, check_email, check_grants, check_role, check_username
from letstalk.core.errors import InvalidRequest
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.tokens.changes import UNSET, Unset


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Someone to be put on record. `state` INVITED needs neither `username` nor `password`."""

    email: str
    username: str | None = None
    role: str = Role.VIEWER.value
    user_ids: tuple[str, ...] = ()
    password: str | None = None
    phone: str | None = None
    second_factor: bool = False
    state: AccountState = AccountState.ACTIVE


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """What is to be changed; UNSET stays as it is. `phone` None takes it away, and the second factor with it."""

    username: str | Unset = UNSET
    email: str | Unset = UNSET
    role: str | Unset = UNSET
    user_ids: tuple[str, ...] | Unset = UNSET
    phone: str | Unset | None = UNSET
    second_factor: bool | Unset = UNSET
    disabled: bool | Unset = UNSET

    @property
    def is_of_rights(self) -> bool:
        """Whether it changes what only an admin may change."""
        return any(value is not UNSET for value in (self.email, self.role, self.user_ids, self.disabled))

    @property
    def is_of_factors(self) -> bool:
        """Whether it changes with what else than the password someone signs in."""
        return self.phone is not UNSET or self.second_factor is not UNSET


@dataclass(frozen=True, slots=True)
class AccountPage:
    accounts: tuple[Account, ...]
    next_cursor: str | None


def apply_changes(account: Account, changes: AccountChanges, default_region: str | None) -> Account:
    """`account` with `changes` made. Raises InvalidRequest, InvalidPhone."""
    given: dict[str, Any] = {}
    if not isinstance(changes.username, Unset):
        given["username"] = check_username(changes.username)
    if not isinstance(changes.email, Unset):
        given["email"] = check_email(changes.email)
    if not isinstance(changes.role, Unset):
        given["role"] = check_role(changes.role)
    if not isinstance(changes.user_ids, Unset):
        given["user_ids"] = check_grants(changes.user_ids)
    if not isinstance(changes.phone, Unset):
        given["phone"] = None if changes.phone is None else parse_phone(changes.phone, default_region).e164
        if changes.phone is None:
            given["second_factor"] = False
    if not isinstance(changes.second_factor, Unset):
        given["second_factor"] = changes.second_factor
    if not isinstance(changes.disabled, Unset):
        given["state"] = _state_after(account, changes.disabled)
    changed = replace(account, **given)
    if changed.second_factor and changed.phone is None:
        raise InvalidRequest.in_field("second_factor", "second_factor needs a phone.")
    return changed


def differences(before: Account, after: Account) -> dict[str, Any]:
    """What a change did, for the audit trail: of a phone only that it changed."""
    changed: dict[str, Any] = {}
    for name in ("username", "email", "role", "state", "second_factor"):
        if getattr(before, name) != getattr(after, name):
            changed[name] = {"from": getattr(before, name), "to": getattr(after, name)}
    if before.user_ids != after.user_ids:
        changed["user_ids"] = {"from": list(before.user_ids), "to": list(after.user_ids)}
    if before.phone != after.phone:
        changed["phone_changed"] = True
    return changed


def _state_after(account: Account, disabled: bool) -> AccountState:
    if disabled:
        return AccountState.DISABLED
    if account.state is not AccountState.DISABLED:
        return account.state
    return AccountState.INVITED if account.username is None else AccountState.ACTIVE
