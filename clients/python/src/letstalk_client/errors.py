"""What can go wrong, as one tree. Catch a branch to react to a kind of problem, or decide by `code`.

LetsTalkError
├── ConnectionFailed        no response: the service is away, or too slow
├── UnexpectedResponse      a response that is not from the API: a proxy, or a wrong address
├── WebhookNotVerified      a webhook whose signature or timestamp is not right
└── RequestRefused          the API refused the request
    ├── InvalidRequest      400: the request is wrong
    │   ├── InvalidPhone    this is no phone number
    │   └── InvalidCode     the person typed another code; `attempts_remaining`
    ├── NotAuthenticated    401: the token is wrong, revoked or expired
    ├── Forbidden           403: the token may not do this
    │   └── DestinationBlocked  this number or country is never called
    ├── NotFound            404
    │   └── NoPendingVerification  no code waits for this phone
    ├── Conflict            409 and 422: it does not fit the current state
    ├── VerificationOver    410: expired, used, canceled, too many wrong codes
    ├── TooManyRequests     429: `retry_after_seconds`
    └── ServiceFailed       500 and above
        └── Unavailable     503: `retry_after_seconds`

The codes are in docs/api.md of the service. No error holds a code that was spoken or typed, or a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What is wrong with one field of a request."""

    field: str
    message: str


class LetsTalkError(Exception):
    """The root. `message` is a sentence for people; `code` is a stable name for programs."""

    code = "error"
    status: int | None = None
    request_id: str | None = None
    retry_after_seconds: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConnectionFailed(LetsTalkError):
    """There was no response. The request may have been carried out, unless it can't have reached the service."""

    code = "connection_failed"


class UnexpectedResponse(LetsTalkError):
    """A response that the API does not give, such as the page of a proxy."""

    code = "unexpected_response"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class WebhookNotVerified(LetsTalkError):
    """Nobody with the secret signed this webhook, or it is too old. Answer 400, and do nothing else."""

    code = "webhook_not_verified"


class RequestRefused(LetsTalkError):
    """The API refused the request. `request_id` finds it in the log of the service."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int,
        request_id: str | None = None,
        retry_after_seconds: int | None = None,
        attempts_remaining: int | None = None,
        required_scopes: tuple[str, ...] = (),
        details: tuple[ErrorDetail, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.attempts_remaining = attempts_remaining
        self.required_scopes = required_scopes
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.code}, request {self.request_id})"


class InvalidRequest(RequestRefused):
    """400: `details` names the fields."""


class InvalidPhone(InvalidRequest):
    """Ask for the number again, with its country code."""


class InvalidCode(InvalidRequest):
    """The person typed another code. `attempts_remaining` says how often they may try again."""


class NotAuthenticated(RequestRefused):
    """401: no token, or one that is mistyped, revoked or expired."""


class Forbidden(RequestRefused):
    """403: the token may not do this. `required_scopes` says what it lacks."""


class DestinationBlocked(Forbidden):
    """This number or country is never called. Offer another way."""


class NotFound(RequestRefused):
    """404: there is no such thing, or it belongs to another owner."""


class NoPendingVerification(NotFound):
    """No code was sent to this phone in the last 24 hours."""


class Conflict(RequestRefused):
    """409 and 422: the request does not fit the current state."""


class VerificationOver(RequestRefused):
    """410: the code expired, was used or canceled, or too many wrong ones were typed. Send a new one."""


class TooManyRequests(RequestRefused):
    """429: wait `retry_after_seconds`."""


class ServiceFailed(RequestRefused):
    """The service failed. Try again later."""


class Unavailable(ServiceFailed):
    """503: wait `retry_after_seconds`."""


_BY_CODE: dict[str, type[RequestRefused]] = {
    "invalid_phone": InvalidPhone,
    "invalid_code": InvalidCode,
    "destination_blocked": DestinationBlocked,
    "no_pending_verification": NoPendingVerification,
}
_BY_STATUS: dict[int, type[RequestRefused]] = {
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: VerificationOver,
    422: Conflict,
    429: TooManyRequests,
    503: Unavailable,
}


def read_error(status: int, headers: Mapping[str, str], content: object) -> LetsTalkError:
    """The error of a response with that status (400 or above), headers and decoded JSON."""
    if not isinstance(content, Mapping) or not isinstance(content.get("code"), str):
        return UnexpectedResponse(f"The address answered {status}, and not as Let's Talk does. Check the URL.", status)
    code: str = content["code"]
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (InvalidRequest if status < 500 else ServiceFailed)
    return kind(
        str(content.get("error", code)),
        code=code,
        status=status,
        request_id=_text(content.get("request_id")) or headers.get("X-Request-Id"),
        retry_after_seconds=read_retry_after(headers),
        attempts_remaining=content.get("attempts_remaining"),
        required_scopes=tuple(content.get("required_scopes") or ()),
        details=tuple(ErrorDetail(str(each["field"]), str(each["message"])) for each in content.get("details") or ()),
    )


def read_retry_after(headers: Mapping[str, str]) -> int | None:
    """The seconds of a Retry-After header; None without one, and for a date, which the API never sends."""
    text = headers.get("Retry-After", "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
