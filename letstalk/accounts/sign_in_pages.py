"""The pages for people who are not signed in: sign in, register, accept an invitation, replace a lost password.

A page that takes an e-mail address responds in the same way whether an account has it or not. The token of a mailed
link follows the `#` of its address, which browsers do not send: our script copies it into the form, and without scripts
the person pastes the link there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from letstalk.accounts.authentication import BrowserSessions, current_device
from letstalk.accounts.code_pages import add_code_pages, find_waiting_phone, sign_in_browser
from letstalk.accounts.known_browsers import remember_browser
from letstalk.accounts.models import BUILT_IN_OWNER, SignInProvider
from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.accounts.passwords import describe_rules
from letstalk.accounts.registrations import METHOD as INVITATION_METHOD
from letstalk.accounts.services import Accounts
from letstalk.audit.service import AuditTrail
from letstalk.core import errors
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.http.forms import form_response, form_text, local_path
from letstalk.http.guards import remote_address, sign_in_page, signed_in
from letstalk.http.local_requests import link_base
from letstalk.http.rate_limits import request_limits
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

log = get_logger(__name__)

METHOD = "password"


def make_blueprint(
    accounts: Accounts,
    owner_sessions: OwnerSessionService,
    browser_sessions: BrowserSessions,
    audit: AuditTrail,
    provider: SignInProvider | None,
) -> Blueprint:
    """`provider` gets a button of its own on the sign-in page."""
    pages = Blueprint("sign_in", __name__)
    _add_sign_in(pages, accounts, owner_sessions, browser_sessions, audit, provider)
    add_code_pages(pages, accounts, browser_sessions)
    _add_registration(pages, accounts)
    _add_mail_form(pages, "forgot_password", "accounts/links/forgot.html", accounts.password_resets.request_link)
    resend = accounts.registrations.resend_verification
    _add_mail_form(pages, "resend_verification", "accounts/links/resend.html", resend)
    _add_mailed_links(pages, accounts)
    _add_invitation(pages, accounts, browser_sessions)
    return pages


def _add_sign_in(
    pages: Blueprint,
    accounts: Accounts,
    owner_sessions: OwnerSessionService,
    browser_sessions: BrowserSessions,
    audit: AuditTrail,
    provider: SignInProvider | None,
) -> None:
    def sign_in_owner(password: str) -> None:
        address = remote_address()
        if not owner_sessions.is_open:
            raise errors.InvalidCredentials
        try:
            is_known, mark = owner_sessions.has_signed_in_from(address), owner_sessions.credentials_mark
            with accounts.throttle.count_owner(current_device(), mark, is_known_address=is_known):
                session_id = owner_sessions.sign_in(password, address)
        except errors.TooManyRequests:
            sign_ins_total.labels("throttled").inc()
            log.warning("sign_in_throttled", address=address)
            audit.record_refusal("sign_in_throttled", address=address)
            raise
        browser_sessions.sign_in_owner(session_id)
        remember_browser(BUILT_IN_OWNER, mark)
        audit.note("session.started", actor=trusted_actor(ActorKind.OWNER, address))

    def next_path() -> str | None:
        return local_path(request.values.get("next"))

    def render_form(error: errors.LetsTalkError | None = None) -> Response:
        """With the ways to sign in that exist: while there are no accounts the page asks for no username."""
        owner_may = owner_sessions.is_open
        return form_response(
            "accounts/sign_in/sign_in.html",
            error,
            next=next_path(),
            is_wrong=isinstance(error, errors.NotAuthenticated),
            name=form_text("username"),
            owner_may=owner_may,
            takes_names=not owner_may or accounts.service.has_accounts(),
            provider=provider,
            sends_mail=accounts.mails.is_set_up,
            takes_everyone=accounts.registrations.is_open and accounts.mails.is_set_up,
            waiting_phone=find_waiting_phone(accounts),
        )

    @pages.get("/sign-in")
    @sign_in_page
    def page() -> ResponseReturnValue:
        if current_user.is_authenticated:
            return redirect(next_path() or url_for("overview.show"))
        return render_form()

    @pages.post("/sign-in")
    @sign_in_page
    def submit() -> ResponseReturnValue:
        """A username and a password are those of an account; a password alone is the built-in owner's."""
        name, password = form_text("username"), request.form.get("password", "")
        try:
            if name:
                account = accounts.sign_ins.check_password(name, password, current_device())
                return redirect(sign_in_browser(accounts, browser_sessions, account, METHOD, next_path()))
            sign_in_owner(password)
        except errors.LetsTalkError as error:
            return render_form(error)
        return redirect(next_path() or url_for("overview.show"))

    @pages.post("/sign-out")
    @signed_in
    def leave() -> ResponseReturnValue:
        actor = current_user.actor_at(remote_address())
        browser_sessions.sign_out()
        if actor.account_id is None:  # the end of an account's session is recorded by its service
            audit.note("session.ended", actor=actor)
        return redirect(url_for("sign_in.page"))


def _add_registration(pages: Blueprint, accounts: Accounts) -> None:
    @pages.get("/register", endpoint="registration")
    @sign_in_page
    def render_form(error: errors.LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
        return form_response(
            "accounts/links/register.html",
            error,
            fields=("username", "email"),
            name=form_text("username"),
            email=form_text("email"),
            is_open=accounts.registrations.is_open,
            is_sent=is_sent,
        )

    @pages.post("/register")
    @sign_in_page
    def register() -> ResponseReturnValue:
        try:
            request_limits().check_mail(request.environ)
            accounts.registrations.register(form_text("username"), form_text("email"), link_base(), remote_address())
        except errors.LetsTalkError as error:
            return render_form(error)
        return render_form(is_sent=True)


def _add_mail_form(pages: Blueprint, name: str, template: str, mail_link: Callable[[str, str, str], None]) -> None:
    """A page that takes an e-mail address, to which `mail_link` mails a link."""
    path = f"/{name.replace('_', '-')}"

    @pages.get(path, endpoint=name)
    @sign_in_page
    def render_form(error: errors.LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
        return form_response(template, error, fields=("email",), email=form_text("email"), is_sent=is_sent)

    @pages.post(path, endpoint=f"submit_{name}")
    @sign_in_page
    def submit() -> ResponseReturnValue:
        try:
            request_limits().check_mail(request.environ)
            mail_link(form_text("email"), link_base(), remote_address())
        except errors.LetsTalkError as error:
            return render_form(error)
        return render_form(is_sent=True)


def _add_mailed_links(pages: Blueprint, accounts: Accounts) -> None:
    @pages.get("/reset-password", endpoint="new_password")
    @sign_in_page
    def render_password_form(error: errors.LetsTalkError | None = None) -> Response:
        rules = describe_rules(accounts.passwords.rules)
        return _link_form("accounts/links/reset.html", error, fields=("new_password",), rules=rules)

    @pages.post("/reset-password")
    @sign_in_page
    def reset_password() -> ResponseReturnValue:
        try:
            accounts.password_resets.reset(form_text("token"), request.form.get("new_password", ""), remote_address())
        except errors.LetsTalkError as error:
            return render_password_form(error)
        flash("Your password has been changed. Sign in with the new one.")
        return redirect(url_for("sign_in.page"))

    @pages.get("/verify-email", endpoint="email_address")
    @sign_in_page
    def render_address_form(error: errors.LetsTalkError | None = None) -> Response:
        """With a form to send: a program that only opens links, such as a mail filter, proves nothing."""
        rules = describe_rules(accounts.passwords.rules)
        return _link_form("accounts/links/verify.html", error, fields=("password",), rules=rules)

    @pages.post("/verify-email")
    @sign_in_page
    def verify_email() -> ResponseReturnValue:
        try:
            accounts.registrations.verify_email(form_text("token"), request.form.get("password", ""), remote_address())
        except errors.LetsTalkError as error:
            return render_address_form(error)
        flash("Your e-mail address is verified. You can sign in.")
        return redirect(url_for("sign_in.page"))


def _add_invitation(pages: Blueprint, accounts: Accounts, browser_sessions: BrowserSessions) -> None:
    @pages.get("/accept-invitation", endpoint="invitation")
    @sign_in_page
    def render_form(error: errors.LetsTalkError | None = None) -> Response:
        return _link_form(
            "accounts/links/invitation.html",
            error,
            fields=("username", "password"),
            name=form_text("username"),
            rules=describe_rules(accounts.passwords.rules),
        )

    @pages.post("/accept-invitation")
    @sign_in_page
    def accept_invitation() -> ResponseReturnValue:
        password = request.form.get("password", "")
        try:
            account = accounts.invitations.accept(form_text("token"), form_text("username"), password, remote_address())
        except errors.LetsTalkError as error:
            return render_form(error)
        return redirect(sign_in_browser(accounts, browser_sessions, account, INVITATION_METHOD, None))


def _link_form(template: str, error: errors.LetsTalkError | None, **context: Any) -> Response:
    is_refused = isinstance(error, errors.InvalidLink)
    return form_response(template, error, token=form_text("token"), is_refused=is_refused, **context)
