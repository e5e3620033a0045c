"""What all request and answer models share."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


# What a view may return. Not Flask's own type, which flask-openapi3 can't resolve at run time.
JsonAnswer = dict[str, Any] | tuple[dict[str, Any], int]


class ApiModel(BaseModel):
    """A request: JSON's own types, no coercion, no field that we do not know."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer of ours, for the description."""

    model_config = ConfigDict(extra="forbid")


class Query(BaseModel):
    """Query parameters: text by nature, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _refuse_control_characters(value: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must not hold control characters")
    return value


PlainText = Annotated[str, AfterValidator(_refuse_control_characters)]
"""Text that can be stored, logged and shown anywhere: no NUL, no newline, no lone surrogate."""


class ErrorDetail(Answer):
    field: str
    message: str


class ErrorBody(Answer):
    """The one shape of every refusal."""

    error: str = Field(description="A sentence for people.")
    code: str = Field(description="Stable, for programs.")
    request_id: str = Field(description="The same as the X-Request-Id header.", json_schema_extra={"format": "uuid"})
    details: list[ErrorDetail] | None = None
    retry_after: int | None = Field(None, description="Seconds to wait; the same as the Retry-After header.")
    attempts_remaining: int | None = None
    verified: bool | None = Field(None, description="False with `invalid_code`.")
    required_scopes: list[str] | None = None


def error_answer(*codes: str, description: str = "") -> dict[str, Any]:
    """The description of a refusal with one of `codes`, for a view's `responses`."""
    named = ", ".join(f"`{code}`" for code in codes)
    return {
        "description": f"{description} {named}".strip(),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorBody"},
                "example": {
                    "error": description or "A sentence for people.",
                    "code": codes[0],
                    "request_id": "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11",
                },
            }
        },
    }


class PageQuery(Query):
    limit: int = Field(50, ge=1, le=100, description="How many to give at most.")
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")
