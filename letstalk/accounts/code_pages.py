"""The page of a sign-in that waits: for the code from the call, a phone to call, or a recovery code.

The session cookie holds the sign-in that waits.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.authentication import BrowserSessions, current_device
from letstalk.accounts.known_browsers import remember_browser
from letstalk.accounts.models import Account
from letstalk.accounts.services import Accounts
from letstalk.core import errors
from letstalk.http.errors import sentence_of
from letstalk.http.forms import form_response, form_text, local_path
from letstalk.http.guards import sign_in_page
from letstalk.observability.redaction import mask_phone
from letstalk.verifications.schemas import CODE_PATTERN, read_code

_PENDING = "waiting_sign_in"


def sign_in_browser(
    accounts: Accounts, browser_sessions: BrowserSessions, account: Account, method: str, next_path: str | None
) -> str:
    """The address to go to: `next_path` or the dashboard, signed in; or the page that asks for the code of the call, or
    where the call was refused for a recovery code.

    Raises InvalidCredentials for an account that is not active any more; the errors of a call.
    """
    try:
        accounts.sign_ins.require_second_factor(account, method)
    except (errors.SecondFactorRequired, errors.PhoneRequired) as pending:
        is_called = isinstance(pending, errors.SecondFactorRequired)
        about = {"challenge": pending.challenge, "phone": pending.masked_phone, "is_called": is_called}
        session[_PENDING] = {**about, "next": next_path, "is_enrolling": not is_called}
        return url_for("sign_in.code")
    except errors.LetsTalkError as refused:
        if refused.challenge is None:
            raise
        about = {"challenge": refused.challenge, "phone": mask_phone(account.phone or ""), "is_called": False}
        session[_PENDING] = {**about, "next": next_path, "refusal": sentence_of(refused)}
        return url_for("sign_in.code")
    _start_session(accounts, browser_sessions, account, method)
    return next_path or url_for("overview.show")


def find_waiting_phone(accounts: Accounts) -> str | None:
    """The masked phone whose code this browser can still enter. None if no sign-in of it waits for a code."""
    pending = session.get(_PENDING)
    if pending is None or not pending.get("is_called", True):
        return None
    phone: str = pending["phone"]
    return phone if accounts.second_factors.is_waiting(pending["challenge"]) else None


def code_in_form() -> str:
    """The code as it was typed, in plain digits. Raises InvalidCode for what can't be one."""
    digits = str(read_code(request.form.get("code", "").strip()))
    if not re.fullmatch(CODE_PATTERN, digits):
        raise errors.InvalidCode("A code has 6 digits.")
    return digits


def add_code_pages(pages: Blueprint, accounts: Accounts, browser_sessions: BrowserSessions) -> None:
    second_factors = accounts.second_factors

    def render_form(error: errors.LetsTalkError | None = None, **context: Any) -> Response:
        pending = session[_PENDING]
        is_called = pending.get("is_called", True)
        return form_response(
            "accounts/sign_in/code.html",
            error,
            phone=pending["phone"],
            is_called=is_called,
            is_enrolling=pending.get("is_enrolling", False),
            refusal=pending.get("refusal"),
            # Only a phone that the person has entered just now can be another one.
            takes_phone=pending.get("is_entered", pending["phone"] is None),
            wait_seconds=second_factors.seconds_until_call(pending["challenge"]) if is_called else None,
            fields=("code", "phone", "recovery_code"),
            **{"entered": "", **context},
        )

    def finish(account: Account, method: str, next_path: str | None) -> ResponseReturnValue:
        _start_session(accounts, browser_sessions, account, method)
        return redirect(local_path(next_path) or url_for("overview.show"))

    @pages.get("/sign-in/code")
    @sign_in_page
    def code() -> ResponseReturnValue:
        return redirect(url_for("sign_in.page")) if _PENDING not in session else render_form()

    @pages.post("/sign-in/phone")
    @sign_in_page
    def call_phone() -> ResponseReturnValue:
        """Call a phone that is not proven: the one that was entered for the account, or the one in the form."""
        pending = session.get(_PENDING)
        if pending is None:
            return redirect(url_for("sign_in.page"))
        phone = form_text("phone")
        try:
            masked = second_factors.call_own_phone(pending["challenge"], phone or None)
        except errors.LetsTalkError as error:
            return render_form(error, entered=phone)
        is_entered = pending.get("is_entered", pending["phone"] is None)
        session[_PENDING] = {**pending, "is_called": True, "phone": masked, "is_entered": is_entered}
        return redirect(url_for("sign_in.code"))

    @pages.post("/sign-in/call-again")
    @sign_in_page
    def call_again() -> ResponseReturnValue:
        """Have the same code spoken again."""
        pending = session.get(_PENDING)
        if pending is None:
            return redirect(url_for("sign_in.page"))
        try:
            called = second_factors.call_again(pending["challenge"])
        except errors.LetsTalkError as error:
            return render_form(error)
        flash(f"We are calling {mask_phone(called.phone)} again, with the same code.")
        return redirect(url_for("sign_in.code"))

    @pages.post("/sign-in/code")
    @sign_in_page
    def submit_code() -> ResponseReturnValue:
        pending = session.get(_PENDING)
        if pending is None:
            return redirect(url_for("sign_in.page"))
        try:
            account, method = second_factors.finish(pending["challenge"], code_in_form())
            response = finish(account, method, pending["next"])
        except errors.LetsTalkError as error:
            return render_form(_beside(error, "code"))
        if pending.get("is_enrolling"):
            flash("Your phone is proven. Now create recovery codes: they replace the call if you lose your phone.")
            return redirect(url_for("profile.show", _anchor="recovery"))
        return response

    @pages.post("/sign-in/recovery")
    @sign_in_page
    def submit_recovery_code() -> ResponseReturnValue:
        pending = session.get(_PENDING)
        if pending is None:
            return redirect(url_for("sign_in.page"))
        typed = form_text("recovery_code")
        try:
            account, method = second_factors.finish_with_recovery_code(pending["challenge"], typed)
            response = finish(account, method, pending["next"])
        except errors.LetsTalkError as error:
            return render_form(_beside(error, "recovery_code"))
        left = accounts.recovery_codes.count_left(account.account_id).remaining
        flash(f"You have used a recovery code. {left} of your codes are left.")
        return response


def _start_session(accounts: Accounts, browser_sessions: BrowserSessions, account: Account, method: str) -> None:
    """Raises InvalidCredentials if the account is not active any more, or its credentials are others by now."""
    epoch = account.credentials_epoch
    start = accounts.sessions.start_browser_session
    browser_sessions.sign_in(start(account.account_id, current_device(), method, credentials_epoch=epoch))
    remember_browser(account.account_id, str(account.credentials_epoch))


def _beside(error: errors.LetsTalkError, field: str) -> errors.LetsTalkError:
    """Shows the error of a wrong code beside its field."""
    if isinstance(error, errors.InvalidCode):
        error.details = (errors.Detail(field, error.message),)
    return error
