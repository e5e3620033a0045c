"""The requests and responses of `/calls`."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from letstalk.calls.models import CallStatus
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.core.errors import InvalidPhone
from letstalk.http.schemas import (
    NO_CONTROL_CHARACTERS,
    PATTERN_MESSAGES,
    WHOLE,
    ApiModel,
    PageQuery,
    PlainText,
    Query,
    ResponseModel,
    ResponseUnion,
    Timestamp,
    Uuid,
    with_example,
    with_examples,
)
from letstalk.speaking.schemas import SpokenCallResponse
from letstalk.telephony.phone_numbers import MAX_PHONE_CHARACTERS, parse_phone
from letstalk.verifications.models import (
    DEFAULT_CODE_LENGTH,
    DEFAULT_TTL_SECONDS,
    MAX_ATTEMPTS,
    MAX_CODE_LENGTH,
    MAX_REPLAYS,
    MAX_SESSION_CHARACTERS,
    MAX_TTL_SECONDS,
    MIN_CODE_LENGTH,
    MIN_TTL_SECONDS,
    Approval,
    CallAccepted,
    NewVerification,
    Verification,
    VerificationFilter,
    VerificationStatus,
)

CODE_PATTERN = r"^[0-9]{4,10}$"
PATTERN_MESSAGES[CODE_PATTERN] = "must be 4 to 10 digits, as text"
MIN_PHONE_DIGITS = 4  # fewer are a number in no country
MAX_CODE_CHARACTERS = 40  # as pasted, with what stands between the digits
EXAMPLE_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
EXAMPLE_CALL_ID = "5a4d3f2b-9c1e-4b7a-a1d0-6e8f7c2b3a49"
EXAMPLE_PHONE = "+12025550142"


def read_code(text: object) -> object:
    """The digits of a code as a person typed or pasted it: ASCII, without spaces, hyphens and invisible marks.

    What is not text, too long or not of digits is returned unchanged, for the pattern to refuse.
    """
    if not isinstance(text, str) or (text.isascii() and text.isdigit()) or len(text) > MAX_CODE_CHARACTERS:
        return text
    parts = [(each, unicodedata.category(each)) for each in text]
    kept = [(each, category) for each, category in parts if category not in ("Zs", "Cf")]
    if not kept or kept[0][1] != "Nd" or any(category not in ("Nd", "Pd") for _, category in kept):
        return text
    return "".join(str(unicodedata.digit(each)) for each, category in kept if category == "Nd")


Code = Annotated[
    str,
    BeforeValidator(read_code),
    Field(
        pattern=CODE_PATTERN,
        description="4 to 10 digits, as text. Spaces and hyphens between them are ignored.",
        examples=["048213"],
        json_schema_extra={"pattern": r"^ *([0-9][ \-]*){4,10}$", "maxLength": MAX_CODE_CHARACTERS},
    ),
]

E164 = Annotated[str, Field(json_schema_extra={"pattern": r"^\+[0-9]{3,15}$", "examples": [EXAMPLE_PHONE]})]
Phone = Annotated[
    str,
    Field(
        pattern=NO_CONTROL_CHARACTERS,
        min_length=1,
        max_length=MAX_PHONE_CHARACTERS,
        description="International form, written leniently; national form only where DEFAULT_REGION is set.",
        examples=["+1 202 555 0142"],
    ),
]


def _ensure_can_be_called(phone: str) -> str:
    """Refuse here what is no phone in any country, so that it is reported together with the other fields."""
    if "+" in phone or sum(map(str.isdecimal, phone)) < MIN_PHONE_DIGITS:
        try:
            parse_phone(phone)
        except InvalidPhone as error:
            raise PydanticCustomError("invalid_phone", "{sentence}", {"sentence": error.message}) from None
    return phone


CalledPhone = Annotated[Phone, AfterValidator(_ensure_can_be_called)]
Session = Annotated[
    PlainText,
    Field(
        min_length=1,
        max_length=MAX_SESSION_CHARACTERS,
        description="An opaque id of the browser session that asks, which nobody else can choose or guess. It is in no "
        "response.",
        examples=["b4f0c8d2e6a17935"],
    ),
]


def _describe_as_uuid(schema: dict[str, Any]) -> None:
    """A UUID has no control characters: a generator of requests takes seconds to combine both rules."""
    schema.pop("pattern", None)
    schema["format"] = "uuid"


VerificationId = Annotated[
    str,
    Field(
        pattern=NO_CONTROL_CHARACTERS,
        min_length=1,
        max_length=64,
        json_schema_extra=_describe_as_uuid,
        examples=[EXAMPLE_ID],
    ),
]

SpokenLocale = Annotated[str, Field(description="The language that the call speaks, one of `GET /api/languages`.")]

IsTest = Annotated[
    bool, Field(description="Whether the phone is a test number: no call was placed, and nobody has proven it.")
]

EXAMPLE_SUMMARY: dict[str, Any] = {
    "verification_id": EXAMPLE_ID,
    "phone": EXAMPLE_PHONE,
    "status": "approved",
    "created_at": "2026-11-20T10:00:00.000Z",
    "expires_at": "2026-11-20T10:05:00.000Z",
    "approved_at": "2026-11-20T10:00:41.000Z",
    "attempts_remaining": 4,
    "replays_remaining": 3,
    "locale": None,
    "spoken_locale": "en-US",
    "reference": "order-4711",
    "is_test": False,
}
_CALL: dict[str, Any] = {
    "call_id": EXAMPLE_CALL_ID,
    "status": "completed",
    "reason": "The code was approved.",
    "created_at": "2026-11-20T10:00:00.000Z",
    "ended_at": "2026-11-20T10:00:41.000Z",
    "events": [
        {"at": "2026-11-20T10:00:00.000Z", "type": "queued"},
        {"at": "2026-11-20T10:00:01.000Z", "type": "dialed"},
        {"at": "2026-11-20T10:00:07.000Z", "type": "answered"},
    ],
}


class SendRequest(ApiModel):
    """Whom to call, and what to say. A phone is enough."""

    model_config = with_examples(
        smallest={"phone": "+1 202 555 0142"},
        full={
            "phone": "+1 202 555 0142",
            "message": "Hello from Acme. Your code is {code}.",
            "locale": "en-US",
            "code_length": 6,
            "expires_in": 300,
        },
    )

    phone: CalledPhone
    message: PlainText | None = Field(
        None,
        min_length=1,
        max_length=300,
        description="Spoken instead of the default text. `{code}`, at most twice, stands for the digits; where it is "
        "missing they follow the text. With fewer than two, the digits are read again at the end. No SSML, no control "
        "characters, no other placeholder.",
        examples=["Hello from Acme. Your code is {code}."],
    )
    message_template: PlainText | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Instead of `message`: the name of a text that the operator of this service has written.",
        examples=["checkout"],
    )
    locale: PlainText | None = Field(
        None,
        min_length=1,
        max_length=35,
        description="BCP 47. A language that is not in `GET /api/languages` falls back to that of the phone's country, "
        "else to English.",
        examples=["en-US"],
    )
    locale_fallback: bool = Field(
        True, description="False: a `locale` that is not spoken here is refused and places no call."
    )
    code_length: Annotated[
        int, Field(ge=MIN_CODE_LENGTH, le=MAX_CODE_LENGTH, description="How many digits."), WHOLE
    ] = DEFAULT_CODE_LENGTH
    expires_in: Annotated[
        int, Field(ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="Seconds that the code is valid."), WHOLE
    ] = DEFAULT_TTL_SECONDS
    reference: PlainText | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Your own id for this verification, such as an order number. It is in every response.",
        examples=["order-4711"],
    )
    session: Session | None = None

    def to_new_verification(self) -> NewVerification:
        return NewVerification(
            phone=self.phone,
            message=self.message,
            locale=self.locale,
            code_length=self.code_length,
            ttl_seconds=self.expires_in,
            reference=self.reference,
            message_template=self.message_template,
            session=self.session,
            locale_fallback=self.locale_fallback,
        )


_NULL = {"type": "null"}


def _given(field: str, **others: Any) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"type": "string"}, **others}}


class TargetRequest(ApiModel):
    """Which verification is meant: one by its id, or the newest of a phone and, if it was sent with one, a session."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [_given("phone", verification_id=_NULL), _given("verification_id", phone=_NULL, session=_NULL)]
        }
    )

    phone: Phone | None = None
    verification_id: VerificationId | None = None
    session: Session | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> TargetRequest:
        if (self.phone is None) == (self.verification_id is None):
            raise ValueError("Give exactly one of phone and verification_id.")
        if self.session is not None and self.phone is None:
            raise ValueError("Give session with phone only: a verification_id names one session's verification.")
        return self


class VerifyRequest(TargetRequest):
    """Which verification, and what the person typed."""

    model_config = with_examples(
        by_phone={"phone": "+1 202 555 0142", "code": "048213"},
        by_id={"verification_id": EXAMPLE_ID, "code": "048213"},
        by_session={"phone": "+1 202 555 0142", "session": "b4f0c8d2e6a17935", "code": "048213"},
    )

    code: Code


class ReplayRequest(TargetRequest):
    """Which verification."""

    model_config = with_examples(by_phone={"phone": "+1 202 555 0142"}, by_id={"verification_id": EXAMPLE_ID})


class CallPath(Query):
    verification_id: UUID = Field(
        description="The verification's id, or that of one of its calls.", json_schema_extra={"example": EXAMPLE_ID}
    )


def _status(value: object) -> object:
    return VerificationStatus(value) if isinstance(value, str) and value in set(VerificationStatus) else value


class ListQuery(PageQuery):
    phone: PlainText | SkipJsonSchema[None] = Field(
        None, min_length=1, max_length=MAX_PHONE_CHARACTERS, description="Only this phone's."
    )
    status: Annotated[VerificationStatus | SkipJsonSchema[None], BeforeValidator(_status)] = Field(
        None, description="Only verifications with this status."
    )
    reference: PlainText | SkipJsonSchema[None] = Field(
        None, min_length=1, max_length=64, description="Only verifications with this reference."
    )

    def to_filter(self) -> VerificationFilter:
        return {"phone": self.phone, "status": self.status, "reference": self.reference}


class SendResponse(ResponseModel):
    """The phone is being called."""

    model_config = with_example(
        {
            "verification_id": EXAMPLE_ID,
            "call_id": EXAMPLE_CALL_ID,
            "status": "pending",
            "call_status": "queued",
            "phone": EXAMPLE_PHONE,
            "expires_at": "2026-11-20T10:05:00.000Z",
            "expires_in": 300,
            "attempts_remaining": 5,
            "replays_remaining": 3,
            "spoken_locale": "en-US",
            "reference": "order-4711",
            "is_test": False,
            "message": f"{EXAMPLE_PHONE} is being called.",
        }
    )

    verification_id: Uuid
    call_id: Uuid
    status: Literal["pending"]
    call_status: CallStatus
    phone: E164
    expires_at: Timestamp
    expires_in: int = Field(ge=0, le=MAX_TTL_SECONDS, description="Seconds that are left of it.")
    attempts_remaining: int = Field(ge=0, le=MAX_ATTEMPTS)
    replays_remaining: int = Field(ge=0, le=MAX_REPLAYS)
    spoken_locale: SpokenLocale
    reference: str | None
    is_test: IsTest
    message: str = Field(description="A sentence for people. Never what is spoken, never the code.")


class VerifyResponse(ResponseModel):
    """The code was right, and this verification takes no other."""

    model_config = with_example(
        {
            "verified": True,
            "status": "approved",
            "verification_id": EXAMPLE_ID,
            "phone": EXAMPLE_PHONE,
            "approved_at": "2026-11-20T10:00:41.000Z",
            "reference": "order-4711",
            "is_test": False,
        }
    )

    verified: Literal[True]
    status: Literal["approved"]
    verification_id: Uuid
    phone: E164
    approved_at: Timestamp
    reference: str | None
    is_test: IsTest


class CallEventResponse(ResponseModel):
    """One thing that happened in a call."""

    at: Timestamp
    type: str = Field(description="What happened, for people who look for a cause.", examples=["ringing"])


class CallResponse(ResponseModel):
    """One call, and what happened in it, oldest first."""

    call_id: Uuid
    status: CallStatus
    reason: str | None = Field(description="Why the call ended, or waits again, in a sentence.")
    created_at: Timestamp
    ended_at: Timestamp | None
    events: list[CallEventResponse]


class VerificationSummary(ResponseModel):
    """A verification as it stands now."""

    verification_id: Uuid
    phone: E164
    status: VerificationStatus
    created_at: Timestamp
    expires_at: Timestamp
    approved_at: Timestamp | None
    attempts_remaining: int = Field(ge=0, le=MAX_ATTEMPTS)
    replays_remaining: int = Field(ge=0, le=MAX_REPLAYS)
    locale: str | None = Field(description="As it was sent.")
    spoken_locale: SpokenLocale
    reference: str | None
    is_test: IsTest


class VerificationResponse(VerificationSummary):
    """A verification as it stands now, with its calls."""

    model_config = with_example({**EXAMPLE_SUMMARY, "calls": [_CALL]})

    calls: list[CallResponse] = Field(description="Oldest first.")


class VerificationOrCall(ResponseUnion[VerificationResponse | SpokenCallResponse]):
    """A verification with its calls, or a call that spoke a code of yours."""

    model_config = with_example({**EXAMPLE_SUMMARY, "calls": [_CALL]})


class VerificationListResponse(ResponseModel):
    """A page of verifications, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"verifications": [EXAMPLE_SUMMARY], "next_cursor": None})

    verifications: list[VerificationSummary]
    next_cursor: str | None


def render_accepted(accepted: CallAccepted, message: str) -> dict[str, Any]:
    """The content of a `SendResponse`."""
    return {
        "verification_id": accepted.verification_id,
        "call_id": accepted.call_id,
        "status": VerificationStatus.PENDING.value,
        "call_status": accepted.call_status,
        "phone": accepted.phone,
        "expires_at": accepted.expires_at,
        "expires_in": accepted.expires_in,
        "attempts_remaining": accepted.attempts_remaining,
        "replays_remaining": accepted.replays_remaining,
        "spoken_locale": accepted.spoken_locale,
        "reference": accepted.reference,
        "is_test": accepted.is_test,
        "message": message,
    }


def render_approval(approval: Approval) -> dict[str, Any]:
    """The content of a `VerifyResponse`."""
    return {
        "verified": True,
        "status": VerificationStatus.APPROVED.value,
        "verification_id": approval.pending.verification_id,
        "phone": approval.pending.phone_as_given or approval.pending.phone,
        "approved_at": iso_utc(approval.approved_at),
        "reference": approval.pending.reference,
        "is_test": approval.pending.is_test,
    }


def render_summary(verification: Verification, status: VerificationStatus, spoken_locale: str) -> dict[str, Any]:
    """The content of a `VerificationSummary`."""
    return {
        "verification_id": verification.verification_id,
        "phone": verification.e164,
        "status": status.value,
        "created_at": iso_utc(verification.created_at),
        "expires_at": iso_utc(verification.expires_at),
        "approved_at": iso_utc_or_none(verification.approved_at),
        "attempts_remaining": verification.attempts_remaining,
        "replays_remaining": verification.replays_remaining,
        "locale": verification.locale,
        "spoken_locale": spoken_locale,
        "reference": verification.reference,
        "is_test": verification.is_test,
    }
