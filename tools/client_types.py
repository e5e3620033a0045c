"""The types of clients/javascript, made from the OpenAPI document: `python -m tools.client_types` writes the file.

They are ours, kept in the repository, so that the package needs no generator; a test compares them with the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.apps import ROOT, make_app

TARGET = ROOT / "clients" / "javascript" / "src" / "api.d.ts"
OPERATIONS = (
    *("send_otp", "verify_code", "replay_otp", "list_verifications", "get_verification", "cancel_verification"),
    *("speak_code", "report_outcome", "list_events", "get_event", "list_languages"),
)
HEAD = "// Made from the OpenAPI document by `python -m tools.client_types`. Do not edit.\n"
SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def render_types(document: dict[str, Any]) -> str:
    """The declarations of all that `OPERATIONS` and webhooks send and return."""
    schemas = document["components"]["schemas"]
    described = {each["operationId"]: each for methods in document["paths"].values() for each in methods.values()}
    parts: list[Any] = [described[name] for name in OPERATIONS]
    names = sorted(_reached([*parts, document["webhooks"], {"$ref": "#/components/schemas/ErrorDetail"}], schemas))
    declarations = [_declare(name, schemas[name]) for name in names]
    declarations += [text for name in OPERATIONS if (text := _declare_query(described[name]))]
    return "\n".join([HEAD, *declarations, _declare_events(document["webhooks"])])


def _reached(part: Any, schemas: dict[str, Any]) -> set[str]:
    """The names of the schemas that `part` refers to, directly or through others."""
    found: set[str] = set()
    waiting = list(_references(part))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(schemas[name])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref", "")
        if reference.startswith("#/components/schemas/"):
            yield reference.rsplit("/", 1)[1]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _declare(name: str, schema: dict[str, Any]) -> str:
    about = _comment(schema.get("description"), "")
    if "properties" not in schema:
        return f"{about}export type {name} = {_type_of(schema)};\n"
    fields = _fields(schema["properties"], schema.get("required", ()))
    return f"{about}export interface {name} {{\n{fields}}}\n"


def _declare_query(operation: dict[str, Any]) -> str:
    """The query parameters of an operation, such as `ListEventsQuery` of `list_events`; nothing without any."""
    parameters = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    if not parameters:
        return ""
    name = "".join(word.title() for word in operation["operationId"].split("_")) + "Query"
    fields = {key: {**each["schema"], "description": each.get("description")} for key, each in parameters.items()}
    required = [key for key, each in parameters.items() if each.get("required")]
    about = f"/** The filters of `{operation['operationId']}`. */\n"
    return f"{about}export interface {name} {{\n{_fields(fields, required)}}}\n"


def _declare_events(webhooks: dict[str, Any]) -> str:
    lines = []
    for type_, methods in webhooks.items():
        schema = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        data = _type_of(schema["allOf"][1]["properties"]["data"])
        lines.append(f"  | EventOf<{json.dumps(type_)}, {data}>")
    base = 'type EventOf<Type, Data> = Omit<EventResponse, "type" | "data"> & { type: Type; data: Data };\n'
    return (
        f"{base}\n/** What a webhook carries, by its `type`. */\nexport type WebhookEvent =\n"
        + "\n".join(lines)
        + ";\n"
    )


def _fields(properties: dict[str, Any], required: Any) -> str:
    return "".join(
        f"{_comment(schema.get('description'), '  ')}  {name}{'' if name in required else '?'}: {_type_of(schema)};\n"
        for name, schema in properties.items()
    )


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(_type_of(each) for each in schema[several]))
    if schema.get("type") == "array":
        inner = _type_of(schema["items"])
        return f"({inner})[]" if " " in inner else f"{inner}[]"
    if schema.get("type") == "object":
        return "Record<string, unknown>"
    return SIMPLE[schema["type"]]


def _comment(text: str | None, indent: str) -> str:
    words = " ".join((text or "").split()).replace("*/", "* /")
    return f"{indent}/** {words} */\n" if words else ""


def read_document() -> dict[str, Any]:
    """The document of an installation as it is in development."""
    with TemporaryDirectory() as folder:
        document: dict[str, Any] = json.loads(make_app(Path(folder)).extensions["letstalk_openapi"]())
    return document


if __name__ == "__main__":
    TARGET.write_text(render_types(read_document()), encoding="utf-8")
