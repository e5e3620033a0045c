"""The requests and responses of `/api/connections`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from letstalk.connect.kinds import KINDS
from letstalk.connect.models import (
    DEFAULT_RATE_LIMIT,
    MAX_LOCALE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_POINTER_CHARACTERS,
    MAX_SECRET_CHARACTERS,
    MIN_SECRET_CHARACTERS,
    DeliveryWithCall,
    Outcome,
    Pointers,
    SystemConnection,
)
from letstalk.connect.receiving import HookAnswer
from letstalk.connect.service import ConnectionChanges, IssuedConnection, NewConnection
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.core.rates import MAX_TEXT_LENGTH
from letstalk.core.unset import UNSET
from letstalk.db.rotating_secrets import DEFAULT_GRACE_SECONDS, MAX_GRACE_SECONDS
from letstalk.http.schemas import (
    NO_CONTROL_CHARACTERS,
    WHOLE,
    ApiModel,
    PlainText,
    Query,
    ResponseModel,
    Timestamp,
    Uuid,
    with_example,
)
from letstalk.telephony.phone_numbers import MAX_PHONE_CHARACTERS

CONNECTION_ID = "0199a1f4-51a4-7a51-9d54-0c8f3b1f7a80"
DELIVERY_ID = "0199a1f4-61a4-7a51-9d54-0c8f3b1f7a81"
CALL_ID = "0199a1f4-71a4-7a51-9d54-0c8f3b1f7a82"
CREATED = "2026-11-20T10:00:41.000Z"
TYPES = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.message_types))

KindName = Annotated[PlainText, Field(max_length=20, json_schema_extra={"enum": list(KINDS)})]
TypeName = Annotated[PlainText, Field(max_length=20, json_schema_extra={"enum": list(TYPES)})]
Name = Annotated[PlainText, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"\S")]
Secret = Annotated[PlainText, Field(min_length=MIN_SECRET_CHARACTERS, max_length=MAX_SECRET_CHARACTERS)]
Region = Annotated[PlainText, Field(min_length=2, max_length=2)]
Locale = Annotated[PlainText, Field(min_length=1, max_length=MAX_LOCALE_CHARACTERS)]
RateLimit = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
Types = Annotated[list[TypeName], Field(min_length=1, max_length=len(TYPES))]
Pointer = Annotated[PlainText, Field(min_length=1, max_length=MAX_POINTER_CHARACTERS)]

_SECRET = (
    "The secret that the other system has made. Left out, one is made, unless that system makes it (ZITADEL, Authgear)."
)
_REGION = "ISO 3166. Phones without + are read in its national form. Null: their digits are an international number."
_LOCALE = "The language of calls whose request names none that is spoken. Null: that of the phone's country."
_RATE = (
    f"How many calls it may place, beside the limits of its owner: of a day at most. Default: `{DEFAULT_RATE_LIMIT}`."
)
_TYPES = "For `fusionauth`: the types of message that a call is placed for. Default: `Voice` alone."


class ConnectionPath(Query):
    connection_id: UUID = Field(description="The connection's id.")


class PointersModel(ApiModel):
    """For `generic`: where a request has what we need, as JSON pointers (RFC 6901)."""

    phone: Pointer = "/phone"
    code: Pointer = "/code"
    locale: Pointer | None = "/locale"

    def to_pointers(self) -> Pointers:
        return Pointers(self.phone, self.code, self.locale)


class ConnectionRequest(ApiModel):
    """A new connection."""

    model_config = with_example({"kind": "supabase", "name": "Shop", "locale": "en-US"})

    kind: KindName
    name: Name | None = Field(None, description="By which people recognise it.")
    secret: Secret | None = Field(None, description=_SECRET)
    default_region: Region | None = Field(None, description=_REGION)
    locale: Locale | None = Field(None, description=_LOCALE)
    rate_limit: RateLimit | None = Field(None, description=_RATE)
    message_types: Types | None = Field(None, description=_TYPES)
    pointers: PointersModel | None = None

    def to_new_connection(self) -> NewConnection:
        return NewConnection(
            kind=self.kind,
            name=self.name,
            secret=self.secret,
            default_region=self.default_region,
            locale=self.locale,
            rate_limit=self.rate_limit,
            message_types=None if self.message_types is None else tuple(self.message_types),
            pointers=None if self.pointers is None else self.pointers.to_pointers(),
        )


class ConnectionPatch(ApiModel):
    """The fields to change. Null clears one, or brings its default back."""

    model_config = with_example({"rate_limit": "10 per minute; 200 per day"})

    name: Name | None = None
    default_region: Region | None = Field(None, description=_REGION)
    locale: Locale | None = Field(None, description=_LOCALE)
    rate_limit: RateLimit | None = Field(None, description=_RATE)
    message_types: Types | None = Field(None, description=_TYPES)
    pointers: PointersModel | None = None

    def to_changes(self) -> ConnectionChanges:
        given = self.model_fields_set
        types = None if self.message_types is None else tuple(self.message_types)
        pointers = None if self.pointers is None else self.pointers.to_pointers()
        return ConnectionChanges(
            name=self.name if "name" in given else UNSET,
            default_region=self.default_region if "default_region" in given else UNSET,
            locale=self.locale if "locale" in given else UNSET,
            rate_limit=self.rate_limit if "rate_limit" in given else UNSET,
            message_types=types if "message_types" in given else UNSET,
            pointers=pointers if "pointers" in given else UNSET,
        )


class ConnectionSecretRequest(ApiModel):
    """How long the old secret counts too, and the new one where the other system has made it."""

    model_config = with_example({"grace_seconds": 3600})

    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE_SECONDS), WHOLE] = DEFAULT_GRACE_SECONDS
    secret: Secret | None = Field(None, description=_SECRET)


class ConnectionTestRequest(ApiModel):
    """The phone to call."""

    model_config = with_example({"phone": "+1 202 555 0142"})

    phone: Annotated[str, Field(pattern=NO_CONTROL_CHARACTERS, min_length=1, max_length=MAX_PHONE_CHARACTERS)]


_CONNECTION: dict[str, Any] = {
    "connection_id": CONNECTION_ID,
    "user_id": "acme",
    "kind": "supabase",
    "name": "Shop",
    "url": "https://calls.example.com/connect/supabase/ltc_…",
    "status": "active",
    "default_region": None,
    "locale": "en-US",
    "rate_limit": DEFAULT_RATE_LIMIT,
    "message_types": None,
    "pointers": None,
    "created_at": CREATED,
    "failing_since": None,
    "old_secret_until": None,
}
_DELIVERY: dict[str, Any] = {
    "delivery_id": DELIVERY_ID,
    "received_at": CREATED,
    "outcome": "called",
    "code": None,
    "reason": None,
    "phone": "+1202…42",
    "call_id": CALL_ID,
    "call_status": "completed",
    "is_test": False,
}


class PointersResponse(ResponseModel):
    """Where a request has what we need."""

    phone: str
    code: str
    locale: str | None


class ConnectionResponse(ResponseModel):
    """A connection, without its secret."""

    model_config = with_example(_CONNECTION)

    connection_id: Uuid
    user_id: str
    kind: KindName
    name: str | None
    url: str = Field(description="What the other system calls.")
    status: Literal["active", "failing", "needs_secret"] = Field(
        description="`failing`: its last five requests had a wrong secret or form. `needs_secret`: the other system "
        "makes the secret, and has not given it yet."
    )
    default_region: str | None
    locale: str | None
    rate_limit: str
    message_types: list[TypeName] | None
    pointers: PointersResponse | None
    created_at: Timestamp
    failing_since: Timestamp | None
    old_secret_until: Timestamp | None = Field(description="Until then the replaced secret counts too.")


class IssuedConnectionResponse(ConnectionResponse):
    """The connection with its secret. This is the only response with `secret`, so store it now."""

    model_config = with_example({**_CONNECTION, "secret": "v1,whsec_…"})

    secret: str | None = Field(description="As the other system wants it. Null where that system makes it.")


class ConnectionList(ResponseModel):
    """A page of connections, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"connections": [_CONNECTION], "next_cursor": None})

    connections: list[ConnectionResponse]
    next_cursor: str | None


class DeletedConnectionResponse(ResponseModel):
    """It is deleted."""

    model_config = with_example({"message": "Connection deleted."})

    message: str


class ReceivedDeliveryResponse(ResponseModel):
    """One request of the other system, and what became of it."""

    model_config = with_example(_DELIVERY)

    delivery_id: Uuid
    received_at: Timestamp
    outcome: Annotated[Outcome, BeforeValidator(Outcome)] = Field(
        description="`repeated`: the same code for the same phone again, so the first call counts."
    )
    code: str | None = Field(description="The code of the error with which it was refused.")
    reason: str | None = Field(description="Why it was refused.")
    phone: str | None = Field(description="Masked.")
    call_id: Uuid | None = Field(description="See `GET /calls/{call_id}`.")
    call_status: str | None = Field(description="How the call stands now. Null without one, and after it was deleted.")
    is_test: bool


class ReceivedDeliveryList(ResponseModel):
    """A page of deliveries, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"deliveries": [_DELIVERY], "next_cursor": None})

    deliveries: list[ReceivedDeliveryResponse]
    next_cursor: str | None


class ConnectionTestResponse(ReceivedDeliveryResponse):
    """The delivery, and what the other system would have been told."""

    model_config = with_example({**_DELIVERY, "call_status": None, "is_test": True, "status": 200, "body": "{}"})

    status: int = Field(description="The HTTP status of our response.")
    body: str = Field(description="Our response.")


def render_connection(connection: SystemConnection, url: str) -> dict[str, Any]:
    """The content of a `ConnectionResponse`."""
    pointers = connection.pointers
    return {
        "connection_id": connection.connection_id,
        "user_id": connection.owner_id,
        "kind": connection.kind,
        "name": connection.name,
        "url": url,
        "status": connection.status,
        "default_region": connection.default_region,
        "locale": connection.locale,
        "rate_limit": connection.rate_limit,
        "message_types": None if connection.message_types is None else list(connection.message_types),
        "pointers": None
        if pointers is None
        else {"phone": pointers.phone, "code": pointers.code, "locale": pointers.locale},
        "created_at": iso_utc(connection.created_at),
        "failing_since": iso_utc_or_none(connection.failing_since),
        "old_secret_until": iso_utc_or_none(connection.old_secret_until),
    }


def render_issued(issued: IssuedConnection, url: str) -> dict[str, Any]:
    """The content of an `IssuedConnectionResponse`."""
    return {**render_connection(issued.connection, url), "secret": issued.secret}


def render_delivery(found: DeliveryWithCall) -> dict[str, Any]:
    """The content of a `ReceivedDeliveryResponse`."""
    delivery = found.delivery
    return {
        "delivery_id": delivery.delivery_id,
        "received_at": iso_utc(delivery.received_at),
        "outcome": delivery.outcome.value,
        "code": delivery.code,
        "reason": delivery.reason,
        "phone": delivery.phone,
        "call_id": delivery.call_id,
        "call_status": found.call_status,
        "is_test": delivery.is_test,
    }


def render_test(answer: HookAnswer) -> dict[str, Any]:
    """The content of a `ConnectionTestResponse`."""
    shown = render_delivery(DeliveryWithCall(answer.delivery, None, None))
    return {**shown, "status": answer.reply.status, "body": answer.reply.body.decode("utf-8")}
