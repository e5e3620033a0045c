"""What the models of requests and responses share, and every error with its status and an example."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    RootModel,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

# What a view may return. Not Flask's own type, which flask-openapi3 can't resolve at run time.
JsonResponse = dict[str, Any] | tuple[dict[str, Any], int]

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f]*$"
PATTERN_MESSAGES: dict[str, str] = {NO_CONTROL_CHARACTERS: "must not contain control characters"}
"""What a value that does not match a pattern must be, by the pattern: schemas add their own."""


class ApiModel(BaseModel):
    """A request body: strict JSON types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ResponseModel(BaseModel):
    """A response body, for the API description."""

    model_config = ConfigDict(extra="forbid")


Shape = TypeVar("Shape")


class ResponseUnion(RootModel[Shape], Generic[Shape]):
    """A response body of one of several shapes, for the API description."""


class Query(BaseModel):
    """Query parameters. They are text, so numbers are parsed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def with_example(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is shown with `example`."""
    # flask-openapi3 reads its own key of pydantic's configuration, whose type has no such key.
    return cast(ConfigDict, {"openapi_extra": {"example": example}})


def with_examples(**examples: dict[str, Any]) -> ConfigDict:
    named = {name: {"value": value} for name, value in examples.items()}
    return cast(ConfigDict, {"openapi_extra": {"examples": named}})


def _reject_control_characters(value: str) -> str:
    if not value.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must not contain control characters")
    return value


class _NoControlCharacters:
    """The same rule for the description. (Well-formed UTF-8 has no lone surrogates.)"""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": NO_CONTROL_CHARACTERS}


PlainText = Annotated[str, AfterValidator(_reject_control_characters), _NoControlCharacters]
"""Text without control characters and lone surrogates: it can be stored, logged and shown anywhere."""


def _read_whole_float(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_read_whole_float)
"""For an `int`, after its bounds: like JSON Schema, it accepts `300.0` as an integer."""

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-11-20T10:00:00.000Z"]})]


def _read_moment(value: object) -> datetime:
    """A time with its zone (RFC 3339). Raises ValueError for any other text."""
    try:
        moment = datetime.fromisoformat(value.upper() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("must be a time such as 2026-11-20T10:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("must say its time zone, such as 2026-11-20T10:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


class _AsDateTime:
    @staticmethod
    def __get_pydantic_json_schema__(_schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "maxLength": 40}


Moment = Annotated[datetime, PlainValidator(_read_moment), _AsDateTime()]
"""A time in a query: as RFC 3339 writes it, with its zone."""

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class PageQuery(Query):
    limit: int = Field(50, ge=1, le=100, description="The most items to return.")
    cursor: PlainText | SkipJsonSchema[None] = Field(
        None, max_length=200, description="`next_cursor` of the previous page."
    )


class ErrorDetail(ResponseModel):
    """What is wrong with one field of the request."""

    field: str = Field(examples=["code_length"])
    message: str


class Error(ResponseModel):
    """The shape of every error."""

    error: str = Field(description="A sentence for people, which may change. Programs read `code`.")
    code: str = Field(description="A stable code for programs.")
    request_id: Uuid = Field(description="The same as the X-Request-Id header.")
    details: list[ErrorDetail] | SkipJsonSchema[None] = None
    retry_after: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        None, description="With 429 and 503: seconds to wait, the same as the Retry-After header."
    )
    attempts_remaining: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = Field(
        None, description="With `invalid_code`."
    )
    verified: bool | SkipJsonSchema[None] = Field(None, description="False, with `invalid_code`.")
    challenge: str | SkipJsonSchema[None] = Field(
        None,
        description="With `second_factor_required`: send it to POST /api/auth/second-factor. With `phone_required`: "
        "send it to POST /api/auth/second-factor/phone first, and if `phone` is missing here a phone with it. With any "
        "other error of a sign-in, whose call was refused: a recovery code can finish it, by POST "
        "/api/auth/second-factor/recovery.",
    )
    phone: str | SkipJsonSchema[None] = Field(
        None, description="With `second_factor_required` the phone that is called, else the one to prove; masked."
    )
    required_scopes: list[str] | SkipJsonSchema[None] = Field(None, description="With `insufficient_scope`.")
    hint: str | SkipJsonSchema[None] = Field(
        None,
        description="What to do next: with `missing_authorization` at `/api/tokens` how to get a first token, with "
        "`sso_canceled` where to start again.",
    )


@dataclass(frozen=True, slots=True)
class KnownError:
    """`error` as a response could say it. `more` has further fields of that response."""

    status: int
    error: str
    more: dict[str, Any] = field(default_factory=dict)


_PHONE = "This is not a phone number that can be called. Give it in international form, like +12025550142."
_PASSWORD = "new_password must have 12 to 256 characters."
_LENGTH = "must be 10 or less"

ERRORS: dict[str, KnownError] = {
    "invalid_request": KnownError(
        400, f"code_length {_LENGTH}.", {"details": [{"field": "code_length", "message": _LENGTH}]}
    ),
    "invalid_phone": KnownError(400, _PHONE, {"details": [{"field": "phone", "message": _PHONE}]}),
    "invalid_code": KnownError(400, "This is not the code.", {"attempts_remaining": 4, "verified": False}),
    "invalid_link": KnownError(400, "This link is not valid or has expired."),
    "weak_password": KnownError(400, _PASSWORD, {"details": [{"field": "new_password", "message": _PASSWORD}]}),
    "sso_failed": KnownError(
        400, "Signing in did not work: it was canceled, took too long, or continued in another browser."
    ),
    "sso_canceled": KnownError(
        400,
        "Signing in did not work: it was canceled at the service that you sign in with.",
        {"hint": "Start again at GET /api/auth/sso/start, or sign in with a password."},
    ),
    "missing_authorization": KnownError(401, "Missing or invalid authorization header"),
    "invalid_token": KnownError(401, "Invalid or revoked token"),
    "invalid_credentials": KnownError(401, "The name or the password is wrong."),
    "second_factor_required": KnownError(
        401,
        "We are calling your phone. Enter the code that you hear.",
        {"challenge": "h0mB0yJ4k1nW…", "phone": "+2567…56"},
    ),
    "invalid_challenge": KnownError(401, "This sign-in is over. Start again."),
    "insufficient_scope": KnownError(403, "This token needs the scope otp:send.", {"required_scopes": ["otp:send"]}),
    "address_not_allowed": KnownError(403, "This token may not be used from this address."),
    "destination_blocked": KnownError(403, "Premium-rate and shared-cost numbers are never called."),
    "message_not_allowed": KnownError(403, "A message of your own is not allowed here."),
    "not_granted": KnownError(403, "Your account was not granted this user_id."),
    "person_required": KnownError(403, "This requires an account: sign in."),
    "phone_required": KnownError(
        403,
        "Your role requires a code by phone, but your account has no phone yet. Enter yours, and have it called.",
        {"challenge": "h0mB0yJ4k1nW…"},
    ),
    "fresh_sign_in_required": KnownError(
        403, "Sign in again: this may be changed within 10 minutes of a sign-in only."
    ),
    "wrong_password": KnownError(
        403,
        "That is not your password.",
        {"details": [{"field": "current_password", "message": "That is not your password."}]},
    ),
    "registration_closed": KnownError(403, "Accounts are created by invitation only. Ask an admin."),
    "mail_not_set_up": KnownError(403, "This service can't send mail. Ask an admin."),
    "sso_refused": KnownError(403, "You have no account here, or it is disabled. Ask an admin to invite you."),
    "csrf_failed": KnownError(403, "The X-CSRFToken header is missing or wrong."),
    "invalid_signature": KnownError(403, "The signature is not Telnyx's."),
    "not_found": KnownError(404, "There is no such verification."),
    "no_pending_verification": KnownError(404, "No verification waits for a code here."),
    "sso_not_configured": KnownError(404, "Single sign-on is not set up here."),
    "method_not_allowed": KnownError(405, "This address does not allow that method."),
    "not_pending": KnownError(409, "This verification is over already: approved."),
    "replays_exhausted": KnownError(409, "The code was spoken again as often as allowed. Ask for a new one."),
    "already_approved": KnownError(409, "The code of this call was reported as approved already."),
    "already_test_number": KnownError(409, "This phone is a test number of this user_id already."),
    "too_many_test_numbers": KnownError(409, "A user_id has at most 100 test numbers. Delete one first."),
    "token_inactive": KnownError(409, "The token is revoked or expired."),
    "already_rotated": KnownError(409, "The token has been rotated already."),
    "no_phone": KnownError(409, "Recovery codes replace a call. Prove a phone first."),
    "too_many_endpoints": KnownError(409, "An owner can have 50 endpoints at most."),
    "too_many_connections": KnownError(409, "An owner can have 50 connections at most."),
    "no_secret": KnownError(409, "Give the secret that ZITADEL has made first."),
    "endpoint_disabled": KnownError(409, "This endpoint is disabled. Enable it first."),
    "username_taken": KnownError(409, "This username is taken."),
    "email_not_verified": KnownError(
        409, "Nobody has proven the e-mail address of this account. Invite the address instead."
    ),
    "email_taken": KnownError(409, "This e-mail address already has an account."),
    "last_admin": KnownError(409, "This is the last admin who can sign in. Create another admin first."),
    "code_expired": KnownError(410, "This code has expired. Ask for a new one."),
    "code_used": KnownError(410, "This code has been used already."),
    "attempts_exceeded": KnownError(410, "Too many wrong codes. Ask for a new one."),
    "verification_canceled": KnownError(410, "This verification was canceled."),
    "verification_superseded": KnownError(410, "A newer code has taken the place of this one."),
    "verification_failed": KnownError(410, "The call could not be placed. Ask for a new code."),
    "too_large": KnownError(413, "The body is too large: at most 64 KiB."),
    "unsupported_media_type": KnownError(415, "The body must be application/json."),
    "idempotency_key_reused": KnownError(422, "This Idempotency-Key was used with another body."),
    "rate_limited": KnownError(429, "Too many requests: at most 600 per 1 minute. Wait 12 s.", {"retry_after": 12}),
    "sign_in_throttled": KnownError(429, "Too many attempts to sign in. Wait 8 s.", {"retry_after": 8}),
    "resend_too_soon": KnownError(
        429, "A code was requested for this phone a moment ago. Wait before asking again.", {"retry_after": 27}
    ),
    "replay_too_soon": KnownError(
        429, "The code was spoken a moment ago. Wait before asking to hear it again.", {"retry_after": 14}
    ),
    "phone_limit": KnownError(429, "This phone was called too often. Wait before asking again.", {"retry_after": 480}),
    "destination_limit": KnownError(
        429, "Too many calls to such numbers. Wait before asking again.", {"retry_after": 1800}
    ),
    "too_many_sessions": KnownError(
        429, "Codes were requested for this phone from several places. Wait before asking again.", {"retry_after": 240}
    ),
    "too_many_failures": KnownError(
        429, "Too many wrong codes for this phone. Wait before trying again.", {"retry_after": 2400}
    ),
    "internal_error": KnownError(500, "Something went wrong on our side. The request id helps us find out what."),
    "queue_full": KnownError(
        503, "Too many calls wait: the code would expire before it is heard.", {"retry_after": 45}
    ),
    "not_ready": KnownError(503, "The database can't be reached. Try again in a moment.", {"retry_after": 2}),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response that all operations share for one status: its name in the description, and what it means."""

    name: str
    sentence: str


REFUSALS: dict[int, Refusal] = {
    400: Refusal("BadRequest", "The request is wrong."),
    401: Refusal("Unauthorized", "The caller is not known."),
    403: Refusal("Forbidden", "The caller is not allowed to do this."),
    404: Refusal("NotFound", "It does not exist, or is not the caller's."),
    409: Refusal("Conflict", "It conflicts with the current state."),
    410: Refusal("Gone", "The verification is over."),
    413: Refusal("ContentTooLarge", "The body is over 64 KiB."),
    415: Refusal("UnsupportedMediaType", "The body is not `application/json`."),
    422: Refusal("UnprocessableContent", "The Idempotency-Key was used with another body."),
    429: Refusal("TooManyRequests", "Too many requests. `Retry-After` says how many seconds to wait."),
    503: Refusal("ServiceUnavailable", "The service can't do it now. `Retry-After` says how many seconds to wait."),
}
"""By status (the names are those of RFC 9110)."""

EXAMPLE_REQUEST_ID = "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11"


def example_of(code: str) -> dict[str, Any]:
    """The body of an error response with `code`."""
    example = ERRORS[code]
    return {"error": example.error, "code": code, "request_id": EXAMPLE_REQUEST_ID, **example.more}
