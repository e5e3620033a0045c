"""What the API returns. Times are aware, in UTC. None of these holds a code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

VerificationStatus = Literal["pending", "approved", "expired", "attempts_exceeded", "canceled", "superseded", "failed"]
CallStatus = Literal[
    "queued",
    "dialing",
    "ringing",
    "answered",
    "speaking",
    "completed",
    "no_answer",
    "busy",
    "rejected",
    "machine",
    "failed",
    "canceled",
    "unknown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCode:
    """The phone is being called. Ask the person for the code now."""

    verification_id: str
    call_id: str
    status: Literal["pending"]
    call_status: CallStatus
    phone: str
    expires_at: datetime
    expires_in: int
    attempts_remaining: int
    replays_remaining: int
    spoken_locale: str
    reference: str | None
    is_test: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The code was right: the person has the phone, unless `is_test` says that it is a test number."""

    verified: bool
    status: Literal["approved"]
    verification_id: str
    phone: str
    approved_at: datetime
    reference: str | None
    is_test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep:
    """One thing that happened in a call."""

    at: datetime
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, and what happened in it, oldest first. `reason` says in a sentence why it ended."""

    call_id: str
    status: CallStatus
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    events: tuple[CallStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSummary:
    """A verification as it stands now."""

    verification_id: str
    phone: str
    status: VerificationStatus
    created_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    attempts_remaining: int
    replays_remaining: int
    locale: str | None
    spoken_locale: str
    reference: str | None
    is_test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(VerificationSummary):
    """A verification as it stands now, with its calls, oldest first."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPage:
    """A page of verifications, newest first. `next_cursor` is None on the last one."""

    verifications: tuple[VerificationSummary, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCode:
    """The phone is being called with a code of yours."""

    call_id: str
    call_status: CallStatus
    phone: str
    expires_at: datetime
    expires_in: int
    spoken_locale: str
    reference: str | None
    is_test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenCall:
    """A call that spoke a code of yours, and what happened in it. `approved` is what you reported."""

    call_id: str
    status: CallStatus
    reason: str | None
    phone: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    spoken_locale: str
    reference: str | None
    is_test: bool
    approved: bool | None
    events: tuple[CallStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of calls, and the countries (ISO 3166) whose phones hear it by default."""

    locale: str
    name: str
    countries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """Every language that calls speak. `default` is for the phones of all other countries."""

    default: str
    languages: tuple[Language, ...]
