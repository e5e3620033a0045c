"""What `/calls` takes and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from letstalk.domain.calls import CallStatus
from letstalk.domain.codes import DEFAULT_CODE_LENGTH, MAX_CODE_LENGTH, MIN_CODE_LENGTH
from letstalk.domain.phones import MAX_PHONE_CHARACTERS
from letstalk.domain.verifications import DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, MIN_TTL_SECONDS, VerificationStatus
from letstalk.web.schemas.base import Answer, ApiModel, PageQuery, PlainText, Query

EXAMPLE_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
EXAMPLE_CALL_ID = "5a4d3f2b-9c1e-4b7a-a1d0-6e8f7c2b3a49"
EXAMPLE_PHONE = "+256700123456"

Phone = Annotated[
    PlainText,
    Field(
        min_length=1,
        max_length=MAX_PHONE_CHARACTERS,
        description="International form, written leniently; national form only where DEFAULT_REGION is set.",
        examples=["+256 700 123456"],
    ),
]
VerificationId = Annotated[PlainText, Field(min_length=1, max_length=64, examples=[EXAMPLE_ID])]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-20T10:00:00.000Z"])]


class SendRequest(ApiModel):
    phone: Phone
    message: PlainText | None = Field(
        None,
        min_length=1,
        max_length=300,
        description="Spoken instead of the default text. `{code}`, at most twice, stands for the digits; where it is "
        "missing they follow the text. No SSML, no control characters.",
        examples=["Hello from Acme. Your code is {code}."],
    )
    locale: PlainText | None = Field(
        None,
        min_length=1,
        max_length=35,
        description="BCP 47. A language that is not spoken here falls back to that of the phone's country.",
        examples=["en-US"],
    )
    code_length: int = Field(DEFAULT_CODE_LENGTH, ge=MIN_CODE_LENGTH, le=MAX_CODE_LENGTH)
    expires_in: int = Field(DEFAULT_TTL_SECONDS, ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="Seconds.")


class TargetRequest(ApiModel):
    """Which verification is meant: exactly one of the two."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["phone"]}, {"required": ["verification_id"]}]})

    phone: Phone | SkipJsonSchema[None] = None
    verification_id: VerificationId | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> TargetRequest:
        if (self.phone is None) == (self.verification_id is None):
            raise ValueError("Give exactly one of phone and verification_id.")
        return self


class VerifyRequest(TargetRequest):
    code: str = Field(pattern=r"^[0-9]{4,10}\z", description="4 to 10 digits, as text.", examples=["048213"])


class ReplayRequest(TargetRequest):
    pass


class CallPath(Query):
    verification_id: str = Field(description="The verification's id.")


def _status(value: object) -> object:
    return VerificationStatus(value) if isinstance(value, str) and value in set(VerificationStatus) else value


class ListQuery(PageQuery):
    phone: PlainText | None = Field(None, min_length=1, max_length=MAX_PHONE_CHARACTERS)
    status: Annotated[VerificationStatus | None, BeforeValidator(_status)] = None


class SendAnswer(Answer):
    verification_id: str = Field(examples=[EXAMPLE_ID])
    call_id: str = Field(examples=[EXAMPLE_CALL_ID])
    status: Literal["pending"]
    call_status: CallStatus
    phone: str = Field(examples=[EXAMPLE_PHONE])
    expires_at: Moment
    expires_in: int
    attempts_remaining: int
    replays_remaining: int
    message: str = Field(description="A sentence for people. Never what is spoken, never the code.")


class VerifyAnswer(Answer):
    verified: Literal[True]
    status: Literal["approved"]
    verification_id: str = Field(examples=[EXAMPLE_ID])
    phone: str = Field(examples=[EXAMPLE_PHONE])
    approved_at: Moment


class CallEventAnswer(Answer):
    at: Moment
    type: str = Field(description="What happened, for people who look for a cause.", examples=["ringing"])


class CallAnswer(Answer):
    call_id: str = Field(examples=[EXAMPLE_CALL_ID])
    status: CallStatus
    reason: str | None = Field(description="Why the call ended, or waits again, in a sentence.")
    created_at: Moment
    ended_at: Moment | None
    events: list[CallEventAnswer]


class VerificationSummary(Answer):
    verification_id: str = Field(examples=[EXAMPLE_ID])
    phone: str = Field(examples=[EXAMPLE_PHONE])
    status: VerificationStatus
    created_at: Moment
    expires_at: Moment
    approved_at: Moment | None
    attempts_remaining: int
    replays_remaining: int
    locale: str | None


class VerificationAnswer(VerificationSummary):
    calls: list[CallAnswer] = Field(description="Oldest first.")


class VerificationListAnswer(Answer):
    verifications: list[VerificationSummary]
    next_cursor: str | None
