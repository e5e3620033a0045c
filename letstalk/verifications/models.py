"""A verification and its rules: how long it lives, how often it may be guessed, when it may be sent or spoken again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from letstalk.calls.models import Call
from letstalk.core.clock import iso_utc
from letstalk.core.errors import Conflict, Gone, TooManyRequests
from letstalk.telephony.phone_numbers import Phone

DEFAULT_CODE_LENGTH = 6  # NIST SP 800-63B-4, 3.1.3.1: at least 6 digits
MIN_CODE_LENGTH = 6
MAX_CODE_LENGTH = 10
DEFAULT_TTL_SECONDS = 300
MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 600  # NIST SP 800-63B-4, 3.1.3.1; OWASP ASVS 6.5.5
MAX_ATTEMPTS = 5
MAX_REPLAYS = 3
RESEND_COOL_DOWN_SECONDS = 30
REPLAY_COOL_DOWN_SECONDS = 20
MAX_WRONG_CODES = 10  # per owner, phone and session, across verifications (NIST SP 800-63B-4, 3.2.2)
WRONG_CODES_WINDOW_SECONDS = 3600
MAX_WRONG_CODES_OF_PHONE = 20  # over all owners and sessions; docs/security.md has the arithmetic
WRONG_CODES_OF_PHONE_WINDOW = timedelta(hours=24)
MAX_SESSIONS = 3  # that wait for a code at once, of one owner and phone
MAX_SESSION_CHARACTERS = 64
LOOKUP_WINDOW = timedelta(hours=24)  # how far back a phone alone finds its verification


class VerificationStatus(StrEnum):
    PENDING = "pending"  # waits for the right code
    APPROVED = "approved"  # the right code was given
    EXPIRED = "expired"  # its time ran out
    ATTEMPTS_EXCEEDED = "attempts_exceeded"  # five wrong codes
    CANCELED = "canceled"  # canceled by the app
    SUPERSEDED = "superseded"  # replaced by a newer code
    FAILED = "failed"  # no call could be placed


_OVER: dict[VerificationStatus, tuple[str, str]] = {
    VerificationStatus.APPROVED: ("code_used", "This code has been used already."),
    VerificationStatus.EXPIRED: ("code_expired", "This code has expired. Ask for a new one."),
    VerificationStatus.ATTEMPTS_EXCEEDED: ("attempts_exceeded", "Too many wrong codes. Ask for a new one."),
    VerificationStatus.CANCELED: ("verification_canceled", "This verification was canceled."),
    VerificationStatus.SUPERSEDED: ("verification_superseded", "A newer code has taken the place of this one."),
    VerificationStatus.FAILED: ("verification_failed", "The call could not be placed. Ask for a new code."),
}


@dataclass(frozen=True, slots=True)
class Verification:
    """One attempt of one owner to prove one phone. Times are aware, in UTC.

    `phone` is the number under which the phone is counted and looked up. `e164` is the number that was given: it is
    called, and shown. `phone_as_given` is stored where the two differ. `session_digest` is a keyed digest of the
    session of the app that it belongs to, and empty without a session. Verifications of different sessions do not
    supersede each other. `token_id` is the token by which it was requested, and `country` the region of the phone; both
    are None in old rows. `ended_at` is when it got its last status. For one with `is_test` no call was placed.
    `request_id` is that of the API request that asked for it, as its response had it. `events_due` says which of its
    events are not recorded yet, as `events.models.DueEvents`.
    """

    verification_id: str
    owner_id: str
    phone: str
    status: VerificationStatus
    created_at: datetime
    expires_at: datetime
    last_spoken_for_at: datetime  # the send or the last replay: the cool-down of replays counts from it
    attempts_used: int
    replays_used: int
    locale: str | None
    code_digest: str
    digest_key_id: str
    speech_sealed: str | None  # the encrypted `Script` of its calls; erased when it is over
    approved_at: datetime | None
    reference: str | None = None  # of the app, such as an order number
    phone_as_given: str | None = None
    session_digest: str = ""
    token_id: str | None = None
    country: str | None = None
    ended_at: datetime | None = None
    is_test: bool = False
    request_id: str | None = None
    events_due: int = 0

    @classmethod
    def start(
        cls,
        verification_id: str,
        owner_id: str,
        wanted: NewVerification,
        *,
        phone: Phone,
        code_digest: str,
        digest_key_id: str,
        speech_sealed: str | None,
        session_digest: str,
        token_id: str | None,
        now: datetime,
        test_ends_at: datetime | None = None,
        is_test: bool = False,
        request_id: str | None = None,
        events_due: int = 0,
    ) -> Verification:
        """A pending verification with no attempt used. With `is_test` it is over when the test number ends."""
        expires_at = now + timedelta(seconds=wanted.ttl_seconds)
        return cls(
            verification_id=verification_id,
            owner_id=owner_id,
            phone=phone.canonical,
            status=VerificationStatus.PENDING,
            created_at=now,
            expires_at=expires_at if test_ends_at is None else min(expires_at, test_ends_at),
            last_spoken_for_at=now,
            attempts_used=0,
            replays_used=0,
            locale=wanted.locale,
            code_digest=code_digest,
            digest_key_id=digest_key_id,
            speech_sealed=speech_sealed,
            approved_at=None,
            reference=wanted.reference,
            phone_as_given=None if phone.e164 == phone.canonical else phone.e164,
            session_digest=session_digest,
            token_id=token_id,
            country=phone.region,
            is_test=is_test,
            request_id=request_id,
            events_due=events_due,
        )

    @property
    def e164(self) -> str:
        return self.phone_as_given or self.phone

    @property
    def attempts_remaining(self) -> int:
        return MAX_ATTEMPTS - self.attempts_used

    @property
    def replays_remaining(self) -> int:
        return MAX_REPLAYS - self.replays_used

    def status_at(self, now: datetime) -> VerificationStatus:
        """The status, `expired` also when no sweep has written so yet."""
        if self.status is VerificationStatus.PENDING and self.expires_at <= now:
            return VerificationStatus.EXPIRED
        return self.status

    def expires_in_seconds(self, now: datetime) -> int:
        return max(0, math.ceil((self.expires_at - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class VerificationRef:
    """A verification by its id, or the newest of a phone (any of its numbers, in E.164) and session: either phone or id
    is set.
    """

    phone: str | None
    verification_id: str | None
    session_digest: str = ""


@dataclass(frozen=True, slots=True)
class PendingCheck:
    """What a guess at a pending verification with an attempt left depends on.

    `last_wrong_code_at` is the time of the newest wrong code that counts against its owner, phone and session, or None.
    """

    verification_id: str
    phone: str
    created_at: datetime
    attempts_used: int
    replays_used: int
    code_digest: str
    digest_key_id: str
    reference: str | None
    phone_as_given: str | None
    session_digest: str
    is_test: bool
    last_wrong_code_at: datetime | None
    has_unfinished_calls: bool


@dataclass(frozen=True, slots=True)
class SendState:
    """What one more send depends on.

    `newest_at` is when the newest verification for the owner, phone and session was made, as far as the cool-down
    depends on it, and `last_wrong_code_at` when the last code was wrong that counts against these; None without any.
    `accepted_calls` are the calls to the phone, of all owners. The turns are those of waiting calls: the owner's last
    one, and the first of all. `other_sessions` are those with a pending verification for the owner and phone.
    `test_number_id` is the owner's test number of the phone, live or not.
    """

    newest_at: datetime | None
    has_pending: bool
    last_wrong_code_at: datetime | None
    accepted_calls: int
    own_last_turn: int | None
    first_waiting_turn: int | None
    other_sessions: int = 0
    test_number_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewVerification:
    """A verification to be started: whom to call, and what to say."""

    phone: str
    message: str | None
    locale: str | None
    code_length: int
    ttl_seconds: int
    reference: str | None = None
    message_template: str | None = None  # the name of a text, instead of `message`
    session: str | None = None  # of the app: opaque, and kept as a keyed digest only
    locale_fallback: bool = True  # whether another language may be spoken than that of `locale`
    brand: str | None = None  # one of the names that the operator allows; None is BRAND_NAME


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """A call that will be placed, or is live. Times are as the API writes them.

    `is_first_response` is False when an idempotency key brought back an earlier response.
    """

    verification_id: str
    call_id: str
    call_status: str
    phone: str
    expires_at: str
    expires_in: int
    attempts_remaining: int
    replays_remaining: int
    spoken_locale: str
    reference: str | None = None
    is_first_response: bool = True
    is_test: bool = False

    @classmethod
    def of(
        cls,
        verification: Verification,
        call_id: str,
        call_status: str,
        now: datetime,
        *,
        spoken_locale: str,
        replays_spent: int = 0,
    ) -> CallAccepted:
        return cls(
            verification_id=verification.verification_id,
            call_id=call_id,
            call_status=call_status,
            phone=verification.e164,
            expires_at=iso_utc(verification.expires_at),
            expires_in=verification.expires_in_seconds(now),
            attempts_remaining=verification.attempts_remaining,
            replays_remaining=verification.replays_remaining - replays_spent,
            spoken_locale=spoken_locale,
            reference=verification.reference,
            is_test=verification.is_test,
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """A verification that the right code has approved. `pending` is what it was before."""

    pending: PendingCheck
    approved_at: datetime


class VerificationFilter(TypedDict, total=False):
    """Which verifications are listed. None, as a missing key, means all; `phone` is canonical."""

    phone: str | None
    status: VerificationStatus | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class CallHistory:
    """A call with its events, (when, what), oldest first."""

    call: Call
    events: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True)
class VerificationHistory:
    """A verification with the status that it has now, and its calls, oldest first."""

    verification: Verification
    status: VerificationStatus
    calls: tuple[CallHistory, ...]


@dataclass(frozen=True, slots=True)
class VerificationPage:
    verifications: tuple[tuple[Verification, VerificationStatus], ...]
    next_cursor: str | None


def ensure_pending(verification: Verification, now: datetime) -> None:
    """Raises Gone when it is over, with the code that says why."""
    status = verification.status_at(now)
    if status is not VerificationStatus.PENDING:
        code, sentence = _OVER[status]
        raise Gone(sentence, code=code)


def ensure_cancelable(verification: Verification, now: datetime) -> None:
    """Raises Conflict `not_pending` when it is over."""
    status = verification.status_at(now)
    if status is not VerificationStatus.PENDING:
        raise Conflict(f"This verification is over already: {status.value}.", code="not_pending")


def ensure_few_wrong_codes(judged_at: list[datetime], now: datetime) -> None:
    """Raises TooManyRequests `too_many_failures` when ten codes within an hour were wrong.

    `judged_at`: when the wrong codes of this owner, phone and session were judged, newest first, at most ten.
    """
    window = timedelta(seconds=WRONG_CODES_WINDOW_SECONDS)
    recent = [at for at in judged_at[:MAX_WRONG_CODES] if at > now - window]
    if len(recent) >= MAX_WRONG_CODES:
        raise TooManyRequests(
            "Too many wrong codes for this phone. Wait before trying again.",
            code="too_many_failures",
            retry_after_seconds=_seconds_until(recent[-1] + window, now),
        )


def ensure_session_fits(others_expire_at: list[datetime], now: datetime) -> None:
    """Raises TooManyRequests `too_many_sessions` when three other sessions wait for a code for the same phone.

    Refused, rather than given the place of another: a stranger can open sessions too, and must not end the one of the
    person who has just heard the code. `others_expire_at`: when the pending verifications of the others expire.
    """
    if len(others_expire_at) >= MAX_SESSIONS:
        raise TooManyRequests(
            "Codes were requested for this phone from several places. Wait before asking again.",
            code="too_many_sessions",
            retry_after_seconds=_seconds_until(min(others_expire_at), now),
        )


def ensure_resend_allowed(last_sent_at: datetime | None, now: datetime) -> None:
    """Raises TooManyRequests `resend_too_soon` within 30 s of the last accepted send."""
    if last_sent_at is None:
        return
    allowed_at = last_sent_at + timedelta(seconds=RESEND_COOL_DOWN_SECONDS)
    if now < allowed_at:
        raise TooManyRequests(
            "A code was requested for this phone a moment ago. Wait before asking again.",
            code="resend_too_soon",
            retry_after_seconds=_seconds_until(allowed_at, now),
        )


def ensure_replay_allowed(verification: Verification, *, is_reading_awaited: bool, now: datetime) -> None:
    """Raises Conflict `replays_exhausted` or TooManyRequests `replay_too_soon`.

    It is too soon within 20 s, and while the call has not read the code yet (`is_reading_awaited`).
    """
    if verification.replays_remaining <= 0:
        raise Conflict("The code was spoken again as often as allowed. Ask for a new one.", code="replays_exhausted")
    wait_seconds = seconds_until_replay(verification, now)
    if wait_seconds:
        raise TooManyRequests(
            "The code was spoken a moment ago. Wait before asking to hear it again.",
            code="replay_too_soon",
            retry_after_seconds=wait_seconds,
        )
    if is_reading_awaited:
        raise TooManyRequests(
            "The call has not read the code yet. Wait until it has.", code="replay_too_soon", retry_after_seconds=5
        )


def seconds_until_replay(verification: Verification, now: datetime) -> int:
    """How long until 20 s have passed since the last request to speak the code; 0 afterwards."""
    allowed_at = verification.last_spoken_for_at + timedelta(seconds=REPLAY_COOL_DOWN_SECONDS)
    return _seconds_until(allowed_at, now) if now < allowed_at else 0


def _seconds_until(time: datetime, now: datetime) -> int:
    return max(1, math.ceil((time - now).total_seconds()))
