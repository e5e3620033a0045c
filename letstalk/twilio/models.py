"""What Twilio's Verify API has and ours does not: its ids, its services and their rate limits, and its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from letstalk.calls.models import CallStatus
from letstalk.core.errors import InvalidRequest
from letstalk.speaking.models import SpokenCall
from letstalk.verifications.models import MAX_CODE_LENGTH, MIN_CODE_LENGTH, VerificationHistory, VerificationStatus

MAX_SERVICES = 100  # of one owner
MAX_RATE_LIMITS = 10  # of one service
MAX_BUCKETS = 5  # of one rate limit
MAX_NAME_CHARACTERS = 60  # as long as BRAND_NAME may be, of which it can be the name
MAX_DESCRIPTION_CHARACTERS = 255
MAX_REQUESTS = 1_000_000
MAX_INTERVAL_SECONDS = 30 * 24 * 3600
MAX_LIMITS_OF_REQUEST = 10
MAX_VALUE_CHARACTERS = 255
DEFAULT_SPAN = timedelta(days=30)  # how far back attempts are listed where no time is given
TTL_SECONDS = 600  # Twilio's codes live for ten minutes

_UNIQUE_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_SID = re.compile(r"[A-Z]{2}([0-9a-fA-F]{32})")


class Sid(StrEnum):
    """The first letters of Twilio's ids. 32 hexadecimal digits follow: our UUID, without its hyphens."""

    ACCOUNT = "AC"
    SERVICE = "VA"
    VERIFICATION = "VE"
    ATTEMPT = "VL"
    RATE_LIMIT = "RK"
    BUCKET = "BL"

    def of(self, our_id: str) -> str:
        return f"{self.value}{our_id.replace('-', '')}"

    def read(self, text: str) -> str | None:
        """The UUID in an id of this kind, as we write it; None for any other text."""
        found = _SID.fullmatch(text)
        return None if found is None or not text.startswith(self.value) else str(UUID(found[1]))


@dataclass(frozen=True, slots=True)
class VerifyService:
    """What Twilio calls a service: how the codes of one app are made. Times are aware, in UTC.

    `friendly_name` is what a call says it is from, if the operator allows that name.
    """

    service_id: str
    owner_id: str
    friendly_name: str
    code_length: int
    custom_code_enabled: bool
    created_at: datetime
    updated_at: datetime

    @property
    def session(self) -> str:
        """The session of its verifications: those of two services are apart, also for the same phone."""
        return f"twilio:{self.service_id}"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The name of something that an app counts requests by, such as its users' addresses."""

    rate_limit_id: str
    service_id: str
    unique_name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Bucket:
    """At most `max_requests` for one value of a rate limit within `interval_seconds`."""

    bucket_id: str
    rate_limit_id: str
    max_requests: int
    interval_seconds: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewTwilioVerification:
    """What a request for a verification asks for. With a `custom_code`, that is said, and the app checks it itself."""

    phone: str
    locale: str | None
    custom_code: str | None
    custom_name: str | None
    rate_limits: dict[str, str]


@dataclass(frozen=True, slots=True)
class TwilioVerification:
    """A verification as Twilio shows it. `attempts` are its calls, (id, when it was requested), oldest first.

    The code of one that `is_custom` was made by the app.
    """

    verification_id: str
    e164: str
    status: str
    created_at: datetime
    updated_at: datetime
    attempts: tuple[tuple[str, datetime], ...]
    is_custom: bool = False

    @property
    def is_approved(self) -> bool:
        return self.status == VerificationStatus.APPROVED.value

    @classmethod
    def of_own(cls, history: VerificationHistory) -> TwilioVerification:
        """A verification whose code we made."""
        verification = history.verification
        return cls(
            verification_id=verification.verification_id,
            e164=verification.e164,
            status=_STATUSES.get(history.status, history.status.value),
            created_at=verification.created_at,
            updated_at=verification.ended_at or verification.last_spoken_for_at,
            attempts=tuple((item.call.call_id, item.call.created_at) for item in history.calls),
        )

    @classmethod
    def of_custom(cls, call: SpokenCall, now: datetime) -> TwilioVerification:
        """A verification whose code the app made: what we know of it is what the app has reported."""
        spoken = call.spoken
        status = VerificationStatus.EXPIRED if spoken.expires_at <= now else VerificationStatus.PENDING
        if spoken.approved is not None:
            status = VerificationStatus.APPROVED if spoken.approved else VerificationStatus.CANCELED
        return cls(
            verification_id=spoken.spoken_id,
            e164=spoken.e164,
            status=status.value,
            created_at=spoken.created_at,
            updated_at=spoken.reported_at or spoken.created_at,
            attempts=((spoken.call_id, call.call.created_at),),
            is_custom=True,
        )


# Where Twilio has another word than ours.
_STATUSES = {
    VerificationStatus.ATTEMPTS_EXCEEDED: "max_attempts_reached",
    VerificationStatus.SUPERSEDED: VerificationStatus.CANCELED.value,
}

# What a call was, in Twilio's words.
CALL_STATUSES = {
    CallStatus.QUEUED: "queued",
    CallStatus.DIALING: "queued",
    CallStatus.RINGING: "ringing",
    CallStatus.ANSWERED: "in-progress",
    CallStatus.SPEAKING: "in-progress",
    CallStatus.COMPLETED: "completed",
    CallStatus.NO_ANSWER: "no-answer",
    CallStatus.BUSY: "busy",
    CallStatus.REJECTED: "busy",
    CallStatus.MACHINE: "no-answer",
    CallStatus.FAILED: "failed",
    CallStatus.CANCELED: "canceled",
    CallStatus.UNKNOWN: "failed",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call of a verification of one service. `verification_at` is when its verification was made."""

    call_id: str
    verification_id: str
    verification_at: datetime
    service_id: str
    e164: str
    country: str | None
    call_status: CallStatus
    created_at: datetime
    ended_at: datetime | None
    is_converted: bool


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts are asked for. None is all. `since` is included, `until` is not; `phone` is canonical."""

    since: datetime | None = None
    until: datetime | None = None
    phone: str | None = None
    phone_prefix: str | None = None
    country: str | None = None
    service_id: str | None = None
    verification_id: str | None = None
    is_converted: bool | None = None


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    attempts: int
    converted: int

    @property
    def percentage(self) -> float:
        return round(100 * self.converted / self.attempts, 4) if self.attempts else 0.0


def check_friendly_name(name: str) -> str:
    """The name without spaces around it. Raises InvalidRequest."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or "<" in name or ">" in name:
        sentence = f"It must have 1 to {MAX_NAME_CHARACTERS} characters, none of them < or >."
        raise InvalidRequest.in_field("FriendlyName", sentence)
    return name


def check_code_length(length: int) -> int:
    """Raises InvalidRequest for a length that is not safe to guess at, or too long to remember."""
    if not MIN_CODE_LENGTH <= length <= MAX_CODE_LENGTH:
        sentence = f"Codes of this service have {MIN_CODE_LENGTH} to {MAX_CODE_LENGTH} digits."
        raise InvalidRequest.in_field("CodeLength", sentence)
    return length


def is_unique_name(name: str) -> bool:
    return _UNIQUE_NAME.fullmatch(name) is not None


def check_unique_name(name: str) -> str:
    """Raises InvalidRequest 60209."""
    if not is_unique_name(name):
        sentence = "A UniqueName has 1 to 64 letters, digits, dots, hyphens and underscores."
        raise InvalidRequest(sentence, code="60209")
    return name


def check_bucket(max_requests: int, interval_seconds: int) -> None:
    if not 1 <= max_requests <= MAX_REQUESTS:
        raise InvalidRequest.in_field("Max", f"It must be 1 to {MAX_REQUESTS}.")
    if not 1 <= interval_seconds <= MAX_INTERVAL_SECONDS:
        raise InvalidRequest.in_field("Interval", f"It must be 1 to {MAX_INTERVAL_SECONDS} seconds.")
