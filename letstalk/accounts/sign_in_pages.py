"""The pages for signing in to the dashboard, with a code from the phone where one is required, and for signing out."""

from __future__ import annotations

import re

from flask import Blueprint, Response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from letstalk.accounts.browser_sessions import BrowserSessions, local_path
from letstalk.accounts.devices import current_device
from letstalk.accounts.models import SignInProvider
from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.accounts.services import Accounts
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.errors import (
    InvalidCode,
    InvalidCredentials,
    LetsTalkError,
    SecondFactorRequired,
    TooManyRequests,
)
from letstalk.http.forms import form_response, form_text
from letstalk.http.guards import remote_address, sign_in_page, signed_in
from letstalk.http.rate_limits import request_limits
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total
from letstalk.verifications.schemas import CODE_PATTERN

log = get_logger(__name__)

METHOD = "password"
_PENDING = "waiting_sign_in"


def make_blueprint(
    accounts: Accounts,
    owner_sessions: OwnerSessionService,
    browser_sessions: BrowserSessions,
    audit: AuditTrail,
    provider: SignInProvider | None,
) -> Blueprint:
    """`provider` gets a button of its own on the sign-in page."""
    sign_in = Blueprint("sign_in", __name__)
    _add_sign_in(sign_in, accounts, owner_sessions, browser_sessions, audit, provider)
    _add_code(sign_in, accounts, browser_sessions)
    return sign_in


def ask_for_code(pending: SecondFactorRequired, next_path: str | None) -> str:
    """The address of the page that asks for the code. The session cookie holds the sign-in that waits for it."""
    session[_PENDING] = {"challenge": pending.challenge, "phone": pending.masked_phone, "next": next_path}
    return url_for("sign_in.code")


def _add_sign_in(
    sign_in: Blueprint,
    accounts: Accounts,
    owner_sessions: OwnerSessionService,
    browser_sessions: BrowserSessions,
    audit: AuditTrail,
    provider: SignInProvider | None,
) -> None:
    def sign_in_person(name: str, password: str) -> None:
        device, sign_ins = current_device(), accounts.sign_ins
        account = sign_ins.check_password(name, password, device)
        sign_ins.require_second_factor(account, METHOD)
        browser_sessions.sign_in(sign_ins.start_browser_session(account.account_id, device, METHOD))

    def sign_in_owner(password: str) -> None:
        address = remote_address()
        if not owner_sessions.is_open:
            raise InvalidCredentials
        try:
            request_limits().check_sign_in(request.environ)
        except TooManyRequests:
            sign_ins_total.labels("throttled").inc()
            log.warning("sign_in_throttled", address=address)
            audit.record_refusal("sign_in_throttled", address=address)
            raise
        browser_sessions.sign_in_owner(owner_sessions.sign_in(password, address))
        audit.note("session.started", actor=trusted_actor(ActorKind.OWNER, address))

    def render_form(error: LetsTalkError | None = None) -> Response:
        """With the ways to sign in that exist: while there are no accounts the page asks for no username."""
        owner_may = owner_sessions.is_open
        return form_response(
            "accounts/sign_in/sign_in.html",
            error,
            next=local_path(request.values.get("next")),
            name=form_text("username"),
            owner_may=owner_may,
            takes_names=not owner_may or accounts.service.has_accounts(),
            provider=provider,
            sends_mail=accounts.mails.is_set_up,
            takes_everyone=accounts.registrations.is_open and accounts.mails.is_set_up,
        )

    @sign_in.get("/sign-in")
    @sign_in_page
    def page() -> ResponseReturnValue:
        """The form; a browser that is signed in is redirected."""
        return redirect(_destination()) if current_user.is_authenticated else render_form()

    @sign_in.post("/sign-in")
    @sign_in_page
    def submit() -> ResponseReturnValue:
        """Start a session and go where the person wanted to; or the form again, with the error.

        A username and a password are those of an account; a password alone is the built-in owner's.
        """
        name, password = form_text("username"), request.form.get("password", "")
        try:
            if name:
                sign_in_person(name, password)
            else:
                sign_in_owner(password)
        except SecondFactorRequired as error:
            return redirect(ask_for_code(error, local_path(request.form.get("next"))))
        except LetsTalkError as error:
            return render_form(error)
        return redirect(_destination())

    @sign_in.post("/sign-out")
    @signed_in
    def leave() -> ResponseReturnValue:
        """End the session in the browser and on the server."""
        actor = current_user.actor_at(remote_address())
        browser_sessions.sign_out()
        if actor.account_id is None:  # the end of an account's session is recorded by its service
            audit.note("session.ended", actor=actor)
        return redirect(url_for("sign_in.page"))


def _add_code(sign_in: Blueprint, accounts: Accounts, browser_sessions: BrowserSessions) -> None:
    @sign_in.get("/sign-in/code")
    @sign_in_page
    def code() -> ResponseReturnValue:
        """The form for a sign-in that waits for its code; without one, the sign-in page."""
        return redirect(url_for("sign_in.page")) if _PENDING not in session else _code_form()

    @sign_in.post("/sign-in/code")
    @sign_in_page
    def submit_code() -> ResponseReturnValue:
        """Finish the sign-in; or the form again, with the error."""
        pending = session.get(_PENDING)
        if pending is None:
            return redirect(url_for("sign_in.page"))
        digits = re.sub(r"[\s-]", "", request.form.get("code", ""))
        try:
            if not re.fullmatch(CODE_PATTERN, digits):
                raise InvalidCode("A code has 6 digits.")
            account_id, method = accounts.second_factors.finish(pending["challenge"], digits)
            secret = accounts.sign_ins.start_browser_session(account_id, current_device(), method)
        except LetsTalkError as error:
            return _code_form(error)
        next_path = local_path(pending["next"])
        browser_sessions.sign_in(secret)
        return redirect(next_path or url_for("dashboard.index"))


def _destination() -> str:
    return local_path(request.values.get("next")) or url_for("dashboard.index")


def _code_form(error: LetsTalkError | None = None) -> Response:
    return form_response("accounts/sign_in/code.html", error, phone=session[_PENDING]["phone"])
