"""A webhook endpoint and a delivery to it: which events it wants, when to try again, and when to give up.

The schedule is that of Standard Webhooks (snapshot of 2026-08-17, "Deliverability and reliability").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from letstalk.events.models import AppEventType

MAX_ENDPOINTS = 50  # of one owner
MAX_URL_CHARACTERS = 2000
MAX_DESCRIPTION_CHARACTERS = 200
MAX_AT_ONCE = 5  # deliveries to one endpoint
MAX_RESPONSE_BYTES = 4096
TIMEOUT_SECONDS = 15.0
LEASE = timedelta(seconds=30)  # longer than the time-out: when it has run out, the worker has died
FAILING_FOR = timedelta(days=5)  # then an endpoint is disabled
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # 24 h before the last
)
LONGEST_PAUSE = PAUSES[-1]
JITTER = 0.1

GONE_REASON = "The endpoint answered 410 Gone."
FAILING_REASON = "Every delivery has failed for five days."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an owner's events are sent. `types` None means all. Times are aware, in UTC.

    The secrets are encrypted. While a secret is being rotated, the old one also signs until `old_secret_until`.
    `failing_since` is when the first of the deliveries that now fail did; None when the last one was accepted.
    """

    endpoint_id: str
    owner_id: str
    url: str
    description: str | None
    types: tuple[AppEventType, ...] | None
    shows_phones: bool
    secret_sealed: str
    old_secret_sealed: str | None
    old_secret_until: datetime | None
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None

    @property
    def status(self) -> str:
        if self.disabled_at is not None:
            return "disabled"
        return "enabled" if self.failing_since is None else "failing"

    def wants(self, type_: AppEventType) -> bool:
        return self.types is None or type_ in self.types


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event to one endpoint. It is over when `next_attempt_at` is None and no worker tries it.

    `body` is what is signed and sent, the same at each try.
    """

    delivery_id: str
    endpoint_id: str
    event_id: str
    subject_id: str | None
    type: str
    body: str
    created_at: datetime
    attempts: int = 0
    next_attempt_at: datetime | None = None
    leased_until: datetime | None = None
    is_manual: bool = False
    delivered_at: datetime | None = None

    @property
    def status(self) -> str:
        if self.delivered_at is not None:
            return "delivered"
        is_over = self.next_attempt_at is None and self.leased_until is None
        return "failed" if is_over else "pending"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery, and what the endpoint answered: `response_status`, or `error` if it did not."""

    attempt_id: str
    delivery_id: str
    started_at: datetime
    duration_ms: int
    response_status: int | None
    response_body: str | None
    error: str | None
    is_manual: bool

    @property
    def is_accepted(self) -> bool:
        return self.response_status is not None and 200 <= self.response_status < 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered: a status with the start of its body, or an error in words."""

    duration_ms: int
    status: int | None = None
    body: str | None = None
    error: str | None = None
    retry_after_seconds: float | None = None


def next_attempt_at(
    attempts: int, now: datetime, chance: float, *, retry_after_seconds: float | None = None
) -> datetime | None:
    """When to try again after `attempts` tries, the first included; None when that was the last.

    `chance`, from 0 to 1, makes the pause up to a tenth longer, so that deliveries that failed together are not retried
    together. A pause that the endpoint asks for is kept, up to a day.
    """
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * (1 + JITTER * chance)
    if retry_after_seconds is not None:
        pause = max(pause, min(timedelta(seconds=retry_after_seconds), LONGEST_PAUSE))
    return now + pause
