"""What happened, as webhooks and `list_events` tell it: a class for each kind of `data`.

match event:
    case VerificationEvent(type="verification.approved", data=VerificationSummary(reference=reference)):
        ...
    case CallEvent(type="call.ended"):
        ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from letstalk_client.models import CallStatus, VerificationSummary
from letstalk_client.reading import read


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOfEvent:
    """A call as it was when the event was recorded. `verification_id` is None if it spoke a code of yours."""

    call_id: str
    verification_id: str | None
    phone: str
    status: CallStatus
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOutcome:
    """What was reported of a code that the other side had made."""

    call_id: str
    phone: str
    approved: bool
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedLimit:
    """A limit of calls that was reached: new ones there are refused until it is over."""

    user_id: str
    destination: str
    limit: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The record of an API token, without its secret."""

    token_id: str
    user_id: str
    name: str | None
    prefix: str
    created_at: datetime
    last_used: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    scopes: tuple[str, ...]
    requests_total: int
    created_by: str | None
    suspended: bool
    allowed_ips: tuple[str, ...] | None
    rate_limit: str | None
    custom_message: str | None
    parent_id: str | None
    successor_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingConnection:
    """A connection to another system, whose requests are refused; `reason` says why the last one was."""

    connection_id: str
    user_id: str
    kind: str
    name: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. A delivery may come twice, with the same `event_id`, and in any order: `sequence` grows
    with each event of the same verification or token. Phones are masked unless the endpoint has `shows_phones`.
    """

    event_id: str
    timestamp: datetime
    user_id: str
    sequence: int | None


VerificationEventType = Literal[
    "verification.created",
    "verification.approved",
    "verification.expired",
    "verification.attempts_exceeded",
    "verification.canceled",
    "verification.superseded",
    "verification.failed",
]
CallEventType = Literal["call.ringing", "call.answered", "call.machine", "call.heard", "call.ended"]
TokenEventType = Literal["token.created", "token.rotated", "token.revoked", "token.expiring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationEvent(Event):
    """`data` is the verification as it was then; None where it was deleted since."""

    type: VerificationEventType
    data: VerificationSummary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent(Event):
    """`data` is the call as it was then; None where it was deleted since."""

    type: CallEventType
    data: CallOfEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEvent(Event):
    type: Literal["verification.reported"]
    data: ReportedOutcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEvent(Event):
    type: Literal["destination.limited"]
    data: ReachedLimit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent(Event):
    type: TokenEventType
    data: Token | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvent(Event):
    type: Literal["connection.failing"]
    data: FailingConnection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(Event):
    """An event of a type that this version does not know."""

    type: str
    data: Mapping[str, Any] | None


AnyEvent = VerificationEvent | CallEvent | OutcomeEvent | LimitEvent | TokenEvent | ConnectionEvent | OtherEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of events, newest first. `next_cursor` is None on the last one."""

    events: tuple[AnyEvent, ...]
    next_cursor: str | None


EVENT_CLASSES: dict[str, type[AnyEvent]] = {
    "verification.reported": OutcomeEvent,
    "destination.limited": LimitEvent,
    "connection.failing": ConnectionEvent,
    **dict.fromkeys(get_args(VerificationEventType), VerificationEvent),
    **dict.fromkeys(get_args(CallEventType), CallEvent),
    **dict.fromkeys(get_args(TokenEventType), TokenEvent),
}


def read_event(content: object) -> AnyEvent:
    """Decoded JSON as an event. Raises UnexpectedResponse where it is none."""
    type_ = content.get("type") if isinstance(content, Mapping) else None
    kind: type[AnyEvent] = EVENT_CLASSES.get(str(type_), OtherEvent)
    return read(kind, content)


def read_event_page(content: object) -> EventPage:
    given = content if isinstance(content, Mapping) else {}
    events = given.get("events")
    page = read(_Cursor, given)
    return EventPage(events=tuple(map(read_event, events or ())), next_cursor=page.next_cursor)


@dataclass(frozen=True, slots=True)
class _Cursor:
    next_cursor: str | None
