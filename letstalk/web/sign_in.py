"""The way into the dashboard and out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Blueprint, Response, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user

from letstalk.domain.accounts import Account
from letstalk.domain.actors import Actor, ActorKind, trusted_actor
from letstalk.domain.errors import LetsTalkError, NotAuthenticated, TooManyRequests
from letstalk.extensions import login_manager
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total
from letstalk.web.container import services
from letstalk.web.errors import status_of
from letstalk.web.guards import remote_address, sign_in_page, signed_in
from letstalk.web.limits import request_limits

log = get_logger(__name__)

sign_in = Blueprint("sign_in", __name__)


# Before the secret of a session that belongs to an account; the built-in owner's have no dot in them.
ACCOUNT_PREFIX = "p."


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, as Flask-Login wants to see them: known by what their cookie holds.

    `actor` and `account` are None for the built-in owner.
    """

    session_id: str
    actor: Actor | None = None
    account: Account | None = None
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        return self.session_id

    def actor_at(self, address: str) -> Actor:
        return trusted_actor(ActorKind.OWNER, address) if self.actor is None else replace(self.actor, address=address)


def load_person(session_id: str) -> Person | None:
    """For Flask-Login: who the session belongs to; None when it has ended, whatever the cookie says."""
    if session_id.startswith(ACCOUNT_PREFIX):
        secret = session_id.removeprefix(ACCOUNT_PREFIX)
        found = services().people.sessions.find_browser_session(secret, remote_address())
        return None if found is None else Person(session_id, *found)
    return Person(session_id) if services().sessions.is_live(session_id) else None


login_manager.user_loader(load_person)


@sign_in.get("/sign-in")
@sign_in_page
def page() -> ResponseReturnValue:
    """The form; whoever is in already is sent on."""
    if current_user.is_authenticated:
        return redirect(_where_to())
    return _form()


@sign_in.post("/sign-in")
@sign_in_page
def submit() -> ResponseReturnValue:
    """Start a session and go where the person wanted to; else the form again, with what is wrong."""
    address = remote_address()
    try:
        request_limits().check_sign_in(address)
        session_id = services().sessions.sign_in(request.form.get("password", ""), address)
    except TooManyRequests as error:
        sign_ins_total.labels("throttled").inc()
        log.warning("sign_in_throttled", address=address)
        services().audit.record_refusal("sign_in_throttled", address=address)
        return _form(error)
    except NotAuthenticated as error:
        services().audit.record_refusal(error.code, address=address)
        return _form(error)
    _leave_current_session()
    login_user(Person(session_id))
    services().audit.note("session.started", actor=trusted_actor(ActorKind.OWNER, address))
    return redirect(_where_to())


@sign_in.post("/sign-out")
@signed_in
def leave() -> ResponseReturnValue:
    """End the session here and on the server."""
    actor = current_user.actor_at(remote_address())
    _leave_current_session()
    if actor.account_id is None:  # of a person's session it is recorded where it ends
        services().audit.note("session.ended", actor=actor)
    return redirect(url_for("sign_in.page"))


def let_in(secret: str) -> None:
    """Sign the browser in to the session of an account that was started with `secret`, and out of any other."""
    _leave_current_session()
    login_user(Person(ACCOUNT_PREFIX + secret))


def local_path(target: str | None) -> str | None:
    """`target` if it is a path on this server, else None.

    Browsers read `//host`, `/\\host` and either of them with tabs or newlines in between as another host.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(character <= " " or character == "\x7f" for character in target):
        return None
    return target


def _leave_current_session() -> None:
    # The browser's whole session goes, also on the way in: nothing that was planted in it may live on signed in.
    if current_user.is_authenticated:
        _end_session(current_user.session_id)
    logout_user()
    session.clear()


def _end_session(session_id: str) -> None:
    if session_id.startswith(ACCOUNT_PREFIX):
        services().people.sessions.end_browser_session(session_id.removeprefix(ACCOUNT_PREFIX))
    else:
        services().sessions.sign_out(session_id)


def _where_to() -> str:
    return local_path(request.values.get("next")) or url_for("dashboard.index")


def _form(error: LetsTalkError | None = None) -> Response:
    target = local_path(request.values.get("next"))
    response = make_response(render_template("sign_in/sign_in.html", error=error, next=target))
    if error is not None:
        response.status_code = status_of(error)
        if error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response
