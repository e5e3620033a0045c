"""Who may call a view. Each view declares its guard; a view that declares none is refused to everyone.

`check_guard` runs before every request, so that authentication comes before a body is read or validated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError, validate_csrf
from wtforms import ValidationError

from letstalk.domain.actors import Actor, ActorKind, trusted_actor
from letstalk.domain.errors import CsrfFailed, InsufficientScope, MissingAuthorization
from letstalk.domain.scopes import Scope
from letstalk.extensions import csrf
from letstalk.observability.requests import ROUTE
from letstalk.web.container import services
from letstalk.web.limits import request_limits
from letstalk.web.security_headers import IS_PAGE, MORE_HEADERS

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

LOOPBACK_WARNING = '299 - "No credentials were needed: FLASK_ENV=development, from loopback"'
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class GuardKind(StrEnum):
    PUBLIC = "public"  # anyone
    UNLIMITED = "unlimited"  # anyone, as often as they like: probes
    TOKEN = "token"  # an API token, with `scope` if it is named
    SIGN_IN_PAGE = "sign_in_page"  # anyone, but a form must carry its CSRF token
    SIGNED_IN = "signed_in"  # a person in the dashboard
    SIGNATURE = "signature"  # the view checks the sender's signature itself, and counts what fails
    METRICS = "metrics"  # loopback, or an admin token


@dataclass(frozen=True, slots=True)
class Guard:
    """`trusted` also lets in a signed-in person and, in development, a request from loopback."""

    kind: GuardKind
    scope: Scope | None = None
    trusted: bool = False


def declare(guard: Guard) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        view.guard = guard  # type: ignore[attr-defined]  # a function takes attributes; its type does not say so
        return view

    return decorate


def require(scope: Scope, *, trusted: bool = False) -> Callable[[View], View]:
    """The view needs a token with `scope` (or, `trusted`, someone who administers this installation)."""
    return declare(Guard(GuardKind.TOKEN, scope, trusted))


def guard_of(view: Callable[..., Any]) -> Guard | None:
    return cast("Guard | None", getattr(view, "guard", None))


require_any_token = declare(Guard(GuardKind.TOKEN))
public = declare(Guard(GuardKind.PUBLIC))
unlimited = declare(Guard(GuardKind.UNLIMITED))
sign_in_page = declare(Guard(GuardKind.SIGN_IN_PAGE))
signed_in = declare(Guard(GuardKind.SIGNED_IN))
signature_checked = declare(Guard(GuardKind.SIGNATURE))
metrics_reader = declare(Guard(GuardKind.METRICS))


def current_actor() -> Actor:
    """Who is asking. Raises MissingAuthorization where the guard let someone in without naming them."""
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise MissingAuthorization
    return actor


def remote_address() -> str:
    return request.remote_addr or "unknown"


def check_guard() -> ResponseReturnValue | None:
    """Let the request through, send a person to sign in, or raise the refusal."""
    if request.url_rule is None or request.endpoint is None:
        return None
    request.environ[ROUTE] = request.url_rule.rule
    if request.endpoint == "static" or request.method == "OPTIONS":
        return None
    guard = guard_of(current_app.view_functions[request.endpoint])
    if guard is None:
        raise RuntimeError(f"{request.endpoint} declares no guard")
    if guard.kind in (GuardKind.UNLIMITED, GuardKind.SIGNATURE):
        return None
    if guard.kind is GuardKind.METRICS:
        _admit_metrics_reader()
        return None
    is_page = request.environ[IS_PAGE] = guard.kind in (GuardKind.SIGNED_IN, GuardKind.SIGN_IN_PAGE)
    request_limits().check_address(remote_address())
    if is_page:
        _check_form()
    if guard.kind is GuardKind.SIGNED_IN:
        if not current_user.is_authenticated:
            return redirect(url_for("sign_in.page", next=request.path if request.method == "GET" else None))
        g.actor = trusted_actor(ActorKind.OWNER, remote_address())
    elif guard.kind is GuardKind.TOKEN:
        _admit(guard)
    return None


def _admit(guard: Guard) -> None:
    g.actor = actor = _authenticate(guard)
    if actor.token_id is not None:
        services().usage.count(actor.token_id)
        request_limits().check_token(actor.token_id, actor.rate_limit)
    if guard.scope is not None and not actor.holds(guard.scope):
        raise InsufficientScope(
            f"This token needs the scope {guard.scope.value}.", required_scopes=(guard.scope.value,)
        )


def _authenticate(guard: Guard) -> Actor:
    header = request.headers.get("Authorization")
    if header is not None:
        return _authenticate_bearer(header)
    if guard.trusted:
        if current_user.is_authenticated:
            _check_csrf()
            return trusted_actor(ActorKind.OWNER, remote_address())
        if _is_own_laptop():
            request.environ[MORE_HEADERS]["Warning"] = LOOPBACK_WARNING
            return trusted_actor(ActorKind.LOOPBACK, remote_address())
    raise MissingAuthorization


def _authenticate_bearer(header: str) -> Actor:
    scheme, _, presented = header.partition(" ")
    presented = presented.strip()
    if scheme.lower() != "bearer" or not presented:
        raise MissingAuthorization
    return services().tokens.authenticate(presented, remote_address())


def _check_form() -> None:
    try:
        csrf.protect()
    except CSRFError:
        sentence = "This form is too old, or was not sent from our own page. Go back, reload it and try again."
        raise CsrfFailed(sentence) from None


def _check_csrf() -> None:
    if request.method not in UNSAFE_METHODS:
        return
    try:
        validate_csrf(request.headers.get("X-CSRFToken"))
    except ValidationError:
        raise CsrfFailed("The X-CSRFToken header is missing or wrong.") from None


def _is_own_laptop() -> bool:
    """Whether this is a developer's plain `curl` to a server on the same machine, and nothing that imitates it.

    Each refusal closes one way in: a tunnel or proxy (forwarding headers), a web page (Origin, Sec-Fetch-Site, the
    form types that a browser sends without asking), DNS rebinding (Host), a service that is reachable from outside
    (PUBLIC_URL).
    """
    if not current_app.config["LOOPBACK_MAY_MANAGE_TOKENS"]:
        return False
    if not _is_local():
        return False
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    return not has_body or request.mimetype == "application/json"


def _is_local() -> bool:
    """Whether the request comes from this machine and asks for this machine.

    A proxy beside us passes on names that strangers asked for, often without a header that says so; a page whose name
    was rebound to 127.0.0.1 asks for that name.
    """
    asked_for = urlsplit(f"//{request.host}").hostname
    return is_loopback(request.remote_addr) and is_loopback(asked_for) and not came_through_a_proxy()


def came_through_a_proxy() -> bool:
    return any(
        name.lower() in ("forwarded", "x-real-ip") or name.lower().startswith("x-forwarded-")
        for name in request.headers.keys()  # noqa: SIM118  # werkzeug's headers iterate as pairs
    )


def is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _admit_metrics_reader() -> None:
    header = request.headers.get("Authorization")
    if header is None:
        if _is_local():
            return
        request_limits().check_address(remote_address())
        raise MissingAuthorization
    request_limits().check_address(remote_address())
    g.actor = _authenticate_bearer(header)
    if not g.actor.is_admin:
        raise InsufficientScope("Metrics need an admin token.", required_scopes=(Scope.ADMIN.value,))
