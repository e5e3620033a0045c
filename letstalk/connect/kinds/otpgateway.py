"""otpgateway: its webhook provider (knadh/otpgateway, internal/providers/webhook/webhook.go). It ignores our status."""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/otp/to",), code=("/otp/otp",), ttl_seconds="/otp/ttl")

GUIDE = (
    Step(
        "Add a webhook to config.toml of otpgateway. Its name, here voice, is the provider that apps name:",
        "[webhooks.voice]\n"
        "enabled = true\n"
        'url = "LETSTALK_URL"\n'
        'username = "letstalk"\n'
        'password = "LETSTALK_SECRET"\n'
        'subject = "{{ .Namespace }}: verification"\n'
        'template = "static/sms.txt"\n'
        'channel_name = "Phone call"\n'
        'address_name = "Phone number"\n'
        "max_address_len = 16\n"
        "max_otp_len = 6",
        "config.toml",
    ),
    Step("Restart otpgateway. It waits three seconds for our answer, which is enough."),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "otp": {
            "namespace": "myapp",
            "id": "uniqueIDForJohnDoe",
            "to": phone,
            "channel_description": "",
            "address_description": "",
            "extra": {},
            "provider": "voice",
            "otp": code,
            "max_attempts": 5,
            "attempts": 1,
            "generate": 1,
            "max_generate": 3,
            "closed": False,
            "ttl": 300,
        },
        "subject": "Verification",
        "body": f"Your code is {code}",
    }


KIND = Kind(
    name="otpgateway",
    title="otpgateway",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Nothing: otpgateway does not look at our answer. The refusal is on this page only.",
)
