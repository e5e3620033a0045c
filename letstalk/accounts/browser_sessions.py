"""Who is signed in to the dashboard: what a browser's cookie stands for, and how one gets and loses it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import session
from flask_login import current_user, login_user, logout_user

from letstalk.accounts.models import Account
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.http.container import services
from letstalk.http.extensions import login_manager
from letstalk.http.guards import remote_address

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


def let_in(secret: str) -> None:
    """Sign the browser in to the session of an account that was started with `secret`, and out of any other."""
    leave_session()
    login_user(Person(ACCOUNT_PREFIX + secret))


def let_owner_in(session_id: str) -> None:
    """The same for a session of the built-in owner."""
    leave_session()
    login_user(Person(session_id))


def leave_session() -> None:
    """End the session here and on the server.

    The browser's whole session goes, also on the way in: nothing that was planted in it may live on signed in.
    """
    if current_user.is_authenticated:
        _end_session(current_user.session_id)
    logout_user()
    session.clear()


def local_path(target: str | None) -> str | None:
    """`target` if it is a path on this server, else None.

    Browsers read `//host`, `/\\host` and either of them with tabs or newlines in between as another host.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(character <= " " or character == "\x7f" for character in target):
        return None
    return target


def _end_session(session_id: str) -> None:
    if session_id.startswith(ACCOUNT_PREFIX):
        services().people.sessions.end_browser_session(session_id.removeprefix(ACCOUNT_PREFIX))
    else:
        services().sessions.sign_out(session_id)
