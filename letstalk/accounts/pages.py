"""The dashboard's pages about people, for admins: who there is, what each may do, who may sign in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts import forms as forms
from letstalk.accounts.models import Account, AccountState, Role
from letstalk.accounts.service import AccountChanges
from letstalk.core.errors import Conflict, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.http.container import people as people_services
from letstalk.http.forms import answer_form
from letstalk.http.guards import current_actor, require_signed_in

PEOPLE_PER_PAGE = 25
MAX_SEARCH_LENGTH = 100

people = Blueprint("people", __name__)


@people.get("/dashboard/people")
@require_signed_in(Scope.ADMIN)
def index() -> ResponseReturnValue:
    """People, the newest first, a page at a time."""
    search = request.args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
    cursor = request.args.get("cursor") or None
    page = people_services().accounts.list_accounts(
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


@people.get("/dashboard/people/<uuid:account_id>")
@require_signed_in(Scope.ADMIN)
def show(account_id: object) -> ResponseReturnValue:
    account = _get(account_id)
    return _page(account, forms.PersonForm.of(account))


@people.post("/dashboard/people/<uuid:account_id>")
@require_signed_in(Scope.ADMIN)
def change(account_id: object) -> ResponseReturnValue:
    """The person as they are now; or the form as it was filled in, with what is wrong."""
    account, form = _get(account_id), forms.PersonForm.from_request()
    try:
        changed = _update(account, form.as_changes(is_own=_is_own(account)))
    except (InvalidRequest, Conflict) as error:
        return _page(account, form, error)
    flash(f"{name_of(changed)} is changed.")
    return _send_on(changed)


@people.post("/dashboard/people/<uuid:account_id>/disable")
@require_signed_in(Scope.ADMIN)
def disable(account_id: object) -> ResponseReturnValue:
    return _set_disabled(account_id, disabled=True)


@people.post("/dashboard/people/<uuid:account_id>/enable")
@require_signed_in(Scope.ADMIN)
def enable(account_id: object) -> ResponseReturnValue:
    return _set_disabled(account_id, disabled=False)


@people.get("/dashboard/people/<uuid:account_id>/delete")
@require_signed_in(Scope.ADMIN)
def delete_form(account_id: object) -> ResponseReturnValue:
    account = _get(account_id)
    return render_template("accounts/delete.html", account=account, name=name_of(account))


@people.post("/dashboard/people/<uuid:account_id>/delete")
@require_signed_in(Scope.ADMIN)
def delete(account_id: object) -> ResponseReturnValue:
    account = _get(account_id)
    people_services().accounts.delete_account(current_actor(), account.account_id)
    flash(f"{name_of(account)} is deleted.")
    return redirect(url_for("people.index"))


@people.app_template_filter("name_of")
def name_of(account: Account) -> str:
    """What somebody is called here: by their address, until they have chosen a name."""
    return account.username or account.email


def _get(account_id: object) -> Account:
    """Raises NotFound."""
    return people_services().accounts.get_account(current_actor(), str(account_id))


def _update(account: Account, changes: AccountChanges) -> Account:
    return people_services().accounts.update_account(current_actor(), account.account_id, changes)


def _set_disabled(account_id: object, *, disabled: bool) -> ResponseReturnValue:
    account = _get(account_id)
    try:
        changed = _update(account, AccountChanges(disabled=disabled))
    except Conflict as error:
        return _page(account, forms.PersonForm.of(account), error)
    flash(f"{name_of(changed)} may {'not sign in any more' if disabled else 'sign in again'}.")
    return _send_on(changed)


def _send_on(changed: Account) -> ResponseReturnValue:
    """To the person's page; whoever has just given up their own role, to one that they may still see."""
    is_shut_out = _is_own(changed) and changed.role is not Role.ADMIN
    own_page = url_for("people.show", account_id=changed.account_id)
    return redirect(url_for("dashboard.index") if is_shut_out else own_page)


def _is_own(account: Account) -> bool:
    return current_actor().account_id == account.account_id


def _page(account: Account, form: forms.PersonForm, error: LetsTalkError | None = None) -> Response:
    return answer_form(
        "accounts/person.html",
        error,
        fields=("email", "role", "user_ids", "phone", "second_factor"),
        account=account,
        name=name_of(account),
        form=form,
        roles=forms.ROLES,
        is_own=_is_own(account),
        is_invited=account.state is AccountState.INVITED,
        is_disabled=account.state is AccountState.DISABLED,
    )
