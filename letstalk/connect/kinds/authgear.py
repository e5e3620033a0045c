"""Authgear: its custom SMS gateway by webhook (authgear/authgear-server, its specification sms_gateway).

The `code` of a response decides, whatever the status is; `description` may be shown to its user.
"""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Reply, Step, json_reply, status_of_refusal
from letstalk.connect.signatures import AuthgearSignature
from letstalk.core.errors import LetsTalkError
from letstalk.http.errors import sentence_of
from letstalk.speaking.models import SpeakAccepted

FIELDS = Fields(phone=("/to",), code=("/template_variables/code",), locale=("/language_tag",))

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

GUIDE = (
    Step(
        "In Authgear's portal, open Advanced, then SMS Gateway, and choose a custom provider, Webhook. Its URL:",
        "LETSTALK_URL",
    ),
    Step(
        "Where you host Authgear yourself, it is in authgear.yaml and authgear.secrets.yaml instead:",
        "# authgear.yaml\n"
        "messaging:\n"
        "  sms_gateway:\n"
        "    provider: custom\n"
        "    use_config_from: authgear.secrets.yaml\n"
        "# authgear.secrets.yaml, in its list of secrets\n"
        "- data:\n"
        "    url: LETSTALK_URL\n"
        "    timeout: 10\n"
        "  key: sms.custom",
        "YAML",
    ),
    Step(
        "Authgear signs with its webhook signature key: Advanced, Hooks, Webhook Signature. Give that key to this "
        "connection as its secret: with “Enter its signing key” on the connection's page, or with rotate-secret. Until "
        "then everything is refused."
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "to": phone,
        "body": f"{code} is your Myapp verification code",
        "app_id": "myapp",
        "template_name": "verification_sms.txt",
        "language_tag": "en",
        "template_variables": {"code": code},
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
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Authgear's own words for a wrong number, for too many requests and so on, or our sentence.",
    accept=accept,
    refuse=refuse,
)
