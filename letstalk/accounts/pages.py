"""The dashboard's pages about accounts, for admins: list, change, invite, delete, and what the roles require."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.models import Account, AccountChanges, AccountState, Role
from letstalk.accounts.registrations import NewInvitation
from letstalk.accounts.services import Accounts
from letstalk.core.errors import Conflict, Forbidden, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.forms import form_response, form_text, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.local_requests import link_base
from letstalk.tokens.models import Token

ACCOUNTS_PER_PAGE = 25
MAX_SEARCH_LENGTH = 100
ROLES = (
    (Role.VIEWER.value, "Views the tokens and verifications of the granted owners."),
    (Role.DEVELOPER.value, "Also creates, changes and revokes tokens, and starts calls."),
    (Role.ADMIN.value, "Full access to all owners, and manages people."),
)


@dataclass(frozen=True, slots=True)
class AccountForm:
    """The form about an account as an admin filled it in. `user_ids` has one owner per line."""

    email: str = ""
    role: str = Role.VIEWER.value
    user_ids: str = ""
    phone: str = ""
    second_factor: bool = False

    @classmethod
    def from_request(cls) -> AccountForm:
        return cls(
            email=form_text("email"),
            role=form_text("role"),
            user_ids=request.form.get("user_ids", ""),
            phone=form_text("phone"),
            second_factor="second_factor" in request.form,
        )

    @classmethod
    def of(cls, account: Account) -> AccountForm:
        return cls(
            email=account.email,
            role=account.role.value,
            user_ids="\n".join(account.owner_ids),
            phone=account.pending_phone or account.phone or "",
            second_factor=account.second_factor,
        )

    @property
    def grants(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.user_ids.splitlines() if line.strip())

    def as_invitation(self) -> NewInvitation:
        return NewInvitation(email=self.email, role=self.role, owner_ids=self.grants)

    def as_changes(self, *, is_own: bool) -> AccountChanges:
        """Admins change their own phone and second factor on their profile, which asks for the password."""
        return AccountChanges(
            email=self.email,
            role=self.role,
            owner_ids=self.grants,
            phone=UNSET if is_own else self.phone or None,
            # Without a phone it is removed anyway.
            second_factor=UNSET if is_own or not self.phone else self.second_factor,
        )


def make_blueprint(accounts: Accounts) -> Blueprint:
    pages = Blueprint("account_pages", __name__)
    pages.add_app_template_filter(name_of)
    _add_list(pages, accounts)
    _add_account(pages, accounts)
    _add_invitations(pages, accounts)
    _add_roles(pages, accounts)
    return pages


def name_of(account: Account) -> str:
    """The name shown for an account: the e-mail address until the person has chosen a username."""
    return account.username or account.email


def _add_list(pages: Blueprint, accounts: Accounts) -> None:
    @pages.get("/dashboard/people")
    @require_signed_in(Scope.ADMIN)
    def index() -> ResponseReturnValue:
        search = request.args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
        cursor = request.args.get("cursor") or None
        page = accounts.service.list_accounts(
            current_actor(), search=search or None, limit=ACCOUNTS_PER_PAGE, cursor=cursor
        )
        kept: dict[str, Any] = {"q": search or None}
        return render_template(
            "accounts/list.html",
            accounts=page.accounts,
            search=search,
            cursor=cursor,
            first_page=url_for("account_pages.index", **kept),
            next_page=url_for("account_pages.index", cursor=page.next_cursor, **kept) if page.next_cursor else None,
        )


def _add_account(pages: Blueprint, accounts: Accounts) -> None:
    def get(account_id: object) -> Account:
        return accounts.service.get_account(current_actor(), str(account_id))

    def list_tokens(account: Account) -> list[Token]:
        return accounts.service.list_tokens(current_actor(), account.account_id)

    def account_page(account: Account, form: AccountForm, error: LetsTalkError | None = None) -> Response:
        return _account_page(account, form, error, tokens=list_tokens(account))

    def update(account: Account, changes: AccountChanges) -> Account:
        return accounts.service.update_account(current_actor(), account.account_id, changes)

    @pages.get("/dashboard/people/<uuid:account_id>")
    @require_signed_in(Scope.ADMIN)
    def show(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        return account_page(account, AccountForm.of(account))

    @pages.post("/dashboard/people/<uuid:account_id>")
    @require_signed_in(Scope.ADMIN)
    def change(account_id: object) -> ResponseReturnValue:
        account, form = get(account_id), AccountForm.from_request()
        try:
            changed = update(account, form.as_changes(is_own=_is_own(account)))
        except (InvalidRequest, Conflict, Forbidden) as error:
            return account_page(account, form, error)
        flash(f"{name_of(changed)} has been changed.")
        return _redirect_after_change(changed)

    @pages.post("/dashboard/people/<uuid:account_id>/disable", endpoint="disable", defaults={"disabled": True})
    @pages.post("/dashboard/people/<uuid:account_id>/enable", endpoint="enable", defaults={"disabled": False})
    @require_signed_in(Scope.ADMIN)
    def set_disabled(account_id: object, disabled: bool) -> ResponseReturnValue:
        account = get(account_id)
        try:
            changed = accounts.service.update_account(
                current_actor(),
                account.account_id,
                AccountChanges(disabled=disabled),
                revoke_tokens=disabled and _revokes_tokens(),
            )
        except Conflict as error:
            return account_page(account, AccountForm.of(account), error)
        flash(f"{name_of(changed)} can {'no longer sign in' if disabled else 'sign in again'}.")
        return _redirect_after_change(changed)

    @pages.get("/dashboard/people/<uuid:account_id>/delete")
    @require_signed_in(Scope.ADMIN)
    def delete_form(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        return render_template(
            "accounts/delete.html", account=account, name=name_of(account), tokens=list_tokens(account)
        )

    @pages.post("/dashboard/people/<uuid:account_id>/delete")
    @require_signed_in(Scope.ADMIN)
    def delete(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        accounts.service.delete_account(current_actor(), account.account_id, revoke_tokens=_revokes_tokens())
        flash(f"{name_of(account)} has been deleted.")
        return redirect(url_for("account_pages.index"))


def _add_invitations(pages: Blueprint, accounts: Accounts) -> None:
    def render_form(form: AccountForm, error: LetsTalkError | None = None) -> Response:
        return form_response(
            "accounts/invite.html",
            error,
            fields=("email", "role", "user_ids"),
            form=form,
            roles=ROLES,
            sends_mail=accounts.mails.is_set_up,
            submission=new_submission(),
        )

    @pages.get("/dashboard/people/invite")
    @require_signed_in(Scope.ADMIN)
    def invite_form() -> ResponseReturnValue:
        again = request.args.get("account_id", type=UUID)
        if again is None:
            return render_form(AccountForm(role=Role.DEVELOPER.value))
        return render_form(AccountForm.of(accounts.service.get_account(current_actor(), str(again))))

    @pages.post("/dashboard/people/invite")
    @require_signed_in(Scope.ADMIN)
    def invite() -> ResponseReturnValue:
        if was_sent_before():
            flash("This form was already sent, and the link was shown once. If you did not copy it, invite them again.")
            return redirect(url_for("account_pages.index"))
        form = AccountForm.from_request()
        try:
            invitation = accounts.invitations.invite(current_actor(), form.as_invitation(), link_base())
        except (InvalidRequest, Conflict) as error:
            return render_form(form, error)
        keep_submission()
        # Without PUBLIC_URL the link is a path, to which the address is added under which the admin reaches us.
        base = request.host_url.rstrip("/") if invitation.link.startswith("/") else ""
        return render_template("accounts/invited.html", invitation=invitation, link=base + invitation.link)


def _add_roles(pages: Blueprint, accounts: Accounts) -> None:
    second_factors = accounts.second_factors

    def render_form(required: set[str], asked: Sequence[Role] = ()) -> str:
        """`asked` are the roles whose people without a phone the page names before it changes anything."""
        without_phone = {role: second_factors.list_without_phone(current_actor(), role) for role in Role}
        return render_template(
            "accounts/roles.html", roles=ROLES, required=required, asked=asked, without_phone=without_phone
        )

    @pages.get("/dashboard/people/roles")
    @require_signed_in(Scope.ADMIN)
    def roles() -> ResponseReturnValue:
        policies = second_factors.list_policies()
        return render_form({role.value for role, is_required in policies.items() if is_required})

    @pages.post("/dashboard/people/roles")
    @require_signed_in(Scope.ADMIN)
    def change_roles() -> ResponseReturnValue:
        """Set only what was changed, because each change is an event of the audit trail. Before a code is required of
        people who have no phone, the page names them.
        """
        wanted = set(request.form.getlist("required"))
        changed = [
            role for role, is_required in second_factors.list_policies().items() if is_required is not (role in wanted)
        ]
        asked = [
            role for role in changed if role in wanted and second_factors.list_without_phone(current_actor(), role)
        ]
        if asked and request.form.get("confirmed") != "1":
            return render_form(wanted, asked)
        for role in changed:
            second_factors.set_policy(current_actor(), role, requires_second_factor=role in wanted)
        flash("The sign-in rules have been changed.")
        return redirect(url_for("account_pages.roles"))


def _redirect_after_change(changed: Account) -> ResponseReturnValue:
    """To the account's page, which admins who just gave up their own role may no longer see: they go to the start."""
    is_shut_out = _is_own(changed) and changed.role is not Role.ADMIN
    own_page = url_for("account_pages.show", account_id=changed.account_id)
    return redirect(url_for("overview.show") if is_shut_out else own_page)


def _is_own(account: Account) -> bool:
    return current_actor().account_id == account.account_id


def _revokes_tokens() -> bool:
    return request.form.get("revoke_tokens") == "1"


def _account_page(
    account: Account, form: AccountForm, error: LetsTalkError | None, *, tokens: Sequence[Token]
) -> Response:
    return form_response(
        "accounts/account.html",
        error,
        fields=("email", "role", "user_ids", "phone", "second_factor"),
        account=account,
        name=name_of(account),
        form=form,
        roles=ROLES,
        is_own=_is_own(account),
        is_invited=account.state is AccountState.INVITED,
        is_disabled=account.state is AccountState.DISABLED,
        tokens=tokens,
    )
