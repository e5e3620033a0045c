"""Who makes a request: the account, owner or app behind a cookie or a bearer token, and the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import request, session
from flask_login import LoginManager, current_user, login_user, logout_user

from letstalk.accounts.access_tokens import AccessTokenService
from letstalk.accounts.account_sessions import AccountSessionService
from letstalk.accounts.known_browsers import known_browser
from letstalk.accounts.models import Account, Device, Role
from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.http.guards import remote_address
from letstalk.tokens.authentication import TokenAuthenticator
from letstalk.tokens.models import PREFIX

API_TOKEN_START = f"{PREFIX}_"
DOTS_OF_A_JWT = 2  # RFC 7515, section 3.1: header, payload and signature
# Precedes the secret of an account's session. Session ids of the built-in owner contain no dot.
ACCOUNT_PREFIX = "p."


def current_device() -> Device:
    return Device(remote_address(), request.headers.get("User-Agent", ""), *known_browser())


class BearerAuthenticator:
    """The `Authenticator` of the guards: of API tokens, and of the access tokens of people."""

    def __init__(self, tokens: TokenAuthenticator, access_tokens: AccessTokenService) -> None:
        self._tokens = tokens
        self._access_tokens = access_tokens

    def authenticate(self, presented: str, address: str) -> Actor:
        if presented.startswith(API_TOKEN_START) or presented.count(".") != DOTS_OF_A_JWT:
            return self._tokens.authenticate(presented, address)
        return self._access_tokens.authenticate(presented, address)


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """The user as Flask-Login needs it. `actor` and `account` are None for the built-in owner."""

    session_id: str
    actor: Actor | None = None
    account: Account | None = None
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        return self.session_id

    @property
    def called(self) -> str:
        """The name that the navigation shows."""
        return "Built-in owner" if self.account is None else self.account.username or self.account.email

    @property
    def role(self) -> str:
        return Role.ADMIN.value if self.account is None else self.account.role.value

    def actor_at(self, address: str) -> Actor:
        return trusted_actor(ActorKind.OWNER, address) if self.actor is None else replace(self.actor, address=address)


class BrowserSessions:
    """Signs browsers in and out. `login_manager` is Flask-Login's, for the application to use."""

    def __init__(self, accounts: AccountSessionService, owner: OwnerSessionService) -> None:
        self._accounts = accounts
        self._owner = owner
        self.login_manager = LoginManager()
        self.login_manager.user_loader(self.load)

    def load(self, session_id: str) -> SignedInUser | None:
        """Whose session it is. None once the session has ended, whatever the cookie says."""
        if session_id.startswith(ACCOUNT_PREFIX):
            secret = session_id.removeprefix(ACCOUNT_PREFIX)
            found = self._accounts.find_browser_session(secret, remote_address())
            return None if found is None else SignedInUser(session_id, *found)
        return SignedInUser(session_id) if self._owner.is_live(session_id) else None

    def sign_in(self, secret: str) -> None:
        """Sign the browser in to the session of an account that was started with `secret`, and out of any other."""
        self.sign_out()
        login_user(SignedInUser(ACCOUNT_PREFIX + secret))

    def sign_in_owner(self, session_id: str) -> None:
        """The same for a session of the built-in owner."""
        self.sign_out()
        login_user(SignedInUser(session_id))

    def sign_out(self) -> None:
        """End the session in the browser and on the server.

        All that the browser's cookie holds goes, also before a sign-in: a value that somebody planted there must not
        stay once a person is signed in.
        """
        if current_user.is_authenticated:
            self._end(current_user.session_id)
        logout_user()
        session.clear()

    def _end(self, session_id: str) -> None:
        if session_id.startswith(ACCOUNT_PREFIX):
            self._accounts.end_browser_session(session_id.removeprefix(ACCOUNT_PREFIX))
        else:
            self._owner.sign_out(session_id)
