"""The fast path: `POST /calls/otp` and `POST /calls/verify` without Flask's part in a request.

A usual request has a token in `Authorization` and a JSON body, and is handled here. Every other request and every error
go through Flask. Both ways use the same guard, the same schemas and the same functions that make the response; only
the order of the steps is written twice. FAST_PATH=off turns this off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected

from letstalk.core.actors import Actor
from letstalk.core.errors import LetsTalkError
from letstalk.http.errors import invalid_request_from
from letstalk.http.guards import Guard, Guards, guard_of
from letstalk.http.idempotency import read_idempotency_key
from letstalk.http.json_bodies import MAX_BODY_BYTES, MIMETYPE, parse_object, to_body
from letstalk.http.rate_limits import Environ, FastPathLimits, address_of
from letstalk.observability.request_log import ROUTE
from letstalk.tokens.authentication import TokenAuthenticator
from letstalk.tokens.models import PREFIX
from letstalk.verifications.api import Reply, check, send
from letstalk.verifications.schemas import SendRequest, VerifyRequest
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

SEND_PATH = "/calls/otp"
CHECK_PATH = "/calls/verify"

BEARER = "Bearer "
USUAL_AUTHORIZATION = f"{BEARER}{PREFIX}_"
MAX_LENGTH_DIGITS = len(str(MAX_BODY_BYTES))

STATUS_LINES = {status: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}

Respond = Callable[[Actor, dict[str, Any], Environ], Reply]


@dataclass(frozen=True, slots=True)
class FastRoute:
    guard: Guard
    respond: Respond


class FastPath:
    """The innermost middleware around Flask."""

    def __init__(
        self,
        app: Flask,
        guards: Guards,
        authenticator: TokenAuthenticator,
        limits: FastPathLimits,
        sends: SendService,
        verifications: VerificationService,
    ) -> None:
        """Wrap `app`, whose views must be registered. Raises LookupError when one of the two views has no guard."""
        self._app = app
        self._flask = app.wsgi_app
        self._guards = guards
        self._authenticator = authenticator
        self._sends = sends
        self._verifications = verifications
        self._limits = limits
        self._routes = {
            SEND_PATH: FastRoute(_guard_of(app, "calls.send_otp"), self._send),
            CHECK_PATH: FastRoute(_guard_of(app, "calls.verify_code"), self._check),
        }

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        route = self._routes.get(environ["PATH_INFO"])
        length = 0 if route is None else _usual_length(environ)
        if route is None or not length:
            return self._flask(environ, start_response)
        environ[ROUTE] = environ["PATH_INFO"]
        actor: Actor | None = None
        try:
            actor = self._authenticate(environ)
            self._guards.admit(environ, actor, route.guard, self._limits)
            raw = environ["wsgi.input"].read(length)
            if len(raw) != length:
                raise ClientDisconnected
            reply = route.respond(actor, parse_object(raw), environ)
            body = to_body(reply.content)
        except Exception as error:
            return self._respond_to_error(environ, actor, error)(environ, start_response)
        headers = [("Content-Type", MIMETYPE), ("Content-Length", str(len(body))), *reply.headers]
        start_response(STATUS_LINES[reply.status], headers)
        return (body,)

    def _authenticate(self, environ: Environ) -> Actor:
        try:
            presented = environ["HTTP_AUTHORIZATION"][len(BEARER) :].strip()
            return self._authenticator.authenticate(presented, address_of(environ))
        except LetsTalkError:
            self._limits.check_address(environ)
            raise

    def _send(self, actor: Actor, content: dict[str, Any], environ: Environ) -> Reply:
        body = SendRequest.model_validate(content)
        key = read_idempotency_key(environ["PATH_INFO"], environ.get("HTTP_IDEMPOTENCY_KEY"), content)
        return send(self._sends, actor, body, key)

    def _check(self, actor: Actor, content: dict[str, Any], _environ: Environ) -> Reply:
        return check(self._verifications, actor, VerifyRequest.model_validate(content))

    def _respond_to_error(self, environ: Environ, actor: Actor | None, error: Exception) -> Response:
        """The response that Flask would give if the view had raised `error`."""
        with self._app.request_context(environ):
            if actor is not None:
                g.actor = actor
            try:
                known = invalid_request_from(error) if isinstance(error, ValidationError) else error
                return self._app.finalize_request(self._app.handle_user_exception(known))
            except Exception as unexpected:
                return self._app.handle_exception(unexpected)


def _usual_length(environ: Environ) -> int:
    """The length of the body of a usual request in bytes; 0 for any other request."""
    is_usual = (
        environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE") == MIMETYPE
        and environ.get("HTTP_AUTHORIZATION", "").startswith(USUAL_AUTHORIZATION)
        and "HTTP_X_USER_ID" not in environ
    )
    length = environ.get("CONTENT_LENGTH", "") if is_usual else ""
    is_number = length.isascii() and length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS
    return int(length) if is_number and int(length) <= MAX_BODY_BYTES else 0


def _guard_of(app: Flask, endpoint: str) -> Guard:
    guard = guard_of(app.view_functions[endpoint])
    if guard is None:
        raise LookupError(f"{endpoint} declares no guard")
    return guard
