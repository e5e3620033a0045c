"""Who may call a view. Each view declares its guard. A view without one can't be called.

`Guards.check` runs before every request, so that authentication comes before a body is read or validated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar, cast

from flask import Flask, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import validate_csrf
from wtforms import ValidationError

from letstalk.core.actors import Actor, ActorKind, check_owner_id, trusted_actor
from letstalk.core.errors import (
    AddressNotAllowed,
    CsrfFailed,
    Forbidden,
    InsufficientScope,
    InvalidRequest,
    LetsTalkError,
    MissingAuthorization,
)
from letstalk.core.scopes import Scope
from letstalk.http.form_checks import UNSAFE_METHODS, check_form
from letstalk.http.headers import IS_PAGE, MORE_HEADERS
from letstalk.http.local_requests import is_own_laptop, may_read_metrics
from letstalk.http.rate_limits import CallerLimits, Environ, address_of, request_limits
from letstalk.observability.request_log import CALLER, ROUTE

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

LOOPBACK_WARNING = '299 - "No credentials were needed: FLASK_ENV=development, from loopback"'
FIRST_TOKEN_HINT = (
    "Create the first token in the dashboard, or with `flask tokens create`. Only with FLASK_ENV=development can this "
    "machine itself create tokens without one."
)
TOKEN_HEADER = "X-AUTH-TOKEN"  # as `Authorization: Bearer`, for programs that can't set that
USER_ID_HEADER = "X-User-Id"  # the owner that a person acts for
# A request that needs one of these is about one owner's verifications.
OWNED_SCOPES = frozenset(
    {
        *(Scope.CALLS_READ, Scope.CALLS_CANCEL, Scope.OTP_SEND, Scope.OTP_VERIFY, Scope.OTP_REPLAY, Scope.OTP_SPEAK),
        *(Scope.WEBHOOKS_WRITE, Scope.CONNECTIONS_WRITE),
    }
)


class Authenticator(Protocol):
    """Finds the actor of a bearer token."""

    def authenticate(self, presented: str, address: str) -> Actor:
        """The actor whose token this is. Raises InvalidToken and AddressNotAllowed."""


class GuardKind(StrEnum):
    PUBLIC = "public"  # anyone
    UNLIMITED = "unlimited"  # anyone, without a limit: probes
    TOKEN = "token"  # an API token or a person, with `scope` if there is one
    PERSON = "person"  # a person with an account, whatever their role
    SIGN_IN_PAGE = "sign_in_page"  # anyone, but a form must carry its CSRF token
    SIGNED_IN = "signed_in"  # someone signed in to the dashboard, with `scope` if there is one
    SIGNATURE = "signature"  # the view checks the sender's signature
    METRICS = "metrics"  # this machine or METRICS_ADDRESSES, or an admin token
    THIS_MACHINE = "this_machine"  # a program on a developer's own machine, without credentials


@dataclass(frozen=True, slots=True)
class Guard:
    """`browser` also allows a session of the dashboard. `trusted` allows that and, in development, a request from
    loopback. `own_account` allows only people with an account: no token, and not the built-in owner. `basic` also takes
    the token as the password of HTTP's Basic authentication, whatever the user name is.
    """

    kind: GuardKind
    scope: Scope | None = None
    trusted: bool = False
    browser: bool = False
    own_account: bool = False
    basic: bool = False

    @property
    def takes_cookies(self) -> bool:
        return self.trusted or self.browser


def declare(guard: Guard) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        view.guard = guard  # type: ignore[attr-defined]  # a function takes attributes; its type does not say so
        return view

    return decorate


def require(
    scope: Scope, *, trusted: bool = False, browser: bool = False, basic: bool = False
) -> Callable[[View], View]:
    """The view needs a token or a person with `scope` (see `Guard` for `trusted`, `browser` and `basic`)."""
    return declare(Guard(GuardKind.TOKEN, scope, trusted, browser, basic=basic))


def require_signed_in(scope: Scope) -> Callable[[View], View]:
    """The page needs a session of the dashboard with `scope`."""
    return declare(Guard(GuardKind.SIGNED_IN, scope))


def guard_of(view: Callable[..., Any]) -> Guard | None:
    return cast("Guard | None", getattr(view, "guard", None))


require_any_token = declare(Guard(GuardKind.TOKEN))
require_anyone_known = declare(Guard(GuardKind.TOKEN, browser=True))
require_access_token = declare(Guard(GuardKind.PERSON, own_account=True))
require_person = declare(Guard(GuardKind.PERSON, browser=True, own_account=True))
public = declare(Guard(GuardKind.PUBLIC))
unlimited = declare(Guard(GuardKind.UNLIMITED))
sign_in_page = declare(Guard(GuardKind.SIGN_IN_PAGE))
signed_in = declare(Guard(GuardKind.SIGNED_IN))
signed_in_person = declare(Guard(GuardKind.SIGNED_IN, own_account=True))
signature_checked = declare(Guard(GuardKind.SIGNATURE))
metrics_reader = declare(Guard(GuardKind.METRICS))
this_machine = declare(Guard(GuardKind.THIS_MACHINE))


def current_actor() -> Actor:
    """The caller. Raises MissingAuthorization if the guard does not require one."""
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise MissingAuthorization
    return actor


def remote_address() -> str:
    return address_of(request.environ)


class Guards:
    """Checks the guard of each view before the view runs."""

    def __init__(self, authenticator: Authenticator, count_request: Callable[[str, str], None]) -> None:
        """`count_request` adds one to the requests of the API token with that id, to the route with that rule."""
        self._authenticator = authenticator
        self._count_request = count_request

    def init_app(self, app: Flask) -> None:
        app.before_request(self.check)

    def check(self) -> ResponseReturnValue | None:
        """Accept the request, redirect a person to the sign-in page, or raise the error."""
        if request.url_rule is None or request.endpoint is None:
            return None
        request.environ[ROUTE] = request.url_rule.rule
        if request.method == "OPTIONS":
            return None
        guard = guard_of(current_app.view_functions[request.endpoint])
        if guard is None:
            raise RuntimeError(f"{request.endpoint} declares no guard")
        if guard.kind in (GuardKind.UNLIMITED, GuardKind.SIGNATURE):
            return None
        if guard.kind is GuardKind.METRICS:
            self._admit_metrics_reader()
            return None
        if guard.kind in (GuardKind.TOKEN, GuardKind.PERSON):
            self._admit_request(guard)
            return None
        if guard.kind is GuardKind.THIS_MACHINE:
            request_limits().check_address(request.environ)
            if not is_own_laptop():
                raise AddressNotAllowed("Only a program on the developer's own machine may read this.")
            return None
        is_page = request.environ[IS_PAGE] = guard.kind in (GuardKind.SIGNED_IN, GuardKind.SIGN_IN_PAGE)
        request_limits().check_address(request.environ)
        if is_page:
            check_form()
        if guard.kind is GuardKind.SIGNED_IN:
            if not current_user.is_authenticated:
                return redirect(url_for("sign_in.page", next=request.path if request.method == "GET" else None))
            g.actor = request.environ[CALLER] = current_user.actor_at(remote_address())
            _check_rights(g.actor, guard)
        return None

    def admit(self, environ: Environ, actor: Actor, guard: Guard, limits: CallerLimits) -> None:
        """Count a request of `actor` by its own limit, and check its rights.

        Raises TooManyRequests, Forbidden, InsufficientScope.
        """
        environ[CALLER] = actor
        if actor.token_id is not None:
            self._count_request(actor.token_id, environ[ROUTE])
            for counted_under, own_limit in actor.limits or ((actor.token_id, actor.rate_limit),):
                limits.check_token(environ, counted_under, own_limit)
        elif actor.account_id is not None:
            limits.check_token(environ, actor.account_id, None)
        else:
            limits.check_address(environ)
        _check_rights(actor, guard)

    def _admit_request(self, guard: Guard) -> None:
        try:
            g.actor = actor = self._authenticate(guard)
        except LetsTalkError:
            # Only who is not known is counted by the address, which good tokens may share with others.
            request_limits().check_address(request.environ)
            raise
        self.admit(request.environ, actor, guard, request_limits())
        if actor.kind is ActorKind.PERSON or USER_ID_HEADER in request.headers:
            g.actor = request.environ[CALLER] = _on_behalf(actor, guard)

    def _authenticate(self, guard: Guard) -> Actor:
        presented = _presented_as_password() if guard.basic else None
        if presented is None:
            presented = _presented()
        if presented is not None:
            return self._authenticator.authenticate(presented, remote_address())
        if guard.takes_cookies and current_user.is_authenticated:
            _check_csrf()
            actor: Actor = current_user.actor_at(remote_address())
            return actor
        if guard.trusted and is_own_laptop():
            request.environ[MORE_HEADERS]["Warning"] = LOOPBACK_WARNING
            return trusted_actor(ActorKind.LOOPBACK, remote_address())
        raise MissingAuthorization(FIRST_TOKEN_HINT if guard.trusted else None)

    def _admit_metrics_reader(self) -> None:
        if not ("Authorization" in request.headers or TOKEN_HEADER in request.headers) and may_read_metrics():
            return
        request_limits().check_address(request.environ)
        presented = _presented()
        if presented is None:
            raise MissingAuthorization
        g.actor = request.environ[CALLER] = self._authenticator.authenticate(presented, remote_address())
        if not g.actor.is_admin:
            raise InsufficientScope("Metrics need an admin token.", required_scopes=(Scope.ADMIN.value,))


def has_rights(actor: Actor, guard: Guard) -> bool:
    """Whether `actor` may call a view with this guard."""
    try:
        _check_rights(actor, guard)
    except Forbidden:
        return False
    return True


def _check_rights(actor: Actor, guard: Guard) -> None:
    if guard.own_account and actor.kind is not ActorKind.PERSON:
        raise Forbidden("This requires an account: sign in.", code="person_required")
    if guard.scope is not None and not actor.holds(guard.scope):
        raise InsufficientScope(_in_words(guard.scope, actor, guard), required_scopes=(guard.scope.value,))


def _in_words(scope: Scope, actor: Actor, guard: Guard) -> str:
    if guard.kind is GuardKind.SIGNED_IN:
        return "Your role does not allow this. Ask an admin."
    who = "Your role does not have" if actor.kind is ActorKind.PERSON else "This token needs"
    return f"{who} the scope {scope.value}."


def _on_behalf(actor: Actor, guard: Guard) -> Actor:
    """The actor for the owner in X-User-Id. A token can act only for its own; verifications always require an owner."""
    named = request.headers.get(USER_ID_HEADER)
    if named is None:
        return actor.act_for(None) if guard.scope in OWNED_SCOPES else actor
    # WSGI decodes headers as Latin-1.
    named = named.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        check_owner_id(named)
    except InvalidRequest as error:
        raise InvalidRequest.in_field(USER_ID_HEADER, error.message) from None
    if actor.kind is ActorKind.TOKEN and named != actor.owner_id:
        raise Forbidden("A token can act only for its own user_id.", code="not_granted")
    return actor.act_for(named)


def _presented() -> str | None:
    """The token in the request's headers; None without one. Raises MissingAuthorization if it is malformed."""
    header = request.headers.get("Authorization")
    if header is None:
        other = request.headers.get(TOKEN_HEADER)
        if other is None:
            return None
        scheme, presented = "bearer", other
    else:
        scheme, _, presented = header.partition(" ")
    presented = presented.strip()
    if scheme.lower() != "bearer" or not presented:
        raise MissingAuthorization
    return presented


def _presented_as_password() -> str | None:
    """The token of HTTP's Basic authentication (RFC 7617); None without one."""
    credentials = request.authorization
    return credentials.password if credentials is not None and credentials.type == "basic" else None


def _check_csrf() -> None:
    if request.method not in UNSAFE_METHODS:
        return
    try:
        validate_csrf(request.headers.get("X-CSRFToken"))
    except ValidationError:
        raise CsrfFailed("The X-CSRFToken header is missing or wrong.") from None
