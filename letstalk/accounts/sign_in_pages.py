"""The way into the dashboard and out of it."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from letstalk.accounts.auth_api import current_device
from letstalk.accounts.browser_sessions import leave_session, let_in, let_owner_in, local_path
from letstalk.accounts.sign_in_code_pages import ask_for_code
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.errors import InvalidCredentials, LetsTalkError, SecondFactorRequired, TooManyRequests
from letstalk.http.container import people, services
from letstalk.http.forms import answer_form, asked_text
from letstalk.http.guards import remote_address, sign_in_page, signed_in
from letstalk.http.rate_limits import request_limits
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

log = get_logger(__name__)

sign_in = Blueprint("sign_in", __name__)

METHOD = "password"


@sign_in.get("/sign-in")
@sign_in_page
def page() -> ResponseReturnValue:
    """The form; whoever is in already is sent on."""
    return redirect(_where_to()) if current_user.is_authenticated else _form()


@sign_in.post("/sign-in")
@sign_in_page
def submit() -> ResponseReturnValue:
    """Start a session and go where the person wanted to; else the form again, with what is wrong.

    A name and a password are those of an account; the password alone is the built-in owner's.
    """
    name, password = asked_text("username"), request.form.get("password", "")
    try:
        if name:
            _sign_in_person(name, password)
        else:
            _sign_in_owner(password)
    except SecondFactorRequired as error:
        return redirect(ask_for_code(error, local_path(request.form.get("next"))))
    except LetsTalkError as error:
        return _form(error)
    return redirect(_where_to())


@sign_in.post("/sign-out")
@signed_in
def leave() -> ResponseReturnValue:
    """End the session here and on the server."""
    actor = current_user.actor_at(remote_address())
    leave_session()
    if actor.account_id is None:  # of a person's session it is recorded where it ends
        services().audit.note("session.ended", actor=actor)
    return redirect(url_for("sign_in.page"))


def _sign_in_person(name: str, password: str) -> None:
    device, sign_ins = current_device(), people().sign_ins
    account = sign_ins.check_password(name, password, device)
    sign_ins.require_second_factor(account, METHOD)
    let_in(sign_ins.start_browser_session(account.account_id, device, METHOD))


def _sign_in_owner(password: str) -> None:
    address = remote_address()
    if not services().sessions.is_open:
        raise InvalidCredentials
    try:
        request_limits().check_sign_in(request.environ)
    except TooManyRequests:
        sign_ins_total.labels("throttled").inc()
        log.warning("sign_in_throttled", address=address)
        services().audit.record_refusal("sign_in_throttled", address=address)
        raise
    let_owner_in(services().sessions.sign_in(password, address))
    services().audit.note("session.started", actor=trusted_actor(ActorKind.OWNER, address))


def _where_to() -> str:
    return local_path(request.values.get("next")) or url_for("dashboard.index")


def _form(error: LetsTalkError | None = None) -> Response:
    """The ways in that there are here: an installation that nobody has an account at asks for no name."""
    owner_may = services().sessions.is_open
    return answer_form(
        "accounts/sign_in/sign_in.html",
        error,
        next=local_path(request.values.get("next")),
        name=asked_text("username"),
        owner_may=owner_may,
        takes_names=not owner_may or people().accounts.has_accounts(),
        single_sign_on=people().single_sign_on.options,
        sends_mail=people().mails.is_set_up,
        takes_everyone=people().registrations.is_open and people().mails.is_set_up,
    )
