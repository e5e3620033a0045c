"""What the `data` of each type of event is, for the section `webhooks` of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from letstalk.calls.models import CallStatus
from letstalk.events.models import MEANINGS, AppEventType
from letstalk.http.openapi import Webhook
from letstalk.http.schemas import ResponseModel, Timestamp, Uuid, with_example
from letstalk.tokens.schemas import TokenResponse
from letstalk.verifications.schemas import EXAMPLE_CALL_ID, EXAMPLE_ID, EXAMPLE_SUMMARY, VerificationSummary

CREATED, ENDED = "2026-11-20T10:00:00.000Z", "2026-11-20T10:00:41.000Z"


class VerificationOfEvent(VerificationSummary):
    """A verification, as the API returns it but for its phone."""

    model_config = with_example({**EXAMPLE_SUMMARY, "phone": "+1202…42"})

    phone: str = Field(description="Masked unless the endpoint has `shows_phones`.")


class CallOfEvent(ResponseModel):
    """A call as it was when the event was recorded. One that is over is shown as it ended."""

    model_config = with_example(
        {
            "call_id": EXAMPLE_CALL_ID,
            "verification_id": EXAMPLE_ID,
            "phone": "+1202…42",
            "status": "completed",
            "reason": "The code was read.",
            "created_at": CREATED,
            "ended_at": ENDED,
            "reference": "order-4711",
        }
    )

    call_id: Uuid
    verification_id: Uuid | None = Field(description="Null for a call that spoke a code of yours.")
    phone: str = Field(description="Masked unless the endpoint has `shows_phones`.")
    status: CallStatus
    reason: str | None = Field(description="Why it ended, in a sentence.")
    created_at: Timestamp
    ended_at: Timestamp | None
    reference: str | None


class ReportOfEvent(ResponseModel):
    """What was reported of a code that the other side had made."""

    model_config = with_example(
        {"call_id": EXAMPLE_CALL_ID, "phone": "+1202…42", "approved": True, "reference": "login-4711"}
    )

    call_id: Uuid
    phone: str = Field(description="Masked.")
    approved: bool
    reference: str | None


class LimitOfEvent(ResponseModel):
    """A limit of calls that was reached."""

    model_config = with_example(
        {"user_id": "acme", "destination": "+23324234", "limit": "100 per hour", "until": "2026-11-20T11:00:00.000Z"}
    )

    user_id: str
    destination: str = Field(description="`all`, a country (ISO 3166), or the start of a block of numbers.")
    limit: str = Field(description="Such as `100 per hour`.")
    until: Timestamp


class ConnectionOfEvent(ResponseModel):
    """A connection whose requests are refused. It is told of again only after one was accepted."""

    model_config = with_example(
        {
            "connection_id": EXAMPLE_ID,
            "user_id": "acme",
            "kind": "supabase",
            "name": "Shop",
            "reason": "The webhook's signature is not that of a secret of this connection.",
        }
    )

    connection_id: Uuid
    user_id: str
    kind: str = Field(description="Such as `supabase`.")
    name: str | None
    reason: str = Field(description="Why the last one was refused.")


def describe_webhooks() -> dict[str, Webhook]:
    """By type of event."""
    return {type_.value: Webhook(meaning, data_of(type_)) for type_, meaning in MEANINGS.items()}


def data_of(type_: AppEventType) -> type[ResponseModel]:
    """The model of the `data` of that type."""
    if type_ is AppEventType.VERIFICATION_REPORTED:
        return ReportOfEvent
    if type_ is AppEventType.DESTINATION_LIMITED:
        return LimitOfEvent
    by_noun: dict[str, type[ResponseModel]] = {
        "verification": VerificationOfEvent,
        "call": CallOfEvent,
        "token": TokenResponse,
        "connection": ConnectionOfEvent,
    }
    return by_noun[type_.partition(".")[0]]


def example_of(type_: AppEventType) -> dict[str, Any]:
    """The example of the `data` of that type, as the document has it."""
    # Under flask-openapi3's own key, which the type of the configuration does not have.
    configuration: Mapping[str, Any] = {**data_of(type_).model_config}
    example: dict[str, Any] = configuration["openapi_extra"]["example"]
    return example
