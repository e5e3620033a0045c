"""Our errors as Twilio's: {code, message, more_info, status}, whose codes are numbers.

Twilio's SDKs choose the class of an exception by these four fields. Its newer errors have others, and would not be
caught by what programs catch. Sources of the codes: twilio.com/docs/api/errors and /docs/verify/api/v1/error-codes.
"""

from __future__ import annotations

from typing import Any

from flask import request

MORE_INFO = "https://www.twilio.com/docs/errors/{code}"
PREFIX = "/twilio/"
API = "/twilio/v2"

NOT_FOUND = 20404

# By our code: the status and the number. Some programs give up at 60203 and 60410, so a short wait is 20429.
_KNOWN: dict[str, tuple[int, int]] = {
    "missing_authorization": (401, 20003),
    "invalid_token": (401, 20003),
    "destination_blocked": (403, 60605),
    "destination_limit": (403, 60410),
    "attempts_exceeded": (429, 60202),
    "too_many_failures": (429, 60202),
    "phone_limit": (429, 60203),
    "replays_exhausted": (429, 60203),
    "queue_full": (429, 20429),
    "method_not_allowed": (405, 20004),
    # Errors that only this API has are raised with Twilio's number as their code.
    "60204": (403, 60204),
    **{str(code): (400, code) for code in range(60207, 60212)},
}
# By the status, for all other codes of ours.
_BY_STATUS: dict[int, tuple[int, int]] = {
    400: (400, 60200),
    401: (401, 20003),
    403: (403, 70051),
    404: (404, NOT_FOUND),
    409: (409, 20409),
    410: (404, NOT_FOUND),  # a verification that is over is gone, as at Twilio
    413: (413, 60200),
    422: (422, 20422),
    429: (429, 20429),
    503: (503, 20503),
}
_INTERNAL = 20500

_SENTENCES = {
    20003: "Authenticate",
    20429: "Too many requests",
    60202: "Max check attempts reached",
    60203: "Max send attempts reached",
    60204: "Service does not support this feature",
    60207: "Max rate limits per service reached",
    60208: "Rate limit with that UniqueName already exists",
    60209: "UniqueName format is invalid",
    60210: "Max Buckets per Rate limit reached",
    60211: "Bucket with the given Interval already exists",
    60410: "Verification delivery attempt blocked",
    60605: "Verification delivery attempt blocked",
    70051: "Authorization Failed",
}
# Fields of our own services, by Twilio's names.
_PARAMETERS = {"phone": "To", "code": "Code", "locale": "Locale", "cursor": "PageToken"}


def as_twilio_error(status: int, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and body for an error of ours. The message is Twilio's, and says then what we have to say."""
    status, code = _KNOWN.get(content["code"]) or _BY_STATUS.get(status) or (status, _INTERNAL)
    body = {"code": code, "message": _message(code, content), "more_info": MORE_INFO.format(code=code)}
    return status, {**body, "status": status}


def _message(code: int, content: dict[str, Any]) -> str:
    ours: str = content["error"]
    if code == NOT_FOUND:
        return f"The requested resource {request.path.removeprefix(API)} was not found"
    details = content.get("details")
    if details:
        field = details[0]["field"]
        return f"Invalid parameter: {_PARAMETERS.get(field, field)}. {details[0]['message']}"
    sentence = _SENTENCES.get(code)
    return ours if sentence is None else f"{sentence}. {ours}"
