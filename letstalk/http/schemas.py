"""What all request and answer models share."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

# What a view may return. Not Flask's own type, which flask-openapi3 can't resolve at run time.
JsonResponse = dict[str, Any] | tuple[dict[str, Any], int]


PATTERN_MESSAGES: dict[str, str] = {}
"""What a value that does not match a pattern must be, by the pattern: schemas add their own."""


class ApiModel(BaseModel):
    """A request: JSON's own types, no coercion, no field that we do not know."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ResponseModel(BaseModel):
    """A response body, as the API description shows it."""

    model_config = ConfigDict(extra="forbid")


class Query(BaseModel):
    """Query parameters: text by nature, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def with_example(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is shown with `example`."""
    # flask-openapi3 reads its own key from pydantic's configuration, whose type does not know it.
    return cast(ConfigDict, {"openapi_extra": {"example": example}})


def with_examples(**examples: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is shown with each of `examples`, by its name."""
    named = {name: {"value": value} for name, value in examples.items()}
    return cast(ConfigDict, {"openapi_extra": {"examples": named}})


def _refuse_control_characters(value: str) -> str:
    if not value.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must not hold control characters")
    return value


class _NoControlCharacters:
    """The same rule for the description. (JSON that is well-formed UTF-8 has no lone surrogate to speak of.)"""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}


PlainText = Annotated[str, AfterValidator(_refuse_control_characters), _NoControlCharacters]
"""Text that can be stored, logged and shown anywhere: no NUL, no newline, no lone surrogate."""


def _read_whole_float(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_read_whole_float)
"""Beside `int`, after its bounds: an integer as JSON Schema means it, to which `300.0` belongs."""

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-11-20T10:00:00.000Z"]})]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class PageQuery(Query):
    limit: int = Field(50, ge=1, le=100, description="How many to give at most.")
    cursor: PlainText | SkipJsonSchema[None] = Field(
        None, max_length=200, description="`next_cursor` of the page before."
    )
