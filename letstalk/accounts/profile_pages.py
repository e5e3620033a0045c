"""The dashboard's page about oneself: name, phone and second factor, password."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.auth_api import current_device
from letstalk.accounts.forms import factor_changes
from letstalk.accounts.models import Account
from letstalk.accounts.passwords import describe_rules
from letstalk.accounts.service import AccountChanges
from letstalk.core.errors import Detail, InvalidCredentials, LetsTalkError
from letstalk.http.container import people
from letstalk.http.forms import answer_form, asked_text
from letstalk.http.guards import current_actor, signed_in_person

profile = Blueprint("profile", __name__)


@profile.get("/dashboard/profile")
@signed_in_person
def show() -> ResponseReturnValue:
    return _page()


@profile.post("/dashboard/profile/name")
@signed_in_person
def change_name() -> ResponseReturnValue:
    try:
        _update(AccountChanges(username=asked_text("username")))
    except LetsTalkError as error:
        return _page(error, fields=("username",), wanted_name=asked_text("username"))
    return _say("Your name is changed.")


@profile.post("/dashboard/profile/phone")
@signed_in_person
def change_phone() -> ResponseReturnValue:
    """With the present password, where there is one: whoever finds the browser open must not take the account over."""
    changes = factor_changes(_account())
    try:
        is_confirmed = _confirm_password() if changes.is_of_factors else False
        _update(changes, is_confirmed=is_confirmed)
    except LetsTalkError as error:
        kept = {"wanted_phone": asked_text("phone"), "wants_code": "second_factor" in request.form}
        fields = ("phone", "second_factor", "confirm_password")
        return _page(_beside(error, "confirm_password"), fields=fields, **kept)
    return _say("Your phone and how you sign in are changed.")


@profile.post("/dashboard/profile/password")
@signed_in_person
def change_password() -> ResponseReturnValue:
    """This session goes on; all others end."""
    current, new = request.form.get("current_password", ""), request.form.get("new_password", "")
    try:
        people().sign_ins.change_password_in_browser(current_actor(), current, new, current_device())
    except LetsTalkError as error:
        return _page(_beside(error, "current_password"), fields=("current_password", "new_password"))
    return _say("Your password is changed. All your other sessions have ended.")


def _account() -> Account:
    actor = current_actor()
    return people().accounts.get_account(actor, actor.account_id or "")


def _update(changes: AccountChanges, *, is_confirmed: bool = False) -> None:
    actor = current_actor()
    people().accounts.update_account(actor, actor.account_id or "", changes, is_confirmed=is_confirmed)


def _confirm_password() -> bool:
    if not _account().has_password:
        return False
    people().sign_ins.confirm_password(current_actor(), request.form.get("confirm_password", ""), current_device())
    return True


def _beside(error: LetsTalkError, field: str) -> LetsTalkError:
    """A wrong present password is said beside its field."""
    if isinstance(error, InvalidCredentials):
        error.details = (Detail(field, "That is not your password."),)
    return error


def _say(sentence: str) -> ResponseReturnValue:
    flash(sentence)
    return redirect(url_for("profile.show"))


def _page(error: LetsTalkError | None = None, **context: Any) -> Response:
    account = _account()
    shown = {
        "wanted_name": account.username,
        "wanted_phone": account.phone or "",
        "wants_code": account.second_factor,
        "rules": describe_rules(people().passwords.rules),
        "single_sign_on": people().single_sign_on.options,
        "role_asks": people().second_factors.is_required(account) and not account.second_factor,
    }
    return answer_form("accounts/profile/profile.html", error, account=account, **{**shown, **context})
