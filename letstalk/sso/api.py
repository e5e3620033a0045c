"""`/api/auth/sso` and `/api/auth/jwt`: signing in with an identity that another service vouches for."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Annotated, cast

from flask import Response, redirect, request
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts.auth_api import CALL_REFUSALS
from letstalk.accounts.authentication import BrowserSessions, current_device
from letstalk.accounts.code_pages import sign_in_browser
from letstalk.accounts.schemas import SignedInResponse
from letstalk.accounts.services import Accounts
from letstalk.core.errors import InvalidCredentials, SingleSignOnRefused
from letstalk.http.cookies import cookie_name
from letstalk.http.forms import local_path
from letstalk.http.guards import public
from letstalk.http.headers import IS_PAGE
from letstalk.http.openapi import ApiRoutes, documents_errors, needs_database
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import (
    PATTERN_MESSAGES,
    ApiModel,
    JsonResponse,
    PlainText,
    Query,
    ResponseModel,
    with_example,
)
from letstalk.sso import service
from letstalk.sso.models import ClientReturn


class JwtRequest(ApiModel):
    """A JWT that an issuer of JWT_ISSUERS has signed for this service."""

    model_config = with_example({"token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOi…"})

    token: PlainText = Field(min_length=1, max_length=16_384)


STATE = "The value that comes back to `redirect_uri` as `state`: the client continues only with its own."
CHALLENGE_PATTERN, VERIFIER_PATTERN = r"^[A-Za-z0-9_-]{43}$", r"^[A-Za-z0-9._~-]{43,128}$"  # RFC 7636, section 4
PATTERN_MESSAGES[CHALLENGE_PATTERN] = "must be a SHA-256 digest in Base64 for URLs"
PATTERN_MESSAGES[VERIFIER_PATTERN] = "must be 43 to 128 letters, digits, or the characters . _ ~ -"
RedirectUri = Annotated[PlainText, Field(min_length=1, max_length=2000, description="One of OIDC_REDIRECT_URIS.")]


class ClientStartRequest(ApiModel):
    """Where the person comes back to, and a proof that whoever finishes is who started."""

    model_config = with_example(
        {"redirect_uri": "http://127.0.0.1:51004/", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}
    )

    redirect_uri: RedirectUri
    code_challenge: str | None = Field(
        None,
        min_length=43,
        max_length=43,
        pattern=CHALLENGE_PATTERN,
        description="S256 of a secret of the client (RFC 7636). Required with an app's own scheme.",
    )


class ClientStartResponse(ResponseModel):
    """Open `authorization_url` in the person's browser."""

    model_config = with_example(
        {
            "authorization_url": "https://id.example.com/authorize?response_type=code&client_id=letstalk&state=…",
            "state": "q5Yq0tR1p3bPz6mWn8cXv2kLd4sFh7jGa9eUo1iTyBw",
            "expires_in": 600,
        }
    )

    authorization_url: str
    state: str = Field(description=STATE)
    expires_in: int = Field(description="Seconds until the sign-in must be finished.")


class ClientFinishRequest(ApiModel):
    """What came back to `redirect_uri`."""

    model_config = with_example(
        {
            "code": "SplxlOBeZQQYbYS6WxSbIA",
            "redirect_uri": "http://127.0.0.1:51004/",
            "state": "q5Yq0tR1p3bPz6mWn8cXv2kLd4sFh7jGa9eUo1iTyBw",
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        }
    )

    code: PlainText = Field(min_length=1, max_length=service.MAX_CALLBACK_LENGTH)
    redirect_uri: RedirectUri
    state: PlainText = Field(min_length=1, max_length=service.MAX_CALLBACK_LENGTH)
    code_verifier: str | None = Field(
        None,
        min_length=43,
        max_length=128,
        pattern=VERIFIER_PATTERN,
        description="The secret, if `code_challenge` was sent.",
    )
    iss: PlainText | None = Field(
        None, min_length=1, max_length=service.MAX_CALLBACK_LENGTH, description="As it came back (RFC 9207), if it did."
    )

    def to_client_return(self) -> ClientReturn:
        digest = hashlib.sha256((self.code_verifier or "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() if self.code_verifier else ""
        return ClientReturn(self.redirect_uri, challenge)


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
    _add_openid_for_clients(api, sso.openid, accounts)
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
    @documents_errors(
        "sso_failed", "sso_canceled", "sso_refused", "sso_not_configured", "too_many_failures", *CALL_REFUSALS
    )
    def finish_single_sign_on(query: CallbackQuery) -> Response:
        """For the browser that started: it is signed in to the dashboard and sent to the path that it asked for."""
        request.environ[IS_PAGE] = _prefers_page()
        callback = service.Callback(query.state or "", query.code or "", query.iss, query.error)
        account, next_path = openid.finish(callback, known_secret(), current_device())
        try:
            return _redirect(sign_in_browser(accounts, browser_sessions, account, service.METHOD, next_path))
        except InvalidCredentials:  # the account was disabled in the meantime
            raise SingleSignOnRefused from None


def _add_openid_for_clients(api: ApiRoutes, openid: service.SingleSignOnService, accounts: Accounts) -> None:
    @api.post("/api/auth/sso/start", summary="Start for a client", responses={200: ClientStartResponse})
    @public
    @needs_database
    @documents_errors("sso_not_configured")
    def start_single_sign_on_for_client(body: ClientStartRequest) -> JsonResponse:
        """For an app that opens the person's browser itself and finishes at POST /api/auth/sso within ten minutes."""
        request_limits().check_departure(request.environ)
        url, state = openid.begin_for_client(ClientReturn(body.redirect_uri, body.code_challenge or ""))
        return ClientStartResponse(authorization_url=url, state=state, expires_in=service.ATTEMPT_SECONDS).model_dump()

    @api.post("/api/auth/sso", summary="Sign in with what came back", responses={200: SignedInResponse})
    @public
    @needs_database
    @documents_errors(
        *("sso_failed", "sso_refused", "sso_not_configured", "second_factor_required", "too_many_failures"),
        *CALL_REFUSALS,
    )
    def finish_single_sign_on_for_client(body: ClientFinishRequest) -> JsonResponse:
        """A state is good for one sign-in, with the `redirect_uri` and the secret that it was started with."""
        callback = service.Callback(body.state, body.code, body.iss)
        account = openid.finish_for_client(callback, body.to_client_return(), current_device())
        try:
            signed_in = service.start_session(accounts, account, service.METHOD, current_device())
        except InvalidCredentials:  # the account was disabled in the meantime
            raise SingleSignOnRefused from None
        return SignedInResponse.of(signed_in).model_dump()


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
