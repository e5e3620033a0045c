"""Authgear: its custom SMS gateway by webhook (authgear/authgear-server, its specification sms_gateway).

The `code` of a response decides, whatever the status is; `description` may be shown to its user.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind, Reply, json_reply, status_of_refusal
from letstalk.connect.signatures import AuthgearSignature
from letstalk.core.errors import LetsTalkError
from letstalk.http.errors import sentence_of
from letstalk.speaking.models import SpeakAccepted

# By the code of our error. What is not here is a delivery that was rejected.
CODES = {
    "invalid_phone": "invalid_phone_number",
    "rate_limited": "rate_limited",
    "resend_too_soon": "rate_limited",
    "phone_limit": "rate_limited",
    "destination_limit": "rate_limited",
    "queue_full": "rate_limited",  # “the user should retry the request”
    "not_ready": "rate_limited",
    "invalid_signature": "authentication_failed",
    "invalid_request": "unsupported_request",
    "destination_blocked": "delivery_rejected",
}


def accept(_accepted: SpeakAccepted) -> Reply:
    return json_reply(200, {"code": "ok"})


def refuse(error: LetsTalkError) -> Reply:
    content = {
        "code": CODES.get(error.code, "delivery_rejected"),
        "description": sentence_of(error),
        "provider_error_code": error.code,
        "info": {"code": error.code},
    }
    return json_reply(status_of_refusal(error), content, error.retry_after_seconds)


KIND = Kind(
    name="authgear",
    title="Authgear",
    scheme=AuthgearSignature(),
    fields=Fields(phone=("/to",), code=("/template_variables/code",), locale=("/language_tag",)),
    user_sees="Authgear's own words for a wrong number, for too many requests and so on, or our sentence.",
    accept=accept,
    refuse=refuse,
)
