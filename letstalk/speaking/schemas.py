"""The requests and responses of `POST /calls/speak`, and a call that spoke a code of somebody else's."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from letstalk.calls.models import CallStatus
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.http.schemas import (
    NO_CONTROL_CHARACTERS,
    WHOLE,
    ApiModel,
    PlainText,
    Query,
    ResponseModel,
    Timestamp,
    Uuid,
    with_example,
    with_examples,
)
from letstalk.speaking.models import (
    DEFAULT_TTL_SECONDS,
    MAX_CODE_CHARACTERS,
    MAX_TTL_SECONDS,
    MIN_CODE_LENGTH,
    MIN_TTL_SECONDS,
    NewSpokenCode,
    SpeakAccepted,
    SpokenCall,
)
from letstalk.telephony.phone_numbers import MAX_PHONE_CHARACTERS

MAX_BRAND_CHARACTERS = 60
_CALL_ID = "5a4d3f2b-9c1e-4b7a-a1d0-6e8f7c2b3a49"
_PHONE = "+12025550142"

E164 = Annotated[str, Field(json_schema_extra={"pattern": r"^\+[0-9]{3,15}$", "examples": [_PHONE]})]
IsTest = Annotated[bool, Field(description="Whether the phone is a test number: no call was placed.")]


class SpeakRequest(ApiModel):
    """Whom to call, and which code to say."""

    model_config = with_examples(
        smallest={"phone": "+1 202 555 0142", "code": "048213"},
        full={"phone": "+1 202 555 0142", "code": "BNRB-TCQH", "locale": "en-US", "reference": "login-4711"},
    )

    phone: Annotated[str, Field(pattern=NO_CONTROL_CHARACTERS, min_length=1, max_length=MAX_PHONE_CHARACTERS)]
    code: Annotated[str, Field(pattern=NO_CONTROL_CHARACTERS, min_length=MIN_CODE_LENGTH)] = Field(
        max_length=MAX_CODE_CHARACTERS,
        description="4 to 10 digits and letters from A to Z, as text, in capital or small letters. Spaces and hyphens "
        "between them are not read. Letters are spelled: “B as in Bravo”.",
    )
    locale: PlainText | None = Field(
        None,
        min_length=1,
        max_length=35,
        description="BCP 47. A language that is not in `GET /api/languages` falls back to that of the phone's country.",
    )
    brand: PlainText | None = Field(
        None,
        min_length=1,
        max_length=MAX_BRAND_CHARACTERS,
        description="Who is calling: one of the names that the operator allows (BRAND_NAMES). Default: BRAND_NAME.",
    )
    reference: PlainText | None = Field(None, min_length=1, max_length=64, description="Your own id for this call.")
    expires_in: Annotated[
        int, Field(ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="Seconds in which it may be spoken."), WHOLE
    ] = DEFAULT_TTL_SECONDS

    def to_new_code(self) -> NewSpokenCode:
        return NewSpokenCode(self.phone, self.code, self.locale, self.brand, self.reference, self.expires_in)


class SpeakResponse(ResponseModel):
    """The phone is being called."""

    model_config = with_example(
        {
            "call_id": _CALL_ID,
            "call_status": "queued",
            "phone": _PHONE,
            "expires_at": "2026-11-20T10:05:00.000Z",
            "expires_in": 300,
            "spoken_locale": "en-US",
            "reference": "login-4711",
            "is_test": False,
        }
    )

    call_id: Uuid
    call_status: CallStatus
    phone: E164
    expires_at: Timestamp
    expires_in: int = Field(ge=0, le=MAX_TTL_SECONDS, description="Seconds from the request to `expires_at`.")
    spoken_locale: str = Field(description="The language that the call speaks, one of `GET /api/languages`.")
    reference: str | None
    is_test: IsTest


class OutcomeRequest(ApiModel):
    """What became of the code at your side."""

    model_config = with_example({"approved": True})

    approved: bool


class SpokenCallPath(Query):
    call_id: UUID = Field(description="The call's id.", json_schema_extra={"example": _CALL_ID})


class SpokenCallEvent(ResponseModel):
    """One thing that happened in a call."""

    at: Timestamp
    type: str = Field(examples=["ringing"])


class SpokenCallResponse(ResponseModel):
    """A call that spoke a code of yours, and what happened in it. Never the code."""

    model_config = with_example(
        {
            "call_id": _CALL_ID,
            "status": "completed",
            "reason": "The code was approved.",
            "phone": _PHONE,
            "created_at": "2026-11-20T10:00:00.000Z",
            "expires_at": "2026-11-20T10:05:00.000Z",
            "ended_at": "2026-11-20T10:00:41.000Z",
            "spoken_locale": "en-US",
            "reference": "login-4711",
            "is_test": False,
            "approved": True,
            "events": [{"at": "2026-11-20T10:00:00.000Z", "type": "queued"}],
        }
    )

    call_id: Uuid
    status: CallStatus
    reason: str | None = Field(description="Why the call ended, or waits again, in a sentence.")
    phone: E164
    created_at: Timestamp
    expires_at: Timestamp
    ended_at: Timestamp | None
    spoken_locale: str
    reference: str | None
    is_test: IsTest
    approved: bool | None = Field(description="What you reported; null is nothing yet.")
    events: list[SpokenCallEvent] = Field(description="Oldest first.")


def render_speak_accepted(accepted: SpeakAccepted) -> dict[str, Any]:
    """The content of a `SpeakResponse`."""
    names = SpeakResponse.model_fields
    return {name: getattr(accepted, name) for name in names}


def render_spoken_call(found: SpokenCall) -> dict[str, Any]:
    """The content of a `SpokenCallResponse`."""
    spoken, call = found.spoken, found.call
    return {
        "call_id": call.call_id,
        "status": call.status.value,
        "reason": call.reason,
        "phone": spoken.e164,
        "created_at": iso_utc(spoken.created_at),
        "expires_at": iso_utc(spoken.expires_at),
        "ended_at": iso_utc_or_none(call.ended_at),
        "spoken_locale": found.spoken_locale,
        "reference": spoken.reference,
        "is_test": spoken.is_test,
        "approved": spoken.approved,
        "events": [{"at": iso_utc(at), "type": type_} for at, type_ in found.events],
    }
