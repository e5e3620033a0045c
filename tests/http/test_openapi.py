"""The description is valid OpenAPI 3.1, says everything that the contract says, and nothing of the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from flask import Flask
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from letstalk.core import errors
from letstalk.core.errors import LetsTalkError
from letstalk.http.errors import HTTP_ERRORS, status_of
from letstalk.http.schemas import ERRORS, REFUSALS
from tests.support import described_accounts as people
from tests.support import described_connections as connections
from tests.support import described_events as events
from tests.support.apps import make_app
from tests.support.described import codes_of

OPERATIONS = {
    "POST /calls/otp": "send_otp",
    "POST /calls/verify": "verify_code",
    "POST /calls/replay": "replay_otp",
    "GET /calls": "list_verifications",
    "GET /calls/{verification_id}": "get_verification",
    "POST /calls/{verification_id}/cancel": "cancel_verification",
    "POST /api/tokens": "create_token",
    "GET /api/tokens": "list_tokens",
    "GET /api/stats": "get_statistics",
    "GET /api/stats/realtime": "get_realtime_statistics",
    "GET /api/tokens/{token_id}/usage": "get_token_usage",
    "GET /api/tokens/current": "get_current_token",
    "GET /api/tokens/{token_id}": "get_token",
    "PATCH /api/tokens/{token_id}": "update_token",
    "POST /api/tokens/{token_id}/rotate": "rotate_token",
    "DELETE /api/tokens/{token_id}": "revoke_token",
    "GET /api/audit": "list_audit",
    "POST /api/webhooks/telnyx": "receive_telnyx_event",
    "GET /simulator/calls/{call_id}": "get_simulated_call",  # in development
    "GET /api/languages": "list_languages",
    "GET /health": "get_health",
    "GET /health/ready": "get_readiness",
    "GET /api/sip/status": "get_trunk_status",
    "GET /metrics": "get_metrics",
    "GET /openapi.json": "get_description",
    "POST /calls/speak": "speak_code",
    "POST /calls/{call_id}/outcome": "report_outcome",
    "POST /api/test-numbers": "create_test_number",
    "GET /api/test-numbers": "list_test_numbers",
    "GET /api/test-numbers/{number_id}": "get_test_number",
    "PATCH /api/test-numbers/{number_id}": "update_test_number",
    "DELETE /api/test-numbers/{number_id}": "delete_test_number",
    **people.OPERATIONS,
    **events.OPERATIONS,
    **connections.OPERATIONS,
}
OVER = {
    "code_expired",
    "code_used",
    "attempts_exceeded",
    "verification_canceled",
    "verification_superseded",
    "verification_failed",
}
WITH_METRICS = {"missing_authorization", "invalid_token", "insufficient_scope", "address_not_allowed", "rate_limited"}
WITH_METRICS |= {"not_ready"}  # the database is needed to know the token
WITH_TOKEN = WITH_METRICS | {"not_granted"}
WITH_BODY = {"invalid_request", "too_large", "unsupported_media_type"}
CODES = {
    "send_otp": WITH_TOKEN
    | WITH_BODY
    | {"invalid_phone", "destination_blocked", "idempotency_key_reused", "resend_too_soon", "phone_limit"}
    | {"message_not_allowed", "destination_limit", "too_many_sessions", "too_many_failures", "queue_full"},
    "verify_code": WITH_TOKEN
    | WITH_BODY
    | OVER
    | {"invalid_phone", "invalid_code", "no_pending_verification", "too_many_failures"},
    "replay_otp": WITH_TOKEN
    | WITH_BODY
    | OVER
    | {"invalid_phone", "no_pending_verification", "replays_exhausted", "idempotency_key_reused", "replay_too_soon"}
    | {"phone_limit", "destination_limit", "too_many_failures", "queue_full"},
    "list_verifications": WITH_TOKEN | {"invalid_request", "invalid_phone"},
    "get_verification": WITH_TOKEN | {"invalid_request", "not_found"},
    "cancel_verification": WITH_TOKEN | {"invalid_request", "not_found", "not_pending"},
    "create_token": WITH_TOKEN | WITH_BODY | {"csrf_failed"},
    "list_tokens": WITH_TOKEN | {"invalid_request"},
    "get_realtime_statistics": WITH_TOKEN | {"invalid_request"},
    "get_statistics": WITH_TOKEN | {"invalid_request"},
    "get_token_usage": WITH_TOKEN | {"invalid_request", "not_found"},
    "get_current_token": WITH_TOKEN - {"insufficient_scope"} | {"not_found"},
    "get_token": WITH_TOKEN | {"not_found"},
    "update_token": WITH_TOKEN | WITH_BODY | {"csrf_failed", "not_found", "token_inactive", "already_rotated"},
    "rotate_token": WITH_TOKEN | WITH_BODY | {"csrf_failed", "not_found", "token_inactive", "already_rotated"},
    "revoke_token": WITH_TOKEN | {"invalid_request", "csrf_failed", "not_found"},
    "list_audit": WITH_TOKEN | {"invalid_request"},
    "speak_code": WITH_TOKEN
    | WITH_BODY
    | {"invalid_phone", "destination_blocked", "idempotency_key_reused", "resend_too_soon", "phone_limit"}
    | {"destination_limit", "queue_full"},
    "report_outcome": WITH_TOKEN | WITH_BODY | {"not_found", "already_approved"},
    "create_test_number": WITH_TOKEN
    | WITH_BODY
    | {"invalid_phone", "not_granted", "already_test_number", "too_many_test_numbers"},
    "list_test_numbers": WITH_TOKEN | {"invalid_request"},
    "get_test_number": WITH_TOKEN | {"not_found"},
    "update_test_number": WITH_TOKEN | WITH_BODY | {"not_found"},
    "delete_test_number": WITH_TOKEN | {"not_found"},
    "receive_telnyx_event": {"invalid_request", "invalid_signature", "too_large", "rate_limited", "not_ready"},
    "get_simulated_call": {"address_not_allowed", "not_found", "rate_limited", "not_ready"},
    "list_languages": {"rate_limited"},
    "get_health": {"invalid_request"},
    "get_readiness": {"not_ready"},
    "get_trunk_status": WITH_TOKEN,
    "get_metrics": WITH_METRICS,
    **people.CODES,
    **events.CODES,
    **connections.CODES,
    "get_description": {"rate_limited"},
}
SCOPES = {
    "send_otp": "otp:send",
    "verify_code": "otp:verify",
    "replay_otp": "otp:replay",
    "list_verifications": "calls:read",
    "get_verification": "calls:read",
    "cancel_verification": "calls:cancel",
    "create_token": "tokens:write",
    "list_tokens": "tokens:read",
    "get_realtime_statistics": "calls:read",
    "get_statistics": "calls:read",
    "get_token_usage": "tokens:read",
    "get_current_token": None,
    "get_token": "tokens:read",
    "update_token": "tokens:write",
    "rotate_token": "tokens:write",
    "revoke_token": "tokens:write",
    "get_trunk_status": "admin",
    "list_audit": "tokens:read",
    **{f"{what}_test_number": "test_numbers:write" for what in ("create", "get", "update", "delete")},
    "list_test_numbers": "test_numbers:write",
    "speak_code": "otp:speak",
    "report_outcome": "otp:speak",
    "get_metrics": "admin",
    **people.SCOPES,
    **events.SCOPES,
    **connections.SCOPES,
}


class Operation(NamedTuple):
    name: str
    path: str
    described: dict[str, Any]

    def codes(self) -> set[str]:
        """The codes of all its refusals."""
        return {code for status in self.described["responses"] for code in codes_of(self.described, status)}

    def successes(self) -> dict[str, dict[str, Any]]:
        """The responses that are no refusals, by status."""
        return {status: it for status, it in self.described["responses"].items() if status.startswith(("2", "3"))}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    answer = app.test_client().get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(described["operationId"], path, described)
        for path, methods in document["paths"].items()
        for described in methods.values()
    ]


def parts_of(part: Any, *trail: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield trail, part
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in inner:
        yield from parts_of(value, *trail, str(name))


def validator_of(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


def test_clients_get_one_class_for_all_errors(document: dict[str, Any], operations: list[Operation]) -> None:
    """A schema that is written out in a response becomes a class of its own in a generated client."""
    shared = document["components"]["responses"]
    for response in shared.values():
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    used = set()
    for operation in operations:
        for status, response in operation.described["responses"].items():
            if status.startswith(("4", "5")):
                assert set(response) == {"$ref", "description"}, operation.name
                used.add((status, response["$ref"].removeprefix("#/components/responses/")))
    assert len(used) == len({status for status, _ in used}) == len(shared) >= 10
    schema = document["components"]["schemas"]["Error"]
    assert schema["required"] == ["error", "code", "request_id"]
    assert "null" not in str(schema["properties"])


def test_no_page_is_an_operation(operations: list[Operation]) -> None:
    kinds = {kind for each in operations for it in each.successes().values() for kind in it.get("content", ())}
    assert kinds == {"application/json", "text/plain"}


def test_no_field_of_a_request_has_a_default_that_would_make_clients_require_it(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    requests = {name: schema for name, schema in schemas.items() if name.endswith(("Request", "Patch"))}
    assert requests
    assert not [path for path, part in parts_of(requests) if isinstance(part, dict) and "default" in part]
    assert schemas["SendRequest"]["properties"]["code_length"]["description"].endswith("Default: `6`.")
    assert schemas["SendRequest"]["required"] == ["phone"]


def test_it_says_where_the_service_is(tmp_path: Path, document: dict[str, Any]) -> None:
    assert document["servers"] == [{"url": "/"}]
    app = make_app(tmp_path, PUBLIC_URL="https://calls.example.com")
    assert app.test_client().get("/openapi.json").get_json()["servers"] == [{"url": "https://calls.example.com"}]


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_schema_in_it_is_a_json_schema(document: dict[str, Any]) -> None:
    schemas = list(document["components"]["schemas"].values())
    schemas += [part["schema"] for _, part in parts_of(document) if isinstance(part, dict) and "schema" in part]
    assert len(schemas) > 100
    for schema in schemas:
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_reference_leads_somewhere_and_every_component_is_used(document: dict[str, Any]) -> None:
    references = {part for trail, part in parts_of(document) if trail and trail[-1] == "$ref"}
    components = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers", "responses")
        for name in document["components"][kind]
    }
    assert references == components


def test_it_describes_what_the_contract_lists_and_nothing_else(document: dict[str, Any]) -> None:
    found = {
        f"{method.upper()} {path}": described["operationId"]
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }
    assert found == OPERATIONS


def test_operation_ids_are_unique(operations: list[Operation]) -> None:
    names = [operation.name for operation in operations]
    assert sorted(set(names)) == sorted(names)


def test_each_operation_lists_every_code_that_it_can_refuse_with(operations: list[Operation]) -> None:
    assert {operation.name: operation.codes() for operation in operations} == CODES


def test_each_code_stands_under_its_status_with_an_example(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    for status, refusal in REFUSALS.items():
        examples = shared[refusal.name]["content"]["application/json"]["examples"]
        assert {code: example["value"]["code"] for code, example in examples.items()} == {
            code: code for code, error in ERRORS.items() if error.status == status
        }


def test_every_described_refusal_can_happen_somewhere(operations: list[Operation]) -> None:
    everywhere = {"method_not_allowed", "internal_error"}
    assert set(ERRORS) - everywhere == set().union(*(operation.codes() for operation in operations))


def test_the_described_statuses_are_those_of_the_errors() -> None:
    def branches(kind: type[LetsTalkError]) -> Iterator[type[LetsTalkError]]:
        for child in kind.__subclasses__():
            yield child
            yield from branches(child)

    abstract = {"internal_error", "forbidden", "conflict", "gone"}
    fixed: list[LetsTalkError] = [errors.MissingAuthorization(), errors.InvalidToken(), errors.InvalidCredentials()]
    fixed += [
        errors.SecondFactorRequired("challenge", "+2567…56"),
        errors.PhoneRequired("challenge", None),
        errors.InvalidLink(),
    ]
    fixed += [errors.SingleSignOnFailed(), errors.SingleSignOnCanceled(), errors.SingleSignOnRefused()]
    fixed += [errors.WrongPassword()]
    kinds = [branch for branch in branches(LetsTalkError) if branch not in {type(error) for error in fixed}]
    seen = set()
    for error in [*fixed, *(kind("A sentence.") for kind in kinds)]:
        if error.code not in abstract:
            seen.add(error.code)
            assert ERRORS[error.code].status == status_of(error)
    assert {"invalid_request", "invalid_token", "not_ready", "rate_limited"} <= seen
    assert {code: status for status, (code, _) in HTTP_ERRORS.items()}.items() <= {
        code: example.status for code, example in ERRORS.items()
    }.items()


def test_every_answer_and_every_body_has_an_example_that_fits(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    checked = 0
    for operation in operations:
        described = operation.described
        for holder in [described.get("requestBody", {}), *operation.successes().values()]:
            content = holder.get("content", {}).get("application/json")
            if content is None or operation.name == "get_description":
                continue
            values = [example["value"] for example in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            assert values, operation.name
            for value in values:
                validator_of(document, content["schema"]).validate(value)
                checked += 1
    for response in document["components"]["responses"].values():
        for example in response["content"]["application/json"]["examples"].values():
            validator_of(document, {"$ref": "#/components/schemas/Error"}).validate(example["value"])
            checked += 1
    assert checked > 100


def test_every_answer_names_its_headers(document: dict[str, Any], operations: list[Operation]) -> None:
    for operation in operations:
        for status, response in operation.successes().items():
            headers = set(response["headers"])
            assert "X-Request-Id" in headers
            assert ("Cache-Control" in headers) == operation.path.startswith(("/calls", "/api/"))
            assert ("Location" in headers) == status.startswith("3")
            assert ("RateLimit" in headers) == (operation.name not in ("get_health", "get_readiness"))
            assert {"Retry-After", "WWW-Authenticate"} & headers == set()
    for refused, refusal in REFUSALS.items():
        headers = set(document["components"]["responses"][refusal.name]["headers"])
        assert {"X-Request-Id", "Cache-Control", "RateLimit"} <= headers
        assert ("Retry-After" in headers) == (refused in (429, 503))
        assert ("WWW-Authenticate" in headers) == (refused in (401, 403))


def test_each_operation_says_who_may_call_it(document: dict[str, Any], operations: list[Operation]) -> None:
    schemes = document["components"]["securitySchemes"]
    found = {}
    by_cookie = people.BY_COOKIE | {"get_trunk_status", "list_audit"}
    for operation in operations:
        security = operation.described["security"]
        assert {name for way in security for name in way} <= set(schemes)
        for way in security:
            if "token" in way:
                found[operation.name] = way["token"][0] if way["token"] else None
        is_managing = operation.path.startswith("/api/tokens") and operation.name != "get_current_token"
        assert ({"dashboard": []} in security) == (is_managing or operation.name in by_cookie), operation.name
    assert found == SCOPES
    assert schemes["token"] == {**schemes["token"], "type": "http", "scheme": "bearer"}


def test_an_idempotency_key_is_taken_where_a_call_is_made_and_nowhere_else(operations: list[Operation]) -> None:
    def names(operation: Operation) -> set[str]:
        return {parameter["name"] for parameter in operation.described.get("parameters", ())}

    assert {operation.name for operation in operations if "Idempotency-Key" in names(operation)} == {
        "send_otp",
        "replay_otp",
        "speak_code",
    }
    for operation in operations:
        replayed = "Idempotent-Replayed" in operation.described["responses"].get("202", {}).get("headers", {})
        assert replayed == (operation.name in ("send_otp", "replay_otp", "speak_code"))


def test_a_body_may_be_left_out_where_everything_in_it_may(operations: list[Operation]) -> None:
    required = {
        operation.name: operation.described["requestBody"]["required"]
        for operation in operations
        if "requestBody" in operation.described
    }
    assert required == {
        "send_otp": True,
        "verify_code": True,
        "replay_otp": True,
        "create_token": False,
        "update_token": False,
        "rotate_token": False,
        "create_test_number": True,
        "speak_code": True,
        "report_outcome": True,
        "update_test_number": False,
        "receive_telnyx_event": True,
        **events.BODY_REQUIRED,
        **connections.BODY_REQUIRED,
        **people.BODY_REQUIRED,
    }


def test_everything_has_words(document: dict[str, Any], operations: list[Operation]) -> None:
    tags = {tag["name"]: tag.get("description") for tag in document["tags"]}
    assert all(tags.values())
    for operation in operations:
        assert operation.described["summary"]
        assert operation.described["description"]
        assert set(operation.described["tags"]) <= set(tags)
        for status, response in operation.described["responses"].items():
            assert len(response["description"]) > 5, (operation.name, status)
    for name, schema in document["components"]["schemas"].items():
        assert "enum" in schema or schema["description"], name


def test_nothing_of_the_library_is_left_in_it(document: dict[str, Any]) -> None:
    for trail, part in parts_of({"paths": document["paths"], "components": document["components"]}):
        assert trail[-1:] != ("title",) or isinstance(part, dict)
        assert trail[-1:] != ("default",) or part is not None
        assert trail[-1:] not in (("ge",), ("le",), ("min_length",), ("max_length",), ("strict",))
        assert not isinstance(part, float)
        if isinstance(part, str):
            assert not re.search(r"ValidationError|openapi3|<br|__", part), trail


def test_answers_admit_no_field_that_is_not_described(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("additionalProperties") is False or "enum" in schema or "anyOf" in schema, name


def test_a_fixed_error_text_is_the_contract_s(document: dict[str, Any]) -> None:
    assert document["paths"]["/calls"]["get"]["responses"]["401"]["$ref"] == "#/components/responses/Unauthorized"
    examples = document["components"]["responses"]["Unauthorized"]["content"]["application/json"]["examples"]
    assert examples["missing_authorization"]["value"]["error"] == "Missing or invalid authorization header"
    assert examples["invalid_token"]["value"]["error"] == "Invalid or revoked token"


def test_no_secret_stands_in_it(document: dict[str, Any]) -> None:
    strings = [part for _, part in parts_of(document) if isinstance(part, str)]
    assert not any(re.search(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}", text) for text in strings)
