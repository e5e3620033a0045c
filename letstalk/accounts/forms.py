"""The forms about accounts: their choices, and what was filled in."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from letstalk.accounts.invitations import NewInvitation
from letstalk.accounts.models import Account, Role
from letstalk.accounts.service import AccountChanges
from letstalk.http.forms import form_text
from letstalk.tokens.changes import UNSET

ROLES = (
    (Role.VIEWER.value, "Sees the tokens and verifications of the granted owners."),
    (Role.DEVELOPER.value, "The same, and creates, changes and revokes tokens, and starts calls."),
    (Role.ADMIN.value, "Everything of all owners, and manages people."),
)


@dataclass(frozen=True, slots=True)
class PersonForm:
    """The form about a person as an admin filled it in. `user_ids` has one owner per line."""

    email: str = ""
    role: str = Role.VIEWER.value
    user_ids: str = ""
    phone: str = ""
    second_factor: bool = False

    @classmethod
    def from_request(cls) -> PersonForm:
        return cls(
            email=form_text("email"),
            role=form_text("role"),
            user_ids=request.form.get("user_ids", ""),
            phone=form_text("phone"),
            second_factor="second_factor" in request.form,
        )

    @classmethod
    def of(cls, account: Account) -> PersonForm:
        return cls(
            email=account.email,
            role=account.role.value,
            user_ids="\n".join(account.user_ids),
            phone=account.phone or "",
            second_factor=account.second_factor,
        )

    @property
    def grants(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.user_ids.splitlines() if line.strip())

    def as_invitation(self) -> NewInvitation:
        return NewInvitation(email=self.email, role=self.role, user_ids=self.grants)

    def as_changes(self, *, is_own: bool) -> AccountChanges:
        """Admins change their own phone and second factor on their profile, which asks for the password."""
        return AccountChanges(
            email=self.email,
            role=self.role,
            user_ids=self.grants,
            phone=UNSET if is_own else self.phone or None,
            # Without a phone it is removed anyway.
            second_factor=UNSET if is_own or not self.phone else self.second_factor,
        )


def factor_changes(account: Account) -> AccountChanges:
    """The changes to one's own phone and second factor; UNSET for what stays."""
    phone, second_factor = form_text("phone"), "second_factor" in request.form
    is_same_phone = phone == (account.phone or "")
    return AccountChanges(
        phone=UNSET if is_same_phone else phone or None,
        second_factor=UNSET if second_factor == account.second_factor else second_factor,
    )
