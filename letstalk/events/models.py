"""An event for apps: its type, and what it is about. Named and shaped as Standard Webhooks asks.

A type is a noun and what became of it, such as `verification.approved`. `docs/events.md` has a sentence for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntFlag, StrEnum
from typing import Any

EVENTS_KEPT_FOR = timedelta(days=30)


class AppEventType(StrEnum):
    VERIFICATION_CREATED = "verification.created"
    VERIFICATION_APPROVED = "verification.approved"
    VERIFICATION_EXPIRED = "verification.expired"
    VERIFICATION_ATTEMPTS_EXCEEDED = "verification.attempts_exceeded"
    VERIFICATION_CANCELED = "verification.canceled"
    VERIFICATION_SUPERSEDED = "verification.superseded"
    VERIFICATION_FAILED = "verification.failed"
    VERIFICATION_REPORTED = "verification.reported"
    CALL_RINGING = "call.ringing"
    CALL_ANSWERED = "call.answered"
    CALL_MACHINE = "call.machine"
    CALL_HEARD = "call.heard"
    CALL_ENDED = "call.ended"
    DESTINATION_LIMITED = "destination.limited"
    TOKEN_CREATED = "token.created"
    TOKEN_ROTATED = "token.rotated"
    TOKEN_REVOKED = "token.revoked"
    TOKEN_EXPIRING = "token.expiring"
    CONNECTION_FAILING = "connection.failing"


MEANINGS: dict[AppEventType, str] = {
    AppEventType.VERIFICATION_CREATED: "A code was made and its call waits in the queue.",
    AppEventType.VERIFICATION_APPROVED: "The right code was given.",
    AppEventType.VERIFICATION_EXPIRED: "Its time ran out before the right code was given.",
    AppEventType.VERIFICATION_ATTEMPTS_EXCEEDED: "Too many wrong codes were given.",
    AppEventType.VERIFICATION_CANCELED: "The app or a person on the dashboard canceled it.",
    AppEventType.VERIFICATION_SUPERSEDED: "A newer code for the same phone and session took its place.",
    AppEventType.VERIFICATION_FAILED: "No call could be placed.",
    AppEventType.VERIFICATION_REPORTED: "The other side reported whether a code that it had made was right.",
    AppEventType.CALL_RINGING: "The telephony provider has placed the call.",
    AppEventType.CALL_ANSWERED: "A person or a machine picked up.",
    AppEventType.CALL_MACHINE: "Voicemail or a fax picked up. It was told nothing.",
    AppEventType.CALL_HEARD: "The code was spoken to the end.",
    AppEventType.CALL_ENDED: "The call is over.",
    AppEventType.DESTINATION_LIMITED: "A limit of calls was reached: new ones there are refused.",
    AppEventType.TOKEN_CREATED: "An API token was created.",
    AppEventType.TOKEN_ROTATED: "An API token was replaced by a new one.",
    AppEventType.TOKEN_REVOKED: "An API token was revoked.",
    AppEventType.TOKEN_EXPIRING: "An API token expires within seven days.",
    AppEventType.CONNECTION_FAILING: "The last five requests of a connected system had a wrong secret or form.",
}


class DueEvents(IntFlag):
    """Which events of a verification are due, as `recording` says: what is stored in its row."""

    CREATED = 1
    APPROVED = 2


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be recorded. `subject_id` is the verification, or what else a call is about.

    `detail` has what is not found by these ids later. It holds no code and no phone number.
    """

    type: AppEventType
    owner_id: str
    subject_id: str | None = None
    call_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppEvent:
    """A recorded event. `sequence` grows with each event of the same subject, and is None without one."""

    event_id: str
    owner_id: str
    type: AppEventType
    created_at: datetime
    subject_id: str | None
    call_id: str | None
    sequence: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are listed. None means all; times are aware, in UTC, `since` included and `before` excluded."""

    types: tuple[AppEventType, ...] | None = None
    since: datetime | None = None
    before: datetime | None = None
    subject_id: str | None = None
