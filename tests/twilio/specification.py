"""Twilio's own description of its Verify API, as a judge of our responses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs

FILE = Path("@twilio", "cli-core", "src", "services", "twilio-api", "twilio_verify_v2.json")
PREFIX = "/twilio"

# Twilio describes no errors. This is the older of the two shapes that its SDKs know.
ERROR = {
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string", "minLength": 1},
        "more_info": {"type": "string", "format": "uri"},
        "status": {"type": "integer"},
    },
    "required": ["code", "message", "more_info", "status"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A request to Twilio's API, and what it got."""

    method: str
    path: str
    status: int
    body: bytes


@dataclass
class Specification:
    modules: Path
    validators: dict[tuple[str, str], Any] = field(default_factory=dict)

    @cached_property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.modules / FILE).read_text(encoding="utf-8"))
        return document

    @cached_property
    def schemas(self) -> dict[str, Any]:
        return {name: _as_json_schema(schema) for name, schema in self.document["components"]["schemas"].items()}

    def ensure_valid(self, answered: Answered) -> None:
        """Raises AssertionError, or jsonschema_rs.ValidationError, for what Twilio would not answer."""
        if answered.status >= 400:
            body = json.loads(answered.body)
            jsonschema_rs.validate(ERROR, body, validate_formats=True)
            assert body["status"] == answered.status, answered
            return
        template, operation = self._operation_of(answered)
        expected = next(status for status in operation["responses"] if status.startswith("2"))
        # Twilio describes 201 for a check, and answers 200.
        assert answered.status == int(expected) or (answered.status, expected) == (200, "201"), answered
        if answered.status == 204:
            assert answered.body == b"", answered
            return
        schema = operation["responses"][expected]["content"]["application/json"]["schema"]
        key = (answered.method, template)
        if key not in self.validators:
            whole = {**_as_json_schema(schema), "components": {"schemas": self.schemas}}
            self.validators[key] = jsonschema_rs.validator_for(whole, validate_formats=True)
        self.validators[key].validate(json.loads(answered.body))

    def _operation_of(self, answered: Answered) -> tuple[str, dict[str, Any]]:
        path = answered.path.removeprefix(PREFIX)
        for template, methods in sorted(self.document["paths"].items()):  # `Attempts/Summary` before `Attempts/{Sid}`
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and answered.method.lower() in methods:
                return template, methods[answered.method.lower()]
        raise AssertionError(f"Twilio has no {answered.method} {path}")


def _as_json_schema(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema: with `null` where a value is nullable.

    An object must have every property that is described, and no other: an SDK shows None for a missing one.
    """
    if isinstance(schema, list):
        return [_as_json_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        plain: dict[str, Any] = {"$ref": schema["$ref"]}
    else:
        plain = {name: _as_json_schema(value) for name, value in schema.items() if name not in ("nullable", "format")}
        if schema.get("format") in ("uri", "date-time"):
            plain["format"] = schema["format"]
    if isinstance(schema.get("properties"), dict):
        names = list(schema["properties"])
        plain["properties"] = {name: _as_json_schema(value) for name, value in schema["properties"].items()}
        plain |= {"required": names, "additionalProperties": False}
    is_any = not plain or set(plain) <= {"description", "x-twilio"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") and not is_any else plain
