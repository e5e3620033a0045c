"""A spoken code: somebody else made it and will check it; a call says it, with our script always.

The code is not kept here. Its call has it, encrypted, until it is over; for two minutes a keyed digest tells whether a
request is the same again.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from letstalk.calls.models import Call
from letstalk.core.clock import iso_utc
from letstalk.core.errors import InvalidRequest, TooManyRequests

MIN_CODE_LENGTH = 4
MAX_CODE_LENGTH = 10
MAX_CODE_CHARACTERS = 40  # with what stands between the characters
MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 600  # as long as our own codes
DEFAULT_TTL_SECONDS = 300
SAME_CALL_WITHIN = timedelta(seconds=120)  # the same phone and code is the same call
COOL_DOWN = timedelta(seconds=30)  # between two codes for one phone


@dataclass(frozen=True, slots=True)
class NewSpokenCode:
    """A code to be spoken. `brand` is one of the names that the operator allows; None is BRAND_NAME.

    `session_digest` is a keyed digest of the session of the app that it belongs to, and empty without one. The same
    code of two sessions is not the same call.
    """

    phone: str
    code: str = field(repr=False)
    locale: str | None = None
    brand: str | None = None
    reference: str | None = None
    ttl_seconds: int = DEFAULT_TTL_SECONDS
    session_digest: str = ""


@dataclass(frozen=True, slots=True)
class SpokenCode:
    """A code that was given to be spoken, without the code. Times are aware, in UTC.

    `spoken_id` is the subject of its call. `approved` is what the other side has reported; None is nothing yet.
    """

    spoken_id: str
    call_id: str
    owner_id: str
    token_id: str | None
    phone: str
    phone_as_given: str | None
    country: str
    locale: str | None
    reference: str | None
    code_digest: str | None = field(repr=False)
    created_at: datetime
    expires_at: datetime
    is_test: bool
    approved: bool | None
    reported_at: datetime | None
    session_digest: str = ""

    @property
    def e164(self) -> str:
        return self.phone_as_given or self.phone


@dataclass(frozen=True, slots=True)
class SpeakAccepted:
    """The call was accepted. Times are as the API writes them.

    `is_first_response` is False where the same phone and code, or the same idempotency key, brought back the response
    to an earlier request.
    """

    call_id: str
    call_status: str
    phone: str
    expires_at: str
    expires_in: int
    spoken_locale: str
    reference: str | None
    is_test: bool
    is_first_response: bool = True

    @classmethod
    def of(cls, spoken: SpokenCode, call_status: str, *, spoken_locale: str, is_first_response: bool) -> SpeakAccepted:
        """The response to the first request, which is the same whenever it is made."""
        return cls(
            call_id=spoken.call_id,
            call_status=call_status,
            phone=spoken.e164,
            expires_at=iso_utc(spoken.expires_at),
            expires_in=round((spoken.expires_at - spoken.created_at).total_seconds()),
            spoken_locale=spoken_locale,
            reference=spoken.reference,
            is_test=spoken.is_test,
            is_first_response=is_first_response,
        )


@dataclass(frozen=True, slots=True)
class SpokenCall:
    """A spoken code with its call, and what happened in it: (when, what), oldest first."""

    spoken: SpokenCode
    call: Call
    events: tuple[tuple[datetime, str], ...]
    spoken_locale: str


def read_code(text: str) -> str:
    """The digits and letters of a code, without the spaces and hyphens between them.

    Raises InvalidRequest for what is not 4 to 10 of them, and for letters in both cases: these sound the same.
    """
    kept = [each for each in text if unicodedata.category(each) not in ("Zs", "Pd", "Cf")]
    code = "".join(kept)
    is_plain = code.isascii() and code.isalnum()
    if len(text) > MAX_CODE_CHARACTERS or not is_plain or not MIN_CODE_LENGTH <= len(code) <= MAX_CODE_LENGTH:
        raise InvalidRequest.in_field("code", "code must be 4 to 10 digits and letters from A to Z, as text.")
    if code not in (code.upper(), code.lower()):
        raise InvalidRequest.in_field("code", "code must not have both capital and small letters: they sound the same.")
    return code


def ensure_cooled_down(newest_at: datetime | None, now: datetime) -> None:
    """Raises TooManyRequests `resend_too_soon` within 30 s of the last code for the phone."""
    if newest_at is not None and now < newest_at + COOL_DOWN:
        wait = newest_at + COOL_DOWN - now
        raise TooManyRequests(
            "A code was spoken to this phone a moment ago. Wait before asking again.",
            code="resend_too_soon",
            retry_after_seconds=max(1, int(wait.total_seconds())),
        )
