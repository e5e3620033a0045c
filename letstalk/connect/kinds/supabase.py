"""Supabase Auth: its Send SMS hook (supabase/auth, snapshot of 2026-08-20, internal/hooks/hookshttp/hookshttp.go).

Supabase reads a message and a status for its user only from a 200 with an `error`. A 429 or 503 with Retry-After would
have it ask again at once, three times; any other status becomes its own 500.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind, Reply, json_reply, status_of_refusal
from letstalk.connect.signatures import StandardWebhooks
from letstalk.core.errors import InvalidSignature, LetsTalkError
from letstalk.http.errors import sentence_of
from letstalk.speaking.models import SpeakAccepted


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
    fields=Fields(
        phone=("/sms/phone", "/user/new_phone", "/user/phone"),
        code=("/sms/otp",),
        locale=("/user/user_metadata/locale", "/user/user_metadata/language"),
        repeats="/metadata/uuid",
    ),
    is_international=True,
    user_sees="Our sentence, with our status: signInWithOtp returns it as error.message and error.status.",
    accept=accept,
    refuse=refuse,
)
