"""`/api/auth/sso` and `/api/auth/jwt`: signing in with an identity that another service vouches for."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, cast

from flask import Response, redirect, request
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts.auth_api import CALL_REFUSALS
from letstalk.accounts.authentication import BrowserSessions, current_device, local_path
from letstalk.accounts.schemas import SignedInResponse
from letstalk.accounts.services import Accounts
from letstalk.accounts.sign_in_pages import sign_in_browser
from letstalk.core.errors import InvalidCredentials, SingleSignOnRefused
from letstalk.http.cookies import cookie_name
from letstalk.http.guards import public
from letstalk.http.headers import IS_PAGE
from letstalk.http.openapi import ApiRoutes, documents_errors, needs_database
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import ApiModel, JsonResponse, PlainText, Query, ResponseModel, with_example
from letstalk.sso import service


class JwtRequest(ApiModel):
    """A JWT that an issuer of JWT_ISSUERS has signed for this service."""

    model_config = with_example({"token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOi…"})

    token: PlainText = Field(min_length=1, max_length=16_384)


class StartQuery(Query):
    next: PlainText | SkipJsonSchema[None] = Field(
        None, max_length=2000, description="The path on this server to go to afterwards. Default: the dashboard."
    )


# The service checks the length, because its error is a page for the person who comes back.
# RFC 6749, appendix A: visible ASCII and spaces.
CallbackText = Annotated[str, Field(json_schema_extra={"maxLength": 500, "pattern": "^[ -~]*$"})]
CallbackCode = Annotated[
    str, Field(json_schema_extra={"maxLength": service.MAX_CALLBACK_LENGTH, "pattern": "^[ -~]*$"})
]


class CallbackQuery(Query):
    """What the provider adds to the address. Other parameters are ignored."""

    model_config = ConfigDict(extra="ignore")

    state: CallbackText | SkipJsonSchema[None] = None
    code: CallbackCode | SkipJsonSchema[None] = None
    iss: CallbackText | SkipJsonSchema[None] = Field(None, description="See RFC 9207.")
    error: CallbackText | SkipJsonSchema[None] = None


class SingleSignOnResponse(ResponseModel):
    """Whether single sign-on is set up, and where it starts."""

    model_config = with_example(
        {"configured": True, "name": "Acme", "start_url": "https://calls.example.com/api/auth/sso/start"}
    )

    configured: bool
    name: str | None = Field(description="The name for the button. Null if nothing is configured.")
    start_url: str | None = Field(description="Where to send the browser; it takes `next`.")

    @classmethod
    def of(cls, options: service.SingleSignOnOptions | None) -> SingleSignOnResponse:
        if options is None:
            return cls(configured=False, name=None, start_url=None)
        return cls(configured=True, name=options.name, start_url=options.start_url)


_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_REDIRECT = {"description": "The next address."}


def make_blueprint(sso: service.SingleSignOn, accounts: Accounts, browser_sessions: BrowserSessions) -> ApiRoutes:
    api = ApiRoutes("single_sign_on", "Single sign-on", "Signing in with an account elsewhere.")
    _add_openid(api, sso.openid, accounts, browser_sessions)
    _add_jwt(api, sso.jwt_bearer)
    return api


def _add_openid(
    api: ApiRoutes, openid: service.SingleSignOnService, accounts: Accounts, browser_sessions: BrowserSessions
) -> None:
    options = openid.options
    is_over_tls = options is not None and options.start_url.startswith("https:")
    browser_cookie = cookie_name("letstalk_sso", is_secure=is_over_tls)

    def known_secret() -> str | None:
        """The secret that this browser started with. It stays the same while attempts are open, so that two tabs do
        not interfere.
        """
        secret = request.cookies.get(browser_cookie, "")
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
        secret = known_secret() or secrets.token_urlsafe(service.SECRET_BYTES)
        response = _redirect(openid.begin(secret, local_path(query.next)))
        response.set_cookie(
            browser_cookie,
            secret,
            max_age=service.ATTEMPT_SECONDS,
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
        callback = service.Callback(query.state or "", query.code or "", query.iss, query.error)
        account, next_path = openid.finish(callback, known_secret(), current_device())
        try:
            return _redirect(sign_in_browser(accounts, browser_sessions, account, service.METHOD, next_path))
        except InvalidCredentials:  # the account was disabled in the meantime
            raise SingleSignOnRefused from None


def _add_jwt(api: ApiRoutes, jwt_bearer: service.JwtBearerService) -> None:
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
