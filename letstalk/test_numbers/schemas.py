"""The requests and responses of `/api/test-numbers`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.actors import MAX_OWNER_ID_LENGTH
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.http.schemas import (
    NO_CONTROL_CHARACTERS,
    PATTERN_MESSAGES,
    WHOLE,
    ApiModel,
    PageQuery,
    PlainText,
    Query,
    ResponseModel,
    Timestamp,
    Uuid,
    with_example,
)
from letstalk.telephony.phone_numbers import MAX_PHONE_CHARACTERS
from letstalk.test_numbers.models import (
    CODE_PATTERN,
    MAX_EXPIRES_IN_SECONDS,
    MIN_EXPIRES_IN_SECONDS,
    ShownTestNumber,
    TestNumberPage,
)
from letstalk.tokens.models import MAX_NAME_LENGTH

PATTERN_MESSAGES[CODE_PATTERN] = "must be 6 to 10 digits, as text"

_EXAMPLE: dict[str, Any] = {
    "test_number_id": "0199a4c2-7f10-7c3e-9b5d-2a6e8f1c4d70",
    "user_id": "acme",
    "phone": "+12025550142",
    "code": "408213",
    "name": "App Store review",
    "created_at": "2026-11-20T10:00:00.000Z",
    "expires_at": "2026-12-20T10:00:00.000Z",
    "is_live": True,
}

UserId = Annotated[PlainText, Field(min_length=1, max_length=MAX_OWNER_ID_LENGTH, pattern=r"\S")]
Name = Annotated[PlainText, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"\S")]
FixedCode = Annotated[str, Field(pattern=CODE_PATTERN, max_length=10, examples=["408213"])]
Lifetime = Annotated[int, Field(ge=MIN_EXPIRES_IN_SECONDS, le=MAX_EXPIRES_IN_SECONDS), WHOLE]


class TestNumberRequest(ApiModel):
    """The new test number."""

    model_config = with_example({"phone": "+1 202 555 0142", "name": "App Store review", "expires_in": 2592000})

    phone: Annotated[str, Field(pattern=NO_CONTROL_CHARACTERS, min_length=1, max_length=MAX_PHONE_CHARACTERS)] = Field(
        description="A valid number in international form. It need not be one that may be called: numbers that are "
        "reserved for examples are best, such as +1 202 555 0100 to 0199.",
        examples=["+1 202 555 0142"],
    )
    user_id: UserId | None = Field(None, description="Its owner. Default: the caller's own `user_id`.")
    code: FixedCode | None = Field(
        None, description="What to type: 6 to 10 digits, as text, none that anybody would try. Default: one is made."
    )
    name: Name | None = Field(None, description="What it is for.")
    expires_in: Lifetime | None = Field(
        None, description="Seconds until it ends, a year at most. Required in production; else the default is no end."
    )


class TestNumberPatch(ApiModel):
    """The fields to change. Null removes the name and, in development, the end."""

    model_config = with_example({"expires_in": 604800})

    code: FixedCode = ""
    name: Name | None = None
    expires_in: Lifetime | None = Field(None, description="Seconds from now.")


class TestNumberPath(Query):
    number_id: UUID = Field(description="The test number's id.")


class TestNumberQuery(PageQuery):
    user_id: UserId | SkipJsonSchema[None] = Field(None, description="Only this owner's test numbers.")


class TestNumberResponse(ResponseModel):
    """A test number with its code."""

    model_config = with_example(_EXAMPLE)

    test_number_id: Uuid
    user_id: str
    phone: str
    code: str
    name: str | None
    created_at: Timestamp
    expires_at: Timestamp | None = Field(description="Null is no end, which counts in development only.")
    is_live: bool = Field(description="Whether its code counts now.")

    @classmethod
    def of(cls, shown: ShownTestNumber) -> TestNumberResponse:
        number = shown.number
        return cls(
            test_number_id=number.test_number_id,
            user_id=number.owner_id,
            phone=number.e164,
            code=shown.code,
            name=number.name,
            created_at=iso_utc(number.created_at),
            expires_at=iso_utc_or_none(number.expires_at),
            is_live=shown.is_live,
        )


class TestNumberList(ResponseModel):
    """A page of test numbers, newest first. `next_cursor` is null on the last page."""

    model_config = with_example({"test_numbers": [_EXAMPLE], "next_cursor": None})

    test_numbers: list[TestNumberResponse]
    next_cursor: str | None

    @classmethod
    def of(cls, page: TestNumberPage) -> TestNumberList:
        return cls(test_numbers=[TestNumberResponse.of(one) for one in page.numbers], next_cursor=page.next_cursor)


class TestNumberDeletion(ResponseModel):
    """The test number is deleted. A call that is sent to its phone rings."""

    model_config = with_example({"message": "Test number deleted"})

    message: str
