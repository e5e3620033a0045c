"""The dashboard's pages about people, for admins: accounts, invitations and roles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.forms import ROLES, PersonForm
from letstalk.accounts.models import Account, AccountChanges, AccountState, Role
from letstalk.accounts.services import Accounts
from letstalk.core.errors import Conflict, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.http.forms import form_response, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.local_requests import link_base

PEOPLE_PER_PAGE = 25
MAX_SEARCH_LENGTH = 100


def make_blueprint(accounts: Accounts) -> Blueprint:
    people = Blueprint("people", __name__)
    people.add_app_template_filter(name_of)
    _add_list(people, accounts)
    _add_person(people, accounts)
    _add_invitations(people, accounts)
    _add_roles(people, accounts)
    return people


def name_of(account: Account) -> str:
    """The name shown for an account: the e-mail address until the person has chosen a username."""
    return account.username or account.email


def _add_list(people: Blueprint, accounts: Accounts) -> None:
    @people.get("/dashboard/people")
    @require_signed_in(Scope.ADMIN)
    def index() -> ResponseReturnValue:
        """People, newest first, a page at a time."""
        search = request.args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
        cursor = request.args.get("cursor") or None
        page = accounts.service.list_accounts(
            current_actor(), search=search or None, limit=PEOPLE_PER_PAGE, cursor=cursor
        )
        kept: dict[str, Any] = {"q": search or None}
        return render_template(
            "accounts/people.html",
            accounts=page.accounts,
            search=search,
            cursor=cursor,
            first_page=url_for("people.index", **kept),
            next_page=url_for("people.index", cursor=page.next_cursor, **kept) if page.next_cursor else None,
        )


def _add_person(people: Blueprint, accounts: Accounts) -> None:
    def get(account_id: object) -> Account:
        return accounts.service.get_account(current_actor(), str(account_id))

    def update(account: Account, changes: AccountChanges) -> Account:
        return accounts.service.update_account(current_actor(), account.account_id, changes)

    def set_disabled(account_id: object, *, disabled: bool) -> ResponseReturnValue:
        account = get(account_id)
        try:
            changed = update(account, AccountChanges(disabled=disabled))
        except Conflict as error:
            return _person_page(account, PersonForm.of(account), error)
        flash(f"{name_of(changed)} can {'no longer sign in' if disabled else 'sign in again'}.")
        return _redirect_after_change(changed)

    @people.get("/dashboard/people/<uuid:account_id>")
    @require_signed_in(Scope.ADMIN)
    def show(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        return _person_page(account, PersonForm.of(account))

    @people.post("/dashboard/people/<uuid:account_id>")
    @require_signed_in(Scope.ADMIN)
    def change(account_id: object) -> ResponseReturnValue:
        """The changed account; or the form as it was filled in, with its errors."""
        account, form = get(account_id), PersonForm.from_request()
        try:
            changed = update(account, form.as_changes(is_own=_is_own(account)))
        except (InvalidRequest, Conflict) as error:
            return _person_page(account, form, error)
        flash(f"{name_of(changed)} is changed.")
        return _redirect_after_change(changed)

    @people.post("/dashboard/people/<uuid:account_id>/disable")
    @require_signed_in(Scope.ADMIN)
    def disable(account_id: object) -> ResponseReturnValue:
        return set_disabled(account_id, disabled=True)

    @people.post("/dashboard/people/<uuid:account_id>/enable")
    @require_signed_in(Scope.ADMIN)
    def enable(account_id: object) -> ResponseReturnValue:
        return set_disabled(account_id, disabled=False)

    @people.get("/dashboard/people/<uuid:account_id>/delete")
    @require_signed_in(Scope.ADMIN)
    def delete_form(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        return render_template("accounts/delete.html", account=account, name=name_of(account))

    @people.post("/dashboard/people/<uuid:account_id>/delete")
    @require_signed_in(Scope.ADMIN)
    def delete(account_id: object) -> ResponseReturnValue:
        account = get(account_id)
        accounts.service.delete_account(current_actor(), account.account_id)
        flash(f"{name_of(account)} is deleted.")
        return redirect(url_for("people.index"))


def _add_invitations(people: Blueprint, accounts: Accounts) -> None:
    def render_form(form: PersonForm, error: LetsTalkError | None = None) -> Response:
        return form_response(
            "accounts/invite.html",
            error,
            fields=("email", "role", "user_ids"),
            form=form,
            roles=ROLES,
            sends_mail=accounts.mails.is_set_up,
            submission=new_submission(),
        )

    @people.get("/dashboard/people/invite")
    @require_signed_in(Scope.ADMIN)
    def invite_form() -> ResponseReturnValue:
        """Empty, or filled in for a person who was invited before."""
        again = request.args.get("account_id", type=UUID)
        if again is None:
            return render_form(PersonForm(role=Role.DEVELOPER.value))
        return render_form(PersonForm.of(accounts.service.get_account(current_actor(), str(again))))

    @people.post("/dashboard/people/invite")
    @require_signed_in(Scope.ADMIN)
    def invite() -> ResponseReturnValue:
        """The link, shown once; or the form as it was filled in, with its errors."""
        if was_sent_before():
            flash("This form was already sent, and its link was shown once. If you did not keep it, invite them again.")
            return redirect(url_for("people.index"))
        form = PersonForm.from_request()
        try:
            invitation = accounts.invitations.invite(current_actor(), form.as_invitation(), link_base())
        except (InvalidRequest, Conflict) as error:
            return render_form(form, error)
        keep_submission()
        # Without PUBLIC_URL the link is a path, to which the address is added under which the admin reaches us.
        base = request.host_url.rstrip("/") if invitation.link.startswith("/") else ""
        return render_template("accounts/invited.html", invitation=invitation, link=base + invitation.link)


def _add_roles(people: Blueprint, accounts: Accounts) -> None:
    second_factors = accounts.second_factors

    @people.get("/dashboard/people/roles")
    @require_signed_in(Scope.ADMIN)
    def roles() -> ResponseReturnValue:
        policies = second_factors.list_policies()
        required = {role.value for role, is_required in policies.items() if is_required}
        return render_template("accounts/roles.html", roles=ROLES, required=required)

    @people.post("/dashboard/people/roles")
    @require_signed_in(Scope.ADMIN)
    def change_roles() -> ResponseReturnValue:
        """Set only what was changed, because each change is an event of the audit trail."""
        wanted = set(request.form.getlist("required"))
        for role, is_required in second_factors.list_policies().items():
            if is_required is not (role.value in wanted):
                second_factors.set_policy(current_actor(), role, requires_second_factor=not is_required)
        flash("The rules for signing in are changed.")
        return redirect(url_for("people.roles"))


def _redirect_after_change(changed: Account) -> ResponseReturnValue:
    """To the person's page, which admins who just gave up their own role may no longer see: they go to the start."""
    is_shut_out = _is_own(changed) and changed.role is not Role.ADMIN
    own_page = url_for("people.show", account_id=changed.account_id)
    return redirect(url_for("dashboard.index") if is_shut_out else own_page)


def _is_own(account: Account) -> bool:
    return current_actor().account_id == account.account_id


def _person_page(account: Account, form: PersonForm, error: LetsTalkError | None = None) -> Response:
    return form_response(
        "accounts/person.html",
        error,
        fields=("email", "role", "user_ids", "phone", "second_factor"),
        account=account,
        name=name_of(account),
        form=form,
        roles=ROLES,
        is_own=_is_own(account),
        is_invited=account.state is AccountState.INVITED,
        is_disabled=account.state is AccountState.DISABLED,
    )
