"""The pages that mailed links open. The link's token stands behind the `#` of the address, which no browser sends: a
script of ours writes it into the form, and without scripts the link is pasted there.
"""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.auth_api import current_device
from letstalk.accounts.browser_sessions import let_in
from letstalk.accounts.invitations import METHOD
from letstalk.accounts.passwords import describe_rules
from letstalk.accounts.sign_in_code_pages import ask_for_code
from letstalk.core.errors import InvalidLink, LetsTalkError, SecondFactorRequired
from letstalk.http.container import people
from letstalk.http.forms import answer_form, asked_text
from letstalk.http.guards import sign_in_page

link_pages = Blueprint("link_pages", __name__)


@link_pages.get("/accept-invitation")
@sign_in_page
def invitation() -> ResponseReturnValue:
    return _invitation()


@link_pages.post("/accept-invitation")
@sign_in_page
def accept_invitation() -> ResponseReturnValue:
    """The account is set up and its owner signed in; else the form again, with what is wrong."""
    try:
        account = people().invitations.accept(_token(), asked_text("username"), request.form.get("password", ""))
    except LetsTalkError as error:
        return _invitation(error)
    sign_ins = people().sign_ins
    try:
        sign_ins.require_second_factor(account, METHOD)
    except SecondFactorRequired as error:
        return redirect(ask_for_code(error, None))
    let_in(sign_ins.start_browser_session(account.account_id, current_device(), METHOD))
    return redirect(url_for("dashboard.index"))


@link_pages.get("/reset-password")
@sign_in_page
def new_password() -> ResponseReturnValue:
    return _new_password()


@link_pages.post("/reset-password")
@sign_in_page
def reset_password() -> ResponseReturnValue:
    try:
        people().password_resets.reset(_token(), request.form.get("new_password", ""))
    except LetsTalkError as error:
        return _new_password(error)
    return _go_and_sign_in("Your password is changed. Sign in with the new one.")


@link_pages.get("/verify-email")
@sign_in_page
def address() -> ResponseReturnValue:
    """With a button to press: what only looks at links for somebody, as mail filters do, proves nothing."""
    return _address()


@link_pages.post("/verify-email")
@sign_in_page
def verify_email() -> ResponseReturnValue:
    try:
        people().registrations.verify_email(_token())
    except LetsTalkError as error:
        return _address(error)
    return _go_and_sign_in("Your e-mail address is verified. You can sign in.")


def _token() -> str:
    return asked_text("token")


def _go_and_sign_in(sentence: str) -> ResponseReturnValue:
    flash(sentence)
    return redirect(url_for("sign_in.page"))


def _invitation(error: LetsTalkError | None = None) -> Response:
    return answer_form(
        "accounts/links/invitation.html",
        error,
        fields=("username", "password"),
        token=_token(),
        is_refused=isinstance(error, InvalidLink),
        name=asked_text("username"),
        rules=describe_rules(people().passwords.rules),
    )


def _new_password(error: LetsTalkError | None = None) -> Response:
    rules = describe_rules(people().passwords.rules)
    return answer_form(
        "accounts/links/reset.html",
        error,
        fields=("new_password",),
        token=_token(),
        is_refused=isinstance(error, InvalidLink),
        rules=rules,
    )


def _address(error: LetsTalkError | None = None) -> Response:
    return answer_form("accounts/links/verify.html", error, token=_token(), is_refused=isinstance(error, InvalidLink))
