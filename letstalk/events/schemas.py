"""The requests and responses of `/api/events` and `/api/webhook-endpoints`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.db.rotating_secrets import DEFAULT_GRACE_SECONDS, MAX_GRACE_SECONDS
from letstalk.events.endpoint_models import MAX_DESCRIPTION_CHARACTERS, MAX_URL_CHARACTERS, Attempt, Delivery, Endpoint
from letstalk.events.models import AppEventType, EventFilter
from letstalk.http.schemas import (
    WHOLE,
    ApiModel,
    Moment,
    PageQuery,
    PlainText,
    Query,
    ResponseModel,
    Timestamp,
    Uuid,
    with_example,
)

EVENT_ID = "0199a1f4-3c55-7a1e-9f0c-5a2f4d6b8e77"
ENDPOINT_ID = "0199a1f4-51a4-7a51-9d54-0c8f3b1f7a78"
DELIVERY_ID = "0199a1f4-61a4-7a51-9d54-0c8f3b1f7a79"
CREATED = "2026-11-20T10:00:41.000Z"


def _read_type(value: object) -> object:
    return AppEventType(value) if isinstance(value, str) and value in set(AppEventType) else value


TypeName = Annotated[AppEventType, BeforeValidator(_read_type)]
Url = Annotated[PlainText, Field(min_length=1, max_length=MAX_URL_CHARACTERS)]
Description = Annotated[PlainText, Field(min_length=1, max_length=MAX_DESCRIPTION_CHARACTERS, pattern=r"\S")]
Types = Annotated[list[TypeName], Field(min_length=1, max_length=len(AppEventType))]
_TYPES_SENTENCE = "The types to send. Null, or left out, is all types, also those of later versions."


class EventQuery(PageQuery):
    type: TypeName | SkipJsonSchema[None] = Field(None, description="Only events of this type.")
    from_: Moment | SkipJsonSchema[None] = Field(None, alias="from", description="Only events from this time on.")
    to: Moment | SkipJsonSchema[None] = Field(None, description="Only events before this time.")
    verification_id: UUID | SkipJsonSchema[None] = Field(
        None, description="Only events of this verification and its calls."
    )

    def as_filter(self) -> EventFilter:
        return EventFilter(
            types=None if self.type is None else (self.type,),
            since=self.from_,
            before=self.to,
            subject_id=None if self.verification_id is None else str(self.verification_id),
        )


class EventPath(Query):
    event_id: UUID = Field(description="The event's id.")


class EndpointPath(Query):
    endpoint_id: UUID = Field(description="The endpoint's id.")


class DeliveryPath(EndpointPath):
    delivery_id: UUID = Field(description="The delivery's id.")


class DeliveryQuery(PageQuery):
    status: Literal["delivered", "pending", "failed"] | SkipJsonSchema[None] = Field(
        None, description="Only deliveries with this status."
    )


class EndpointRequest(ApiModel):
    """A new endpoint."""

    model_config = with_example(
        {"url": "https://app.example.com/hooks/calls", "types": ["verification.approved", "call.ended"]}
    )

    url: Url = Field(description="Where events are sent: https, and an address of the public internet.")
    description: Description | None = Field(None, description="A name by which people recognise it.")
    types: Types | None = Field(None, description=_TYPES_SENTENCE)
    shows_phones: bool = Field(False, description="Whether phones are sent whole, and not as `+1202…42`.")


class EndpointPatch(ApiModel):
    """The fields to change."""

    model_config = with_example({"types": ["verification.approved"]})

    url: Url = ""
    description: Description | None = None
    types: Types | None = Field(None, description=_TYPES_SENTENCE)
    shows_phones: bool = False


class SecretRotationRequest(ApiModel):
    """How long the old secret also signs. The field is optional, and so is the body."""

    model_config = with_example({"grace_seconds": 3600})

    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE_SECONDS), WHOLE] = DEFAULT_GRACE_SECONDS


class ExampleRequest(ApiModel):
    """Which type of event to send an example of."""

    model_config = with_example({"type": "verification.approved"})

    type: TypeName = AppEventType.VERIFICATION_APPROVED


class EventReplayRequest(ApiModel):
    """From when on to send everything."""

    model_config = with_example({"since": CREATED})

    since: Moment


_EVENT: dict[str, Any] = {
    "event_id": EVENT_ID,
    "type": "call.ended",
    "timestamp": CREATED,
    "user_id": "acme",
    "sequence": 6,
    "data": {"call_id": "0199a1f4-0000-7000-8000-000000000000", "status": "completed"},
}
_ENDPOINT: dict[str, Any] = {
    "endpoint_id": ENDPOINT_ID,
    "user_id": "acme",
    "url": "https://app.example.com/hooks/calls",
    "description": None,
    "types": ["verification.approved", "call.ended"],
    "shows_phones": False,
    "status": "enabled",
    "created_at": CREATED,
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
    "old_secret_until": None,
}
_DELIVERY: dict[str, Any] = {
    "delivery_id": DELIVERY_ID,
    "event_id": EVENT_ID,
    "type": "call.ended",
    "status": "delivered",
    "created_at": CREATED,
    "attempts": 1,
    "next_attempt_at": None,
    "delivered_at": CREATED,
}


class EventResponse(ResponseModel):
    """Something that happened, as a webhook carries it too."""

    model_config = with_example(_EVENT)

    event_id: Uuid
    type: TypeName
    timestamp: Timestamp
    user_id: str
    sequence: int | None = Field(description="It grows with each event of the same verification or token.")
    data: dict[str, Any] | None = Field(
        description="What it is about, as the API returns it. Null where that was deleted since."
    )


class EventList(ResponseModel):
    """A page of events, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"events": [_EVENT], "next_cursor": None})

    events: list[EventResponse]
    next_cursor: str | None


class EndpointResponse(ResponseModel):
    """An endpoint, without its secret."""

    model_config = with_example(_ENDPOINT)

    endpoint_id: Uuid
    user_id: str
    url: str
    description: str | None
    types: list[TypeName] | None
    shows_phones: bool
    status: Literal["enabled", "failing", "disabled"]
    created_at: Timestamp
    failing_since: Timestamp | None
    disabled_at: Timestamp | None
    disabled_reason: str | None
    old_secret_until: Timestamp | None = Field(description="Until then the replaced secret also signs.")


class IssuedEndpointResponse(EndpointResponse):
    """The endpoint with its secret. This is the only response with `secret`, so store it now."""

    model_config = with_example({**_ENDPOINT, "secret": "whsec_…"})

    secret: str


class EndpointList(ResponseModel):
    """A page of endpoints, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"endpoints": [_ENDPOINT], "next_cursor": None})

    endpoints: list[EndpointResponse]
    next_cursor: str | None


class DeletedEndpointResponse(ResponseModel):
    """It is deleted."""

    model_config = with_example({"message": "Endpoint deleted."})

    message: str


class DeliverySummary(ResponseModel):
    """One event for one endpoint."""

    model_config = with_example(_DELIVERY)

    delivery_id: Uuid
    event_id: Uuid
    type: str
    status: Literal["delivered", "pending", "failed"]
    created_at: Timestamp
    attempts: int
    next_attempt_at: Timestamp | None
    delivered_at: Timestamp | None


class AttemptResponse(ResponseModel):
    """One try, and what the endpoint answered."""

    started_at: Timestamp
    duration_ms: int
    response_status: int | None
    response_body: str | None = Field(description="Its first 4 kB.")
    error: str | None = Field(description="Why there was no response.")
    is_manual: bool = Field(description="Whether somebody asked for it.")


class DeliveryResponse(DeliverySummary):
    """One event for one endpoint, with every try."""

    model_config = with_example({**_DELIVERY, "body": "{…}", "tries": []})

    body: str = Field(description="What is sent, byte for byte.")
    tries: list[AttemptResponse] = Field(description="Oldest first.")


class DeliveryList(ResponseModel):
    """A page of deliveries, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"deliveries": [_DELIVERY], "next_cursor": None})

    deliveries: list[DeliverySummary]
    next_cursor: str | None


class EventReplayResponse(ResponseModel):
    """How many events will be sent."""

    model_config = with_example({"events": 42})

    events: int


def render_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """The content of an `EndpointResponse`."""
    return {
        "endpoint_id": endpoint.endpoint_id,
        "user_id": endpoint.owner_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "types": None if endpoint.types is None else [type_.value for type_ in endpoint.types],
        "shows_phones": endpoint.shows_phones,
        "status": endpoint.status,
        "created_at": iso_utc(endpoint.created_at),
        "failing_since": iso_utc_or_none(endpoint.failing_since),
        "disabled_at": iso_utc_or_none(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "old_secret_until": iso_utc_or_none(endpoint.old_secret_until),
    }


def render_delivery(delivery: Delivery) -> dict[str, Any]:
    """The content of a `DeliverySummary`."""
    return {
        "delivery_id": delivery.delivery_id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "status": delivery.status,
        "created_at": iso_utc(delivery.created_at),
        "attempts": delivery.attempts,
        "next_attempt_at": iso_utc_or_none(delivery.next_attempt_at),
        "delivered_at": iso_utc_or_none(delivery.delivered_at),
    }


def render_attempt(attempt: Attempt) -> dict[str, Any]:
    """The content of an `AttemptResponse`."""
    return {
        "started_at": iso_utc(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "response_status": attempt.response_status,
        "response_body": attempt.response_body,
        "error": attempt.error,
        "is_manual": attempt.is_manual,
    }
