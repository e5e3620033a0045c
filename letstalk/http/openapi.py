"""The OpenAPI document: generated from the models that validate, completed from the guards of the views.

A view declares what only it knows: its response and, with `@documents_errors`, the errors of its own rules. The errors
of its guard, its body and its Idempotency-Key are added here, so that no view can forget them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_openapi3 import APIBlueprint, Info, License, OpenAPI, Server, Tag
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from letstalk import __version__
from letstalk.http.guards import OWNED_SCOPES, Guard, GuardKind, guard_of
from letstalk.http.json_bodies import to_body
from letstalk.http.schemas import ERRORS, REFUSALS, ApiModel, Error, ResponseModel, ResponseUnion, example_of

INFO = Info(
    title="Let's Talk",
    version=__version__,
    license=License(name="MIT", identifier="MIT"),
    summary="Proves a phone number with a call.",
    description="""\
Your app asks for a code, the phone rings, a voice reads the code, your app checks it.

- JSON in and out. Times are ISO 8601 in UTC, durations whole seconds, ids UUIDs. Unknown fields are errors.
- Phones are accepted in many forms (`+1 202 555 0142`) and written as E.164.
- **Every error has one shape**, `Error`. Programs read `code`, which is stable; `error` is for people. An unknown
  address is 404 `not_found`, a method that the address does not allow 405 `method_not_allowed`, a failure of this
  service 500 `internal_error`.
- Every response has `X-Request-Id`. Quote it when you ask for help.
- `RateLimit` and `RateLimit-Policy` say how many requests are left. A 429 or 503 says in `Retry-After` how many seconds
  to wait.
- A verification belongs to the `user_id` of the token that started it. Nobody else can see, check, replay or cancel it.
- The code is in no response, no error and no log: only the called phone hears it.
""",
)

SECURITY_SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, `lt_…`. `read` means `calls:read`; `write` means `otp:send`, `otp:verify`, "
        "`otp:replay` and `calls:cancel`; `admin` means everything.",
    },
    "person": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A person's access token, from `POST /api/auth/login`; it works where an API token does, within "
        "the person's role. A person with several grants gives in `X-User-Id` the `user_id` to act for. Either kind of "
        "token can also be sent alone in the header `X-AUTH-TOKEN`.",
    },
    "dashboard": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The session of a signed-in person. Over HTTPS the name has the Host prefix of RFC 6265bis. "
        "Changes also need the `X-CSRFToken` header.",
    },
    "telnyx_signature": {
        "type": "apiKey",
        "in": "header",
        "name": "telnyx-signature-ed25519",
        "description": "Telnyx's Ed25519 signature, in Base64, of `{telnyx-timestamp}|{body}`.",
    },
    "telnyx_timestamp": {
        "type": "apiKey",
        "in": "header",
        "name": "telnyx-timestamp",
        "description": "Unix time of the signature, within 300 s of now.",
    },
}


def _text_header(description: str, *, is_required: bool = False, **rules: str) -> dict[str, Any]:
    header: dict[str, Any] = {"description": description, "schema": {"type": "string", **rules}}
    return {**header, "required": True} if is_required else header


_SECONDS = {"type": "integer", "minimum": 1}

# By name, except for `Challenge`: the WWW-Authenticate that only some responses of a status have.
HEADERS: dict[str, Any] = {
    "X-Request-Id": _text_header("The id of this request, also in the log.", is_required=True, format="uuid"),
    "Cache-Control": _text_header("Never cache it.", is_required=True, const="no-store"),
    "RateLimit-Policy": _text_header(
        "The tightest limit: `q` requests in `w` seconds. Left out if limits are off.",
        pattern=r'^"[a-z]+";q=\d+;w=\d+$',
    ),
    "RateLimit": _text_header(
        "`r` requests are left in it. It starts again in `t` seconds.", pattern=r'^"[a-z]+";r=\d+;t=\d+$'
    ),
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": _SECONDS},
    "WWW-Authenticate": _text_header("As RFC 6750 requires.", is_required=True, pattern="^Bearer "),
    "Challenge": _text_header("With `insufficient_scope`, as RFC 6750 requires.", pattern="^Bearer "),
    "Idempotent-Replayed": _text_header("A repeat of the first response to this Idempotency-Key.", const="true"),
    "Warning": _text_header("In development: a request from the same machine needed no credentials."),
    "Location": _text_header("Where to go.", is_required=True),
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body returns the first 2xx response for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}

USER_ID: dict[str, Any] = {
    "name": "X-User-Id",
    "in": "header",
    "required": False,
    "description": "For a person: the `user_id` to act for, required with several grants. A token needs none, and can "
    "only give its own. It is encoded in UTF-8.",
    "schema": {"type": "string", "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

REF = "#/components/schemas/{model}"
RESPONSE_REF = "#/components/responses/{name}"
WITH_TOKEN = (GuardKind.TOKEN, GuardKind.METRICS)
WITH_PERSON = (*WITH_TOKEN, GuardKind.PERSON)
# These need the database, which may be away.
WITH_DATABASE = (*WITH_PERSON, GuardKind.SIGNED_IN, GuardKind.SIGNATURE)


def documents_errors(*codes: str) -> Callable[[View], View]:
    """Declare the error codes of a view's own rules, for the document."""
    return partial(_declare, "error_codes", codes)


def idempotent(view: View) -> View:
    """Declare that a view accepts an Idempotency-Key."""
    return _declare("is_idempotent", True, view)


def needs_database(view: View) -> View:
    """Declare that a public view needs the database."""
    return _declare("needs_database", True, view)


def _declare(name: str, value: Any, view: View) -> View:
    setattr(view, name, value)
    return view


class ApiRoutes:
    """Views of the API. They are described when the document is first asked for, which takes a fifth of a second."""

    def __init__(self, name: str, tag: str, description: str, url_prefix: str | None = None) -> None:
        self.name = name
        self._tag = Tag(name=tag, description=description)
        self._url_prefix = url_prefix
        self._views: list[tuple[str, str, dict[str, Any], Callable[..., Any]]] = []

    def make_blueprint(self, *, is_described: bool) -> APIBlueprint:
        """The routes for `register_api`; with `is_described`, described for the document too."""
        blueprint = APIBlueprint(
            self.name, __name__, abp_tags=[self._tag], url_prefix=self._url_prefix, doc_ui=is_described
        )
        for method, rule, options, view in self._views:
            getattr(blueprint, method)(rule, **options)(view)
        return blueprint

    def get(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._add("get", rule, options)

    def post(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._add("post", rule, options)

    def put(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._add("put", rule, options)

    def patch(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._add("patch", rule, options)

    def delete(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._add("delete", rule, options)

    def _add(self, method: str, rule: str, options: dict[str, Any]) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            self._views.append((method, rule, options, view))
            return view

        return decorate


@dataclass(frozen=True, slots=True)
class Webhook:
    """What is sent to apps: when, in a sentence, and the model of its `data`."""

    meaning: str
    data: type[ResponseModel]


def write_document(
    app: Flask, apis: Iterable[ApiRoutes], public_url: str | None, webhooks: Mapping[str, Webhook]
) -> bytes:
    """The document of `apis`, which `app` serves at `public_url`, and of `webhooks`, by the type of their event, as
    JSON. Without `public_url` the server is where the document comes from.
    """
    servers = [Server(url=public_url or "/")]
    described = OpenAPI(__name__, info=INFO, servers=servers, security_schemes=SECURITY_SCHEMES, doc_ui=False)
    for api in apis:
        described.register_api(api.make_blueprint(is_described=True))
    return to_body(_build_document(app, described.api_doc, webhooks))


def _build_document(app: Flask, document: dict[str, Any], webhooks: Mapping[str, Webhook]) -> dict[str, Any]:
    """`document` from flask-openapi3, completed for every operation and without the library's additions."""
    paths = document["paths"]
    sent = {webhook.data.__name__ for webhook in webhooks.values()}
    document["components"]["schemas"] = _schemas({*document["components"]["schemas"], *sent})
    document["components"]["headers"] = HEADERS
    document["components"]["responses"] = dict(_refusals())
    for rule in app.url_map.iter_rules():
        for method, operation in paths.get(_path_of(rule), {}).items():
            if method.upper() in (rule.methods or set()):
                view = app.view_functions[rule.endpoint]
                _Operation(method, _path_of(rule), operation, view, document["components"]["schemas"]).complete()
    described = {type_: _describe_webhook(type_, webhook) for type_, webhook in webhooks.items()}
    return {**document, "paths": _clean(paths), "webhooks": described, "components": _clean(document["components"])}


def _describe_webhook(type_: str, webhook: Webhook) -> dict[str, Any]:
    """A request that the app gets: an event whose `data` has this model."""
    data = {"anyOf": [{"$ref": REF.format(model=webhook.data.__name__)}, {"type": "null"}]}
    own = {"type": {"const": type_}, "data": data}
    schema = {"allOf": [{"$ref": REF.format(model="EventResponse")}, {"type": "object", "properties": own}]}
    return {
        "post": {
            "operationId": f"receive_{type_.replace('.', '_')}",
            "summary": type_,
            "description": f"{webhook.meaning} Signed as Standard Webhooks describes: see docs/events.md.",
            "tags": ["Events"],
            "security": [],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"2XX": {"description": "Your app has it. Any other response is tried again."}},
        }
    }


def _refusals() -> Iterable[tuple[str, dict[str, Any]]]:
    """The response of each status of refusals, which all operations share, with an example of each of its codes."""
    more = {401: ["WWW-Authenticate"], 403: ["Challenge"], 429: ["Retry-After"], 503: ["Retry-After"]}
    always = ["X-Request-Id", "Cache-Control", "RateLimit-Policy", "RateLimit"]
    for status, refusal in REFUSALS.items():
        codes = [code for code, error in ERRORS.items() if error.status == status]
        as_json = {
            "schema": {"$ref": REF.format(model="Error")},
            "examples": {code: {"value": example_of(code)} for code in codes},
        }
        yield (
            refusal.name,
            {
                "description": refusal.sentence,
                "headers": _headers(*always, *more.get(status, ())),
                "content": {"application/json": as_json},
            },
        )


def _headers(*names: str) -> dict[str, Any]:
    written = {"Challenge": "WWW-Authenticate"}
    return {written.get(name, name): {"$ref": f"#/components/headers/{name}"} for name in names}


def _path_of(rule: Rule) -> str:
    return re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _schemas(names: Iterable[str]) -> dict[str, Any]:
    """The models of those names, and that of errors. The library's own rendering drops examples."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]]
    models = [(Error, "serialization")]
    models += [(model, "validation") for model in _below(ApiModel) if model.__name__ in names]
    for base in (ResponseModel, ResponseUnion):
        models += [(model, "serialization") for model in _below(base) if model.__name__ in names]
    _, definitions = models_json_schema(models, ref_template=REF)
    schemas: dict[str, Any] = definitions["$defs"]
    for model, _ in models:
        if issubclass(model, ApiModel):
            _describe_defaults(schemas[model.__name__])
    return schemas


def _describe_defaults(schema: dict[str, Any]) -> None:
    """Say in words what the defaults of a request are: many generators require a field that has a `default`."""
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default is not None:
            field["description"] = f"{field.get('description', '')} Default: `{json.dumps(default)}`.".strip()


def _below(model: type[BaseModel]) -> Iterable[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from _below(child)


class _Operation:
    """One operation of the document, being completed in place."""

    def __init__(
        self, method: str, path: str, described: dict[str, Any], view: Callable[..., Any], schemas: dict[str, Any]
    ) -> None:
        self._method = method
        self._path = path
        self._described = described
        self._view = view
        self._schemas = schemas
        guard = guard_of(view)
        if guard is None:
            raise RuntimeError(f"{view.__name__} declares no guard")
        self._guard: Guard = guard
        self._is_idempotent = getattr(view, "is_idempotent", False)

    def complete(self) -> None:
        described = self._described
        described["operationId"] = self._view.__name__
        described["responses"] = {
            status: response for status, response in described["responses"].items() if status.startswith(("2", "3"))
        }
        if self._has_json_body():
            described["requestBody"]["required"] = self._requires_body()
        if self._is_idempotent:
            described.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        if self._guard.scope in OWNED_SCOPES:
            described.setdefault("parameters", []).append(USER_ID)
        self._describe_access()
        for status, response in described["responses"].items():
            self._describe_success(status, response)
        codes_by_status: dict[int, list[str]] = {}
        for code in dict.fromkeys(self._codes()):
            codes_by_status.setdefault(ERRORS[code].status, []).append(code)
        for error_status, codes in sorted(codes_by_status.items()):
            described["responses"][str(error_status)] = self._refusal(error_status, codes)

    def _has_json_body(self) -> bool:
        return "requestBody" in self._described and self._guard.kind is not GuardKind.SIGNATURE

    def _requires_body(self) -> bool:
        """Whether a request requires a body: the body may be left out if all its fields may."""
        reference = self._described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = self._schemas[reference.rsplit("/", 1)[1]]
        return bool(schema.get("required") or schema.get("oneOf"))

    def _describe_access(self) -> None:
        guard, described = self._guard, self._described
        if guard.kind is GuardKind.SIGNATURE:
            described["security"] = [{"telnyx_signature": [], "telnyx_timestamp": []}]
        elif guard.kind is GuardKind.PERSON:
            described["security"] = [{"person": []}, *([{"dashboard": []}] if guard.takes_cookies else [])]
            needed = "For a person, whatever their role."
            described["description"] = f"{described.get('description', '')}\n\n{needed}".strip()
        elif guard.kind not in WITH_TOKEN:
            described["security"] = []
        else:
            scope = "admin" if guard.kind is GuardKind.METRICS else guard.scope and guard.scope.value
            described["security"] = [{"token": [scope] if scope else []}, {"person": [scope] if scope else []}]
            described["security"] += [{"dashboard": []}] if guard.takes_cookies else []
            described["security"] += [{}] if guard.kind is GuardKind.METRICS else []
            needed = f"Scope: `{scope}`." if scope else "For any token."
            needed += " A signed-in person needs no token." if guard.takes_cookies else ""
            described["description"] = f"{described.get('description', '')}\n\n{needed}".strip()

    def _codes(self) -> Iterable[str]:
        """The error codes of the operation: first for the request's form and sender, then of the view's own rules."""
        guard = self._guard
        takes_query = any(parameter["in"] == "query" for parameter in self._described.get("parameters", ()))
        names_owner = guard.scope in OWNED_SCOPES
        if self._has_json_body() or takes_query or self._is_idempotent or names_owner:
            yield "invalid_request"
        if guard.kind in WITH_PERSON:
            yield from ("missing_authorization", "invalid_token")
            if guard.scope is not None or guard.kind is GuardKind.METRICS:
                yield "insufficient_scope"
            if guard.kind is not GuardKind.METRICS:
                yield "person_required" if guard.kind is GuardKind.PERSON else "not_granted"
            yield "address_not_allowed"
        if guard.takes_cookies and self._method != "get":
            yield "csrf_failed"
        yield from getattr(self._view, "error_codes", ())
        if self._has_json_body():
            yield from ("too_large", "unsupported_media_type")
        if self._is_idempotent:
            yield "idempotency_key_reused"
        if guard.kind is not GuardKind.UNLIMITED:
            yield "rate_limited"
        if guard.kind in WITH_DATABASE or getattr(self._view, "needs_database", False):
            yield "not_ready"

    def _describe_success(self, status: str, response: dict[str, Any]) -> None:
        content = response.get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
        if name in self._schemas:
            response["description"] = self._schemas[name]["description"]
        more = ["Idempotent-Replayed"] if self._is_idempotent else []
        more += ["Warning"] if self._guard.trusted else []
        response["headers"] = self._headers(*more, *(["Location"] if status.startswith("3") else []))

    @staticmethod
    def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
        """The shared response of `status`, with the codes of this operation beside it, as OpenAPI 3.1 allows."""
        refusal = REFUSALS[status]
        named = ", ".join(f"`{code}`" for code in codes)
        return {"$ref": RESPONSE_REF.format(name=refusal.name), "description": f"{refusal.sentence} {named}"}

    def _headers(self, *more: str) -> dict[str, Any]:
        names = ["X-Request-Id"]
        if self._path.startswith(("/calls", "/api/")):
            names.append("Cache-Control")
        if self._guard.kind is not GuardKind.UNLIMITED:
            names += ["RateLimit-Policy", "RateLimit"]
        return _headers(*names, *more)


def _clean(part: Any) -> Any:
    """`part` of the document without pydantic's titles and null defaults, with whole numbers as integers."""
    if isinstance(part, dict):
        return {
            name: _clean(value)
            for name, value in part.items()
            if not (name == "title" and isinstance(value, str)) and not (name == "default" and value is None)
        }
    if isinstance(part, list):
        return [_clean(item) for item in part]
    return int(part) if isinstance(part, float) and part.is_integer() else part
