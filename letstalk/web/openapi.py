"""The OpenAPI document: generated from the models that validate, completed from the guards that refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_openapi3 import Info

from letstalk import __version__
from letstalk.web.guards import GuardKind, guard_of
from letstalk.web.schemas.base import ErrorBody, error_answer

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

INFO = Info(
    title="Let's Talk",
    version=__version__,
    description="Proves a phone number with a call: your app asks for a code, the phone rings, a voice reads the code, "
    "your app checks it.",
)
SECURITY_SCHEMES: dict[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token, `lt_…`."},
    "dashboard": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "A signed-in person; writing also needs the X-CSRFToken header.",
    },
}
REQUEST_ID = {
    "description": "This request's id, also in the log.",
    "schema": {"type": "string", "format": "uuid"},
}
RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body brings back the first 2xx answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
METHODS = ("get", "post", "patch", "delete")


def idempotent(view: View) -> View:
    """Declare that a view takes an Idempotency-Key."""
    view.is_idempotent = True  # type: ignore[attr-defined]  # a function takes attributes; its type does not say so
    return view


def build_document(app: Flask, document: dict[str, Any]) -> dict[str, Any]:
    """`document`, as flask-openapi3 made it, with what every operation shares.

    The refusals and the security of an operation come from its guard, so that they can't be forgotten.
    """
    schema = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = document["components"]["schemas"]
    for name, definition in schema.pop("$defs", {}).items():
        schemas[name] = definition
    schemas["ErrorBody"] = schema
    schemas.pop("ValidationErrorModel", None)
    for rule in app.url_map.iter_rules():
        path = document["paths"].get(_path_of(rule.rule))
        if path is None:
            continue
        for method in METHODS:
            if method in path and method.upper() in (rule.methods or set()):
                _complete(path[method], app.view_functions[rule.endpoint], schemas)
    return document


def _path_of(rule: str) -> str:
    return rule.replace("<string:", "{").replace("<", "{").replace(">", "}")


def _complete(operation: dict[str, Any], view: Callable[..., Any], schemas: dict[str, Any]) -> None:
    guard = guard_of(view)
    responses: dict[str, Any] = operation["responses"]
    if _is_library_default(responses.get("400", {})):
        del responses["400"]
    takes_input = "requestBody" in operation or operation.get("parameters")
    if takes_input:
        responses.setdefault("400", error_answer("invalid_request", description="The request is wrong."))
    if "requestBody" in operation:
        responses["413"] = error_answer("too_large", description="The body is over 64 KiB.")
        responses["415"] = error_answer("unsupported_media_type", description="The body is not application/json.")
        operation["requestBody"]["required"] = _requires_anything(operation, schemas)
    if getattr(view, "is_idempotent", False):
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    if guard is not None and guard.kind in (GuardKind.TOKEN, GuardKind.METRICS):
        responses["401"] = error_answer("missing_authorization", "invalid_token", description="Not authenticated.")
        codes = ["insufficient_scope", "address_not_allowed"] + (["csrf_failed"] if guard.trusted else [])
        responses.setdefault("403", error_answer(*codes, description="Not allowed."))
        scopes = [guard.scope.value] if guard.scope else []
        operation["security"] = [{"token": scopes}] + ([{"dashboard": []}] if guard.trusted else [])
        operation["x-required-scope"] = guard.scope.value if guard.scope else None
    if guard is not None and guard.kind is not GuardKind.UNLIMITED:
        responses.setdefault("429", error_answer("rate_limited", description="Too many requests."))
    for status, response in responses.items():
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = REQUEST_ID
        if status in ("429", "503"):
            headers["Retry-After"] = RETRY_AFTER


def _is_library_default(response: dict[str, Any]) -> bool:
    """Whether flask-openapi3 put its own description of a validation error, which is not ours."""
    content = response.get("content", {}).get("application/json", {})
    return bool(content.get("schema", {}).get("type") == "array")


def _requires_anything(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether a request without a body is refused: where everything may be left out, so may the body."""
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = schemas[reference.rsplit("/", 1)[1]]
    return bool(schema.get("required") or schema.get("oneOf"))
