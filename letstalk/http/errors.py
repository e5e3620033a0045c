"""Every error as JSON of one shape, or as a page for a browser."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from werkzeug.exceptions import HTTPException

from letstalk.core import errors
from letstalk.core.actors import Actor
from letstalk.core.errors import Detail, InvalidPhone, InvalidRequest, LetsTalkError, Unavailable
from letstalk.core.scopes import Scope
from letstalk.http.headers import IS_PAGE, NO_STORE
from letstalk.http.schemas import PATTERN_MESSAGES
from letstalk.http.timestamps import wait_in_words
from letstalk.observability.logs import describe_outage, get_logger
from letstalk.observability.metrics import refusals_total, unexpected_errors_total
from letstalk.observability.request_log import current_request_id

log = get_logger(__name__)

# The first branch that fits decides.
STATUSES: tuple[tuple[type[LetsTalkError], HTTPStatus], ...] = (
    (errors.InvalidRequest, HTTPStatus.BAD_REQUEST),
    (errors.NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (errors.Forbidden, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.Gone, HTTPStatus.GONE),
    (errors.IdempotencyKeyReused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)

# The framework's own errors.
HTTP_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request", "The request could not be read."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not allow that method."),
    413: ("too_large", "The body is too large: at most 64 KiB."),
    415: ("unsupported_media_type", "The body must be application/json."),
}

# Limits for a body with thousands of unknown fields, or with a very long one.
MAX_DETAILS = 20
MAX_FIELD_CHARACTERS = 100

# Programs use these, whatever their Accept header says.
API_PATHS = ("/calls", "/api/", "/twilio/", "/connect/", "/health", "/metrics", "/openapi.json")

# Where the button on the page of an error leads.
DASHBOARD = ("/", "Back to the dashboard")
SIGN_IN = ("/sign-in", "Back to the sign-in page")
OF_SIGNING_IN = frozenset({"sso_failed", "sso_canceled", "sso_refused"})

STYLES = "letstalk_error_styles"  # by the start of a path
RECORDER = "letstalk_refusals"  # where Flask keeps the recorder of this application

REALM = 'Bearer realm="letstalk"'

DATABASE_RETRY_SECONDS = 2  # a PostgreSQL that was killed takes nearly that long to restart


def status_of(error: LetsTalkError) -> HTTPStatus:
    for branch, status in STATUSES:
        if isinstance(error, branch):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


# Our words for pydantic's findings, which are about Python. The names in braces are those of a finding's context.
FINDINGS: dict[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be text",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "too_short": "must have {min_length} entries or more",
    "too_long": "must have {max_length} entries or fewer",
    "enum": "must be one of {expected}",
    "literal_error": "must be {expected}",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "none_required": "must be null",
    "json_invalid": "must be valid JSON",
}
ONE_OR_MORE = "must not be empty"
NOT_VALID = "is not valid"
# What pydantic puts into a place for the member of a union. Others have a bracket.
UNION_MEMBERS = frozenset({"none", "str", "int", "bool", "constrained-str", "constrained-int"})
INVALID_PHONE_FINDING = "invalid_phone"  # raised by schemas, with a sentence of ours


def invalid_request_from(error: ValidationError) -> InvalidRequest | InvalidPhone:
    """Pydantic's findings as our error, without the input, which may be a code or a token."""
    findings = error.errors(include_url=False, include_input=False)
    details: dict[str, Detail] = {}
    for finding in findings:
        field = _field_of(finding)
        # A union has a finding for each member. That the value is not null is none that helps.
        if field not in details or details[field].message == FINDINGS["none_required"]:
            details[field] = Detail(field, _message_of(finding))
    shown = tuple(details.values())[:MAX_DETAILS]
    first = shown[0]
    if all(finding["type"] == INVALID_PHONE_FINDING for finding in findings):
        return InvalidPhone(first.message, details=shown)
    is_sentence = first.field == "body" or first.message[:1].isupper()
    sentence = first.message if is_sentence else f"{first.field} {first.message}"
    return InvalidRequest(sentence.rstrip(".") + ".", details=shown)


def _field_of(finding: ErrorDetails) -> str:
    first, *others = finding["loc"] or ("body",)
    parts = [first, *(part for part in others if part not in UNION_MEMBERS)]
    return ".".join(str(part) for part in parts if "[" not in str(part))[:MAX_FIELD_CHARACTERS] or "body"


def _message_of(finding: ErrorDetails) -> str:
    context = finding.get("ctx", {})
    if finding["type"] == "string_pattern_mismatch":
        return PATTERN_MESSAGES.get(context["pattern"], NOT_VALID)
    if finding["type"] in ("value_error", INVALID_PHONE_FINDING):
        return finding["msg"].removeprefix("Value error, ")
    if context.get("min_length") == 1:
        return ONE_OR_MORE
    # The length of a text that a function of ours validates.
    kind = f"string_{finding['type']}" if context.get("field_type") == "Value" else finding["type"]
    return FINDINGS.get(kind, NOT_VALID).format(**context)


def sentence_of(error: LetsTalkError) -> str:
    """The message for a person, who does not see the Retry-After header: with the time to wait at a limit."""
    if isinstance(error, errors.TooManyRequests) and error.retry_after_seconds:
        return f"{error.message} You can try again in {wait_in_words(error.retry_after_seconds)}."
    return error.message


def raise_invalid_request(error: ValidationError) -> Response:
    raise invalid_request_from(error)


class ErrorStyle(Protocol):
    """Writes an error as the clients of another system's API expect it."""

    def __call__(self, status: int, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the body for an error that has this status and this body everywhere else."""


def use_error_style(app: Flask, prefix: str, style: ErrorStyle) -> None:
    """Write the errors of all paths that begin with `prefix` in `style`."""
    app.extensions[STYLES][prefix] = style


def _json_error(status: int, message: str, code: str, more: dict[str, Any] | None = None) -> Response:
    content = {"error": message, "code": code, "request_id": current_request_id(), **(more or {})}
    for prefix, style in current_app.extensions[STYLES].items():
        if request.path.startswith(prefix):
            status, content = style(status, content)
    response = jsonify(content)
    response.status_code = status
    return response


def render_error(error: LetsTalkError) -> Response:
    refusals_total.labels(error.code).inc()
    body: dict[str, Any] = {}
    if error.details:
        body["details"] = [{"field": detail.field, "message": detail.message} for detail in error.details]
    if error.retry_after_seconds is not None:
        body["retry_after"] = error.retry_after_seconds
    if error.attempts_remaining is not None:
        body["attempts_remaining"] = error.attempts_remaining
    if error.challenge is not None:
        body["challenge"] = error.challenge
    if isinstance(error, errors.SecondFactorRequired | errors.PhoneRequired) and error.masked_phone is not None:
        body["phone"] = error.masked_phone
    if isinstance(error, errors.InvalidCode):
        body["verified"] = False
    if error.hint is not None:
        body["hint"] = error.hint
    if error.required_scopes:
        body["required_scopes"] = list(error.required_scopes)
    response = _json_error(status_of(error), error.message, error.code, body)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    challenge = challenge_for(error)
    if challenge:
        response.headers["WWW-Authenticate"] = challenge
    return response


def challenge_for(error: LetsTalkError) -> str | None:
    """The WWW-Authenticate value of RFC 6750, section 3: without credentials, it has no error code."""
    if isinstance(error, errors.MissingAuthorization):
        return REALM
    if isinstance(error, errors.InvalidToken):
        return f'{REALM}, error="invalid_token"'
    if isinstance(error, errors.InsufficientScope):
        known = [scope for scope in error.required_scopes if scope in set(Scope)]
        return f'{REALM}, error="insufficient_scope", scope="{" ".join(known)}"'
    # RFC 9110, section 15.5.2: each 401 has this header.
    return REALM if isinstance(error, errors.NotAuthenticated) else None


class RefusalRecorder(Protocol):
    """Records an error that is about who sent the request."""

    def __call__(
        self, code: str, *, actor: Actor | None, token_id: str | None, owner_id: str | None, address: str | None
    ) -> None: ...


def record_refusal(error: LetsTalkError) -> None:
    """Record an error that is about who sent the request. Errors about the rest of a request are not recorded."""
    if isinstance(error, errors.NotAuthenticated | errors.Forbidden):
        log.info("refused", reason=error.code, path=request.path)
        record: RefusalRecorder = current_app.extensions[RECORDER]
        about = {"token_id": error.token_id, "owner_id": error.owner_id, "address": request.remote_addr}
        record(error.code, actor=g.get("actor"), **about)


def wants_page() -> bool:
    """Whether the response is for a person: an HTML view, or a browser at an address outside the API."""
    if request.environ.get(IS_PAGE):
        return True
    is_api = request.path.startswith(API_PATHS)
    return not is_api and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _handle_ours(error: LetsTalkError) -> Response:
    record_refusal(error)
    if not wants_page():
        return render_error(error)
    page = _page(status_of(error), sentence_of(error), SIGN_IN if error.code in OF_SIGNING_IN else DASHBOARD)
    if error.retry_after_seconds is not None:
        page.headers["Retry-After"] = str(error.retry_after_seconds)
    return page


def _handle_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400 or error.response is not None:
        return make_response(error.get_response())
    if status >= 500:
        return _handle_unexpected(error)
    code, message = HTTP_ERRORS.get(status, ("invalid_request", error.description or "The request is not valid."))
    if wants_page():
        response = _page(HTTPStatus(status), message)
    else:
        refusals_total.labels(code).inc()
        response = _json_error(status, message, code)
    if status == 405:
        response.headers["Allow"] = error.get_response().headers.get("Allow", "")
    return response


def _handle_database(error: Exception) -> Response:
    """A database that is away, full, read-only or too busy: the client may try again, with an Idempotency-Key because
    the request may have succeeded. A wrong statement is a 500.
    """
    outage = describe_outage(error)
    if outage is None:
        return _handle_unexpected(error)
    log.error("database_away", path=request.path, **outage)
    message = "The database can't be reached. Try again in a moment."
    return _handle_ours(Unavailable(message, code="not_ready", retry_after_seconds=DATABASE_RETRY_SECONDS))


def _handle_unexpected(error: Exception) -> Response:
    unexpected_errors_total.inc()
    log.error("unexpected_error", path=request.path, exc_info=error)
    message = "Something went wrong on our side. The request id helps us find out what."
    if wants_page():
        return _page(HTTPStatus.INTERNAL_SERVER_ERROR, message)
    return _json_error(500, message, "internal_error")


def _page(status: HTTPStatus, message: str, way_back: tuple[str, str] = DASHBOARD) -> Response:
    target, label = way_back
    heading = "You are not signed in" if way_back is SIGN_IN else status.phrase
    about = {"status": status, "heading": heading, "message": message, "request_id": current_request_id()}
    # Who is signed in keeps the navigation, unless finding out needs what is just away.
    keeps_navigation = status is not HTTPStatus.SERVICE_UNAVAILABLE
    text = render_template("http/error.html", **about, target=target, label=label, keeps_navigation=keeps_navigation)
    page = make_response(text, status)
    page.headers.set(*NO_STORE)
    return page


def init_errors(app: Flask, recorder: RefusalRecorder) -> None:
    app.extensions[RECORDER] = recorder
    app.extensions[STYLES] = {}
    app.register_error_handler(LetsTalkError, _handle_ours)
    app.register_error_handler(HTTPException, _handle_http)
    app.register_error_handler(DBAPIError, _handle_database)
    app.register_error_handler(NoConnectionFree, _handle_database)
    app.register_error_handler(Exception, _handle_unexpected)
