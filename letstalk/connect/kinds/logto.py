"""Logto: its connector HTTP SMS (@logto/connector-http-sms 0.2.1 of npm). It sends no signature, and does not retry."""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="logto",
    title="Logto",
    scheme=SharedSecret(),
    fields=Fields(phone=("/to",), code=("/payload/code",), locale=("/payload/locale", "/payload/uiLocales")),
    is_international=True,
    user_sees="Logto's own words for a connector that failed. Our answer is in the data of its error.",
)
