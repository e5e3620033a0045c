"""Supabase Auth: its Send SMS hook (supabase/auth, snapshot of 2026-08-20, internal/hooks/hookshttp/hookshttp.go).

Supabase reads a message and a status for its user only from a 200 with an `error`. A 429 or 503 with Retry-After would
have it ask again at once, three times; any other status becomes its own 500.
"""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Reply, Step, json_reply, status_of_refusal
from letstalk.connect.signatures import StandardWebhooks
from letstalk.core.errors import InvalidSignature, LetsTalkError
from letstalk.http.errors import sentence_of
from letstalk.speaking.models import SpeakAccepted

FIELDS = Fields(
    phone=("/sms/phone", "/user/new_phone", "/user/phone"),
    code=("/sms/otp",),
    locale=("/user/user_metadata/locale", "/user/user_metadata/language"),
    repeats="/metadata/uuid",
)

GUIDE = (
    Step(
        "In Supabase, open Authentication, then Hooks, and add a Send SMS hook of the type HTTPS. Its URL:",
        "LETSTALK_URL",
    ),
    Step("Its secret, in place of the one that Supabase would generate:", "LETSTALK_SECRET"),
    Step("Then enable the provider Phone (Authentication, Sign In / Providers). No SMS service needs to be set up."),
    Step(
        "Where you host Supabase yourself, set this for the auth server instead:",
        "GOTRUE_EXTERNAL_PHONE_ENABLED=true\n"
        "GOTRUE_HOOK_SEND_SMS_ENABLED=true\n"
        "GOTRUE_HOOK_SEND_SMS_URI=LETSTALK_URL\n"
        "GOTRUE_HOOK_SEND_SMS_SECRETS=LETSTALK_SECRET",
        "Environment",
    ),
    Step(
        "With the Supabase CLI it is a section of supabase/config.toml:",
        '[auth.hook.send_sms]\nenabled = true\nuri = "LETSTALK_URL"\nsecrets = "LETSTALK_SECRET"',
        "config.toml",
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    digits = phone.removeprefix("+")
    return {
        "metadata": {
            "uuid": "0f4a1c1e-6f4b-4f0d-9a4e-2f1f0d3c5b6a",
            "time": "2026-11-29T10:00:00Z",
            "name": "send-sms",
            "ip_address": "203.0.113.7",
        },
        "user": {
            "id": "9d3f6c1a-8e35-4a39-9c5f-0b5f6f2f7a11",
            "aud": "authenticated",
            "role": "authenticated",
            "email": "",
            "phone": digits,
            "app_metadata": {"provider": "phone", "providers": ["phone"]},
            "user_metadata": {},
            "identities": [],
            "created_at": "2026-11-29T10:00:00Z",
            "updated_at": "2026-11-29T10:00:00Z",
            "is_anonymous": False,
        },
        "sms": {"otp": code, "phone": digits},
    }


def accept(_accepted: SpeakAccepted) -> Reply:
    return json_reply(200, {})


def refuse(error: LetsTalkError) -> Reply:
    status = status_of_refusal(error)
    content = {"error": {"http_code": status, "message": sentence_of(error)}}
    is_wrong_setup = isinstance(error, InvalidSignature) or error.code == "invalid_request"
    return json_reply(status if is_wrong_setup else 200, content)


KIND = Kind(
    name="supabase",
    title="Supabase",
    scheme=StandardWebhooks(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Our sentence, with our status: signInWithOtp returns it as error.message and error.status.",
    accept=accept,
    refuse=refuse,
)
