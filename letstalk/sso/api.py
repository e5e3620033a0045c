"""`/api/auth/sso` and `/api/auth/jwt`: signing in on somebody else's word."""

from __future__ import annotations

import re
import secrets
from typing import cast

from flask import Response, redirect, request, url_for
from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_api import CALL_REFUSALS, current_device
from letstalk.accounts.auth_schemas import SignedInAnswer
from letstalk.accounts.browser_sessions import let_in, local_path
from letstalk.accounts.sign_in_code_pages import ask_for_code
from letstalk.core.errors import InvalidCredentials, SecondFactorRequired, SingleSignOnRefused
from letstalk.http.container import people
from letstalk.http.guards import public
from letstalk.http.openapi import needs_database, refuses
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse
from letstalk.http.security_headers import IS_PAGE
from letstalk.sso.schemas import CallbackQuery, JwtRequest, SingleSignOnAnswer, StartQuery
from letstalk.sso.service import ATTEMPT_SECONDS, METHOD, SECRET_BYTES, Callback

single_sign_on = APIBlueprint(
    "single_sign_on",
    __name__,
    abp_tags=[Tag(name="Single sign-on", description="Signing in with an account elsewhere.")],
)

_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")
_REDIRECT = {"description": "The way on."}


@single_sign_on.get("/api/auth/sso", summary="What is set up, and where it begins", responses={200: SingleSignOnAnswer})
@public
def get_single_sign_on() -> JsonResponse:
    """What a sign-in page needs to know to show the button."""
    return SingleSignOnAnswer.of(people().single_sign_on.options).model_dump()


@single_sign_on.get("/api/auth/sso/start", summary="Go to the provider", responses={302: _REDIRECT})
@public
@needs_database
@refuses("sso_not_configured")
def start_single_sign_on(query: StartQuery) -> Response:
    """For a browser: it is sent to the provider, which sends it back to the callback within ten minutes."""
    request.environ[IS_PAGE] = _is_browser()
    service = people().single_sign_on
    request_limits().check_departure(request.environ)
    browser = _known_browser() or secrets.token_urlsafe(SECRET_BYTES)
    answer = _redirect(service.begin(browser, local_path(query.next)))
    answer.set_cookie(
        _cookie_name(),
        browser,
        max_age=ATTEMPT_SECONDS,
        secure=_is_over_tls(),
        httponly=True,
        # It must come along when the provider sends the browser back, which is another site.
        samesite="Lax",
    )
    return answer


@single_sign_on.get("/api/auth/sso/callback", summary="Come back from the provider", responses={302: _REDIRECT})
@public
@needs_database
@refuses("sso_failed", "sso_refused", "sso_not_configured", "too_many_failures", *CALL_REFUSALS)
def finish_single_sign_on(query: CallbackQuery) -> Response:
    """For the browser that started: it is signed in to the dashboard and sent to where it wanted to go."""
    request.environ[IS_PAGE] = _is_browser()
    callback = Callback(query.state or "", query.code or "", query.iss, query.error)
    account, next_path = people().single_sign_on.finish(callback, _known_browser(), current_device())
    try:
        people().sign_ins.require_second_factor(account, METHOD)
        secret = people().sign_ins.start_browser_session(account.account_id, current_device(), METHOD)
    except SecondFactorRequired as error:
        return _redirect(ask_for_code(error, next_path))
    except InvalidCredentials:  # disabled while we looked
        raise SingleSignOnRefused from None
    let_in(secret)
    return _redirect(next_path or url_for("dashboard.index"))


@single_sign_on.post("/api/auth/jwt", summary="Sign in with a JWT", responses={200: SignedInAnswer})
@public
@needs_database
@refuses("invalid_token", "second_factor_required", "too_many_failures", *CALL_REFUSALS)
def log_in_with_jwt(body: JwtRequest) -> JsonResponse:
    """One that an issuer of JWT_ISSUERS has signed, for this service, good now and not used before."""
    return SignedInAnswer.of(people().foreign_tokens.sign_in(body.token, current_device())).model_dump()


def _is_browser() -> bool:
    """Whether a refusal should be a page: a person follows these addresses, and a program may."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _redirect(target: str) -> Response:
    return cast(Response, redirect(target))  # its own type is Werkzeug's, wider than what it makes here


def _known_browser() -> str | None:
    """The secret that this browser began with. Kept for as long as attempts run, so that two tabs do not disturb
    each other.
    """
    secret = request.cookies.get(_cookie_name(), "")
    return secret if _BROWSER.fullmatch(secret) else None


def _cookie_name() -> str:
    # RFC 6265bis, section 4.1.3.2: no other host, not even of the same domain, can set a cookie of that name.
    return "__Host-letstalk_sso" if _is_over_tls() else "letstalk_sso"


def _is_over_tls() -> bool:
    options = people().single_sign_on.options
    return options is not None and options.start_url.startswith("https:")
