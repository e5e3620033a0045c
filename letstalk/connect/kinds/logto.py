"""Logto: its connector HTTP SMS (@logto/connector-http-sms 0.2.1 of npm). It sends no signature, and does not retry."""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/to",), code=("/payload/code",), locale=("/payload/locale", "/payload/uiLocales"))

GUIDE = (
    Step(
        "In the Logto console, open Connectors, then Email and SMS, and set up HTTP SMS. Its endpoint:", "LETSTALK_URL"
    ),
    Step("Its authorization token, with the word in front of it:", "Bearer LETSTALK_SECRET"),
    Step("Send a test from there to your own phone: it is called within seconds."),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "to": phone.removeprefix("+"),
        "type": "SignIn",
        "payload": {"code": code, "locale": "en"},
        "ip": "203.0.113.7",
    }


KIND = Kind(
    name="logto",
    title="Logto",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Logto's own words for a connector that failed. Our answer is in the data of its error.",
)
