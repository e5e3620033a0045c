"""The page where a browser's sign-in waits for the code that the phone hears."""

from __future__ import annotations

import re

from flask import Blueprint, Response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.auth_api import current_device
from letstalk.accounts.browser_sessions import let_in, local_path
from letstalk.core.errors import InvalidCode, LetsTalkError, SecondFactorRequired
from letstalk.http.container import people
from letstalk.http.forms import answer_form
from letstalk.http.guards import sign_in_page
from letstalk.verifications.schemas import CODE_PATTERN

sign_in_codes = Blueprint("sign_in_codes", __name__)

_WAITING = "waiting_sign_in"


def ask_for_code(waiting: SecondFactorRequired, next_path: str | None) -> str:
    """The address to send the browser to; what it waits for is kept in its session."""
    session[_WAITING] = {"challenge": waiting.challenge, "phone": waiting.masked_phone, "next": next_path}
    return url_for("sign_in_codes.page")


@sign_in_codes.get("/sign-in/code")
@sign_in_page
def page() -> ResponseReturnValue:
    """The form, for a sign-in that waits; without one, the way back to the beginning."""
    return redirect(url_for("sign_in.page")) if _WAITING not in session else _form()


@sign_in_codes.post("/sign-in/code")
@sign_in_page
def submit() -> ResponseReturnValue:
    """Finish the sign-in; else the form again, with what is wrong."""
    waiting = session.get(_WAITING)
    if waiting is None:
        return redirect(url_for("sign_in.page"))
    code = re.sub(r"[\s-]", "", request.form.get("code", ""))
    try:
        if not re.fullmatch(CODE_PATTERN, code):
            raise InvalidCode("A code has 6 digits.")
        account_id, method = people().second_factors.finish(waiting["challenge"], code)
        secret = people().sign_ins.start_browser_session(account_id, current_device(), method)
    except LetsTalkError as error:
        return _form(error)
    next_path = local_path(waiting["next"])
    let_in(secret)
    return redirect(next_path or url_for("dashboard.index"))


def _form(error: LetsTalkError | None = None) -> Response:
    return answer_form("accounts/sign_in/code.html", error, phone=session[_WAITING]["phone"])
