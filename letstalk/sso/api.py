"""`/api/auth/sso` and `/api/auth/jwt`: signing in with an identity that another service vouches for."""

from __future__ import annotations

import re
import secrets
from typing import cast

from flask import Response, redirect, request, url_for
from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_api import CALL_REFUSALS
from letstalk.accounts.auth_schemas import SignedInResponse
from letstalk.accounts.browser_sessions import BrowserSessions, local_path
from letstalk.accounts.devices import current_device
from letstalk.accounts.sign_in_pages import ask_for_code
from letstalk.accounts.sign_ins import SignInService
from letstalk.core.errors import InvalidCredentials, SecondFactorRequired, SingleSignOnRefused
from letstalk.http.guards import public
from letstalk.http.headers import IS_PAGE
from letstalk.http.openapi import documents_errors, needs_database
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse
from letstalk.sso.jwt_bearer import JwtBearerService
from letstalk.sso.schemas import CallbackQuery, JwtRequest, SingleSignOnResponse, StartQuery
from letstalk.sso.service import ATTEMPT_SECONDS, METHOD, SECRET_BYTES, Callback, SingleSignOnService
from letstalk.sso.services import SingleSignOn

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_REDIRECT = {"description": "The next address."}


def make_blueprint(sso: SingleSignOn, sign_ins: SignInService, browser_sessions: BrowserSessions) -> APIBlueprint:
    tag = Tag(name="Single sign-on", description="Signing in with an account elsewhere.")
    api = APIBlueprint("single_sign_on", __name__, abp_tags=[tag])
    _add_openid(api, sso.openid, sign_ins, browser_sessions)
    _add_jwt(api, sso.jwt_bearer)
    return api


def _add_openid(
    api: APIBlueprint, openid: SingleSignOnService, sign_ins: SignInService, browser_sessions: BrowserSessions
) -> None:
    options = openid.options
    is_over_tls = options is not None and options.start_url.startswith("https:")
    # RFC 6265bis, section 4.1.3.2: no other host, not even of the same domain, can set a cookie of that name.
    cookie_name = "__Host-letstalk_sso" if is_over_tls else "letstalk_sso"

    def known_secret() -> str | None:
        """The secret that this browser started with. It stays the same while attempts are open, so that two tabs do
        not interfere.
        """
        secret = request.cookies.get(cookie_name, "")
        return secret if _SECRET.fullmatch(secret) else None

    @api.get("/api/auth/sso", summary="Single sign-on: what is set up", responses={200: SingleSignOnResponse})
    @public
    def get_single_sign_on() -> JsonResponse:
        """What a sign-in page needs for its button."""
        return SingleSignOnResponse.of(options).model_dump()

    @api.get("/api/auth/sso/start", summary="Go to the provider", responses={302: _REDIRECT})
    @public
    @needs_database
    @documents_errors("sso_not_configured")
    def start_single_sign_on(query: StartQuery) -> Response:
        """For a browser: it is sent to the provider, which sends it back to the callback within ten minutes."""
        request.environ[IS_PAGE] = _prefers_page()
        request_limits().check_departure(request.environ)
        secret = known_secret() or secrets.token_urlsafe(SECRET_BYTES)
        response = _redirect(openid.begin(secret, local_path(query.next)))
        response.set_cookie(
            cookie_name,
            secret,
            max_age=ATTEMPT_SECONDS,
            secure=is_over_tls,
            httponly=True,
            # The provider, which is another site, sends the browser back, and the cookie must come with it.
            samesite="Lax",
        )
        return response

    @api.get("/api/auth/sso/callback", summary="Come back from the provider", responses={302: _REDIRECT})
    @public
    @needs_database
    @documents_errors("sso_failed", "sso_refused", "sso_not_configured", "too_many_failures", *CALL_REFUSALS)
    def finish_single_sign_on(query: CallbackQuery) -> Response:
        """For the browser that started: it is signed in to the dashboard and sent to the path that it asked for."""
        request.environ[IS_PAGE] = _prefers_page()
        callback = Callback(query.state or "", query.code or "", query.iss, query.error)
        account, next_path = openid.finish(callback, known_secret(), current_device())
        try:
            sign_ins.require_second_factor(account, METHOD)
            session_secret = sign_ins.start_browser_session(account.account_id, current_device(), METHOD)
        except SecondFactorRequired as error:
            return _redirect(ask_for_code(error, next_path))
        except InvalidCredentials:  # the account was disabled in the meantime
            raise SingleSignOnRefused from None
        browser_sessions.sign_in(session_secret)
        return _redirect(next_path or url_for("dashboard.index"))


def _add_jwt(api: APIBlueprint, jwt_bearer: JwtBearerService) -> None:
    @api.post("/api/auth/jwt", summary="Sign in with a JWT", responses={200: SignedInResponse})
    @public
    @needs_database
    @documents_errors("invalid_token", "second_factor_required", "too_many_failures", *CALL_REFUSALS)
    def log_in_with_jwt(body: JwtRequest) -> JsonResponse:
        """The JWT must be signed by an issuer of JWT_ISSUERS for this service, be valid now and not used before."""
        return SignedInResponse.of(jwt_bearer.sign_in(body.token, current_device())).model_dump()


def _prefers_page() -> bool:
    """Whether an error should be a page. People follow these addresses with a browser, and programs may too."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _redirect(target: str) -> Response:
    return cast(Response, redirect(target))  # typed as Werkzeug's response, though it makes Flask's
