"""The clients know what the OpenAPI document says: every field, which may be null, every status, every event."""

from __future__ import annotations

import inspect
from dataclasses import fields
from datetime import datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from letstalk_client import ErrorDetail, events, models, requests
from tools.client_types import TARGET, read_document, render_types

MODELS: list[tuple[type, str]] = [
    (models.SentCode, "SendResponse"),
    (models.Approval, "VerifyResponse"),
    (models.CallStep, "CallEventResponse"),
    (models.CallStep, "SpokenCallEvent"),
    (models.Call, "CallResponse"),
    (models.VerificationSummary, "VerificationSummary"),
    (models.VerificationSummary, "VerificationOfEvent"),
    (models.Verification, "VerificationResponse"),
    (models.VerificationPage, "VerificationListResponse"),
    (models.AcceptedCode, "SpeakResponse"),
    (models.SpokenCall, "SpokenCallResponse"),
    (models.Language, "LanguageResponse"),
    (models.Languages, "LanguagesResponse"),
    (events.CallOfEvent, "CallOfEvent"),
    (events.ReportedOutcome, "ReportOfEvent"),
    (events.ReachedLimit, "LimitOfEvent"),
    (events.Token, "TokenResponse"),
    (events.FailingConnection, "ConnectionOfEvent"),
    (ErrorDetail, "ErrorDetail"),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_document()


def shape_of(kind: Any) -> tuple[str, bool]:
    """What kind of value it is, and whether it may be null."""
    if get_origin(kind) in (Union, UnionType):
        inner = [each for each in get_args(kind) if each is not type(None)]
        return shape_of(inner[0])[0], len(inner) < len(get_args(kind))
    if get_origin(kind) is tuple:
        return "array", False
    if get_origin(kind) is Literal or kind is str:
        return "string", False
    return {int: "integer", bool: "boolean", datetime: "date-time"}[kind], False


def described_shape(schema: dict[str, Any], document: dict[str, Any]) -> tuple[str, bool]:
    if "$ref" in schema:
        return described_shape(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    if "anyOf" in schema:
        inner = [each for each in schema["anyOf"] if each.get("type") != "null"]
        return described_shape(inner[0], document)[0], len(inner) < len(schema["anyOf"])
    return ("date-time" if schema.get("format") == "date-time" else schema["type"]), False


@pytest.mark.parametrize(("model", "name"), MODELS, ids=lambda each: getattr(each, "__name__", each))
def test_a_model_of_the_python_client_is_as_the_document_says(model: type, name: str, document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"][name]
    hints = get_type_hints(model)
    ours = {field.name: shape_of(hints[field.name]) for field in fields(model)}
    theirs = {key: described_shape(each, document) for key, each in schema["properties"].items()}
    assert ours == theirs
    assert sorted(schema["required"]) == sorted(ours)


def test_the_python_client_knows_each_status(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert list(get_args(models.CallStatus)) == schemas["CallStatus"]["enum"]
    assert list(get_args(models.VerificationStatus)) == schemas["VerificationStatus"]["enum"]
    assert set(events.EVENT_CLASSES) == set(document["webhooks"])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (requests.send, "SendRequest"),
        (requests.verify, "VerifyRequest"),
        (requests.replay, "ReplayRequest"),
        (requests.speak, "SpeakRequest"),
        (requests.report_outcome, "OutcomeRequest"),
    ],
)
def test_a_call_of_the_python_client_takes_every_field(call: Any, name: str, document: dict[str, Any]) -> None:
    takes = set(inspect.signature(call).parameters) - {"idempotency_key", "call_id"}
    assert takes == set(document["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize(
    ("call", "operation", "renamed"),
    [
        (requests.list_verifications, "list_verifications", {}),
        (requests.list_events, "list_events", {"since": "from", "before": "to"}),
    ],
)
def test_a_list_of_the_python_client_takes_every_filter(
    call: Any, operation: str, renamed: dict[str, str], document: dict[str, Any]
) -> None:
    [described] = [
        each for methods in document["paths"].values() for each in methods.values() if each["operationId"] == operation
    ]
    takes = {renamed.get(name, name) for name in inspect.signature(call).parameters}
    assert takes == {each["name"] for each in described["parameters"] if each["in"] == "query"}


def test_the_types_of_the_javascript_client_are_made_from_the_document(document: dict[str, Any]) -> None:
    assert TARGET.read_text(encoding="utf-8") == render_types(document), "run `python -m tools.client_types`"
