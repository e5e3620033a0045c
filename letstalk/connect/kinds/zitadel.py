"""ZITADEL: its HTTP SMS provider (zitadel/zitadel, internal/notification/channels/webhook/channel.go).

It waits 5 s, tries again by its own schedule where the answer is not 2xx, and does not read the answer's body.
"""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import ZitadelSignature

FIELDS = Fields(
    phone=("/contextInfo/recipientPhoneNumber",),
    code=("/args/code", "/args/otp", "/args/Code", "/args/OTP"),
    text=("/templateData/text",),
)

GUIDE = (
    Step(
        "Add an HTTP SMS provider to your ZITADEL instance, with the token of a user who is an IAM owner:",
        "curl -X POST https://YOUR_ZITADEL/admin/v1/sms/http \\\n"
        '  -H "Authorization: Bearer $ZITADEL_TOKEN" -H "Content-Type: application/json" \\\n'
        '  -d \'{"endpoint": "LETSTALK_URL", "description": "Calls"}\'',
        "Shell",
    ),
    Step(
        "Its answer has an id and a signingKey. Give the signingKey to this connection as its secret: with "
        "“Enter its signing key” on the connection's page, or with rotate-secret. Until then everything is refused."
    ),
    Step(
        "Activate the provider. ZITADEL has one active SMS provider:",
        "curl -X POST https://YOUR_ZITADEL/admin/v1/sms/PROVIDER_ID/_activate \\\n"
        '  -H "Authorization: Bearer $ZITADEL_TOKEN"',
        "Shell",
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "contextInfo": {
            "eventType": "user.human.phone.code.added",
            "provider": {"id": "285181292935381355", "description": "Calls"},
            "recipientPhoneNumber": phone,
        },
        "templateData": {"title": "Verify phone", "text": f"Verify your phone number with this code: {code}"},
        "args": {"code": code, "displayName": "Ada", "lastPhone": phone, "preferredLoginName": "ada@example.com"},
    }


KIND = Kind(
    name="zitadel",
    title="ZITADEL",
    scheme=ZitadelSignature(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Nothing: ZITADEL sends in the background. The refusal is in its log and on this page.",
)
