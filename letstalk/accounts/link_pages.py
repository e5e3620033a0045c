"""The pages around mailed links: those that have a link mailed, and those that a link opens.

A page that takes an e-mail address responds in the same way whether an account has it or not. The token of a link
follows the `#` of its address, which browsers do not send: our script copies it into the form, and without scripts the
person pastes the link there.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.browser_sessions import BrowserSessions
from letstalk.accounts.devices import current_device
from letstalk.accounts.invitations import METHOD
from letstalk.accounts.passwords import describe_rules
from letstalk.accounts.services import Accounts
from letstalk.accounts.sign_in_pages import ask_for_code
from letstalk.core.errors import InvalidLink, LetsTalkError, SecondFactorRequired
from letstalk.http.forms import form_response, form_text
from letstalk.http.guards import sign_in_page
from letstalk.http.local_requests import link_base
from letstalk.http.rate_limits import request_limits


def make_blueprint(accounts: Accounts, browser_sessions: BrowserSessions) -> Blueprint:
    links = Blueprint("links", __name__)
    _add_mailing(links, accounts)
    _add_registration(links, accounts)
    _add_mailed(links, accounts)
    _add_invitation(links, accounts, browser_sessions)
    return links


def _add_mailing(links: Blueprint, accounts: Accounts) -> None:
    @links.get("/forgot-password")
    @sign_in_page
    def forgotten() -> ResponseReturnValue:
        return _address_form("accounts/links/forgot.html")

    @links.post("/forgot-password")
    @sign_in_page
    def ask_for_password() -> ResponseReturnValue:
        try:
            request_limits().check_mail(request.environ)
            accounts.password_resets.ask(form_text("email"), link_base())
        except LetsTalkError as error:
            return _address_form("accounts/links/forgot.html", error)
        return _address_form("accounts/links/forgot.html", is_sent=True)

    @links.get("/resend-verification")
    @sign_in_page
    def unverified() -> ResponseReturnValue:
        return _address_form("accounts/links/resend.html")

    @links.post("/resend-verification")
    @sign_in_page
    def resend_verification() -> ResponseReturnValue:
        try:
            request_limits().check_mail(request.environ)
            accounts.registrations.resend_verification(form_text("email"), link_base())
        except LetsTalkError as error:
            return _address_form("accounts/links/resend.html", error)
        return _address_form("accounts/links/resend.html", is_sent=True)


def _add_registration(links: Blueprint, accounts: Accounts) -> None:
    def render_form(error: LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
        return form_response(
            "accounts/links/register.html",
            error,
            fields=("username", "email", "password"),
            name=form_text("username"),
            email=form_text("email"),
            rules=describe_rules(accounts.passwords.rules),
            is_open=accounts.registrations.is_open,
            is_sent=is_sent,
        )

    @links.get("/register")
    @sign_in_page
    def newcomer() -> ResponseReturnValue:
        return render_form()

    @links.post("/register")
    @sign_in_page
    def register() -> ResponseReturnValue:
        try:
            request_limits().check_mail(request.environ)
            wanted = form_text("username"), form_text("email"), request.form.get("password", "")
            accounts.registrations.register(*wanted, link_base())
        except LetsTalkError as error:
            return render_form(error)
        return render_form(is_sent=True)


def _add_mailed(links: Blueprint, accounts: Accounts) -> None:
    def render_password_form(error: LetsTalkError | None = None) -> Response:
        rules = describe_rules(accounts.passwords.rules)
        return _link_form("accounts/links/reset.html", error, fields=("new_password",), rules=rules)

    @links.get("/reset-password")
    @sign_in_page
    def new_password() -> ResponseReturnValue:
        return render_password_form()

    @links.post("/reset-password")
    @sign_in_page
    def reset_password() -> ResponseReturnValue:
        try:
            accounts.password_resets.reset(form_text("token"), request.form.get("new_password", ""))
        except LetsTalkError as error:
            return render_password_form(error)
        return _go_and_sign_in("Your password is changed. Sign in with the new one.")

    @links.get("/verify-email")
    @sign_in_page
    def address() -> ResponseReturnValue:
        """With a button to press: a program that only opens links, such as a mail filter, proves nothing."""
        return _link_form("accounts/links/verify.html")

    @links.post("/verify-email")
    @sign_in_page
    def verify_email() -> ResponseReturnValue:
        try:
            accounts.registrations.verify_email(form_text("token"))
        except LetsTalkError as error:
            return _link_form("accounts/links/verify.html", error)
        return _go_and_sign_in("Your e-mail address is verified. You can sign in.")


def _add_invitation(links: Blueprint, accounts: Accounts, browser_sessions: BrowserSessions) -> None:
    def render_form(error: LetsTalkError | None = None) -> Response:
        return _link_form(
            "accounts/links/invitation.html",
            error,
            fields=("username", "password"),
            name=form_text("username"),
            rules=describe_rules(accounts.passwords.rules),
        )

    @links.get("/accept-invitation")
    @sign_in_page
    def invitation() -> ResponseReturnValue:
        return render_form()

    @links.post("/accept-invitation")
    @sign_in_page
    def accept_invitation() -> ResponseReturnValue:
        """The account is set up and the person signed in; or the form again, with the error."""
        password = request.form.get("password", "")
        try:
            account = accounts.invitations.accept(form_text("token"), form_text("username"), password)
        except LetsTalkError as error:
            return render_form(error)
        try:
            accounts.sign_ins.require_second_factor(account, METHOD)
        except SecondFactorRequired as error:
            return redirect(ask_for_code(error, None))
        secret = accounts.sign_ins.start_browser_session(account.account_id, current_device(), METHOD)
        browser_sessions.sign_in(secret)
        return redirect(url_for("dashboard.index"))


def _go_and_sign_in(sentence: str) -> ResponseReturnValue:
    flash(sentence)
    return redirect(url_for("sign_in.page"))


def _address_form(template: str, error: LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
    return form_response(template, error, fields=("email",), email=form_text("email"), is_sent=is_sent)


def _link_form(template: str, error: LetsTalkError | None = None, **context: Any) -> Response:
    is_refused = isinstance(error, InvalidLink)
    return form_response(template, error, token=form_text("token"), is_refused=is_refused, **context)
