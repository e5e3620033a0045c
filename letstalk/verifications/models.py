"""The rules of a verification: how long it lives, who may guess how often, when it may be asked for again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from letstalk.core.errors import Conflict, Gone, TooManyRequests
from letstalk.core.rates import Rate

DEFAULT_TTL_SECONDS = 300
MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 600  # NIST SP 800-63B-4, 3.1.3.1; OWASP ASVS 6.5.5
MAX_ATTEMPTS = 5
MAX_REPLAYS = 3
RESEND_COOL_DOWN_SECONDS = 30
REPLAY_COOL_DOWN_SECONDS = 20
MAX_WRONG_CODES = 10  # per owner and phone, across verifications (NIST SP 800-63B-4, 3.2.2)
WRONG_CODES_WINDOW_SECONDS = 3600
LOOKUP_WINDOW = timedelta(hours=24)  # how far back a phone alone finds its verification


class VerificationStatus(StrEnum):
    PENDING = "pending"  # the code is awaited
    APPROVED = "approved"  # the right code came
    EXPIRED = "expired"  # its time ran out
    ATTEMPTS_EXCEEDED = "attempts_exceeded"  # five wrong codes
    CANCELED = "canceled"  # the app no longer wants it
    SUPERSEDED = "superseded"  # a newer code took its place
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
    """One try of one owner to prove one phone. Times are aware, in UTC."""

    verification_id: str
    user_id: str
    phone: str
    status: VerificationStatus
    created_at: datetime
    expires_at: datetime
    last_spoken_for_at: datetime  # the send, or the last replay: what the replay's cool-down counts from
    attempts_used: int
    replays_used: int
    locale: str | None
    code_digest: str
    digest_key_id: str
    speech_sealed: str | None  # the code and the custom message, encrypted; erased when it is over
    approved_at: datetime | None

    @property
    def attempts_remaining(self) -> int:
        return MAX_ATTEMPTS - self.attempts_used

    @property
    def replays_remaining(self) -> int:
        return MAX_REPLAYS - self.replays_used

    def status_at(self, now: datetime) -> VerificationStatus:
        """The status, also where no sweep has yet noted that the time ran out."""
        if self.status is VerificationStatus.PENDING and self.expires_at <= now:
            return VerificationStatus.EXPIRED
        return self.status

    def expires_in_seconds(self, now: datetime) -> int:
        return max(0, math.ceil((self.expires_at - now).total_seconds()))


def refuse_unless_pending(verification: Verification, now: datetime) -> None:
    """Raises Gone, with the code that says in which way it is over."""
    status = verification.status_at(now)
    if status is not VerificationStatus.PENDING:
        code, sentence = _OVER[status]
        raise Gone(sentence, code=code)


def refuse_cancel_unless_pending(verification: Verification, now: datetime) -> None:
    """Raises Conflict `not_pending`."""
    status = verification.status_at(now)
    if status is not VerificationStatus.PENDING:
        raise Conflict(f"This verification is over already: {status.value}.", code="not_pending")


def check_wrong_codes(judged_at: list[datetime], now: datetime) -> None:
    """Raises TooManyRequests `too_many_failures` while ten codes within the hour were wrong.

    `judged_at`: when the wrong codes of this owner and phone were judged, newest first, at most ten.
    """
    window = timedelta(seconds=WRONG_CODES_WINDOW_SECONDS)
    recent = [moment for moment in judged_at[:MAX_WRONG_CODES] if moment > now - window]
    if len(recent) >= MAX_WRONG_CODES:
        raise TooManyRequests(
            "Too many wrong codes for this phone. Wait before trying again.",
            code="too_many_failures",
            retry_after_seconds=_seconds_until(recent[-1] + window, now),
        )


def check_resend(last_sent_at: datetime | None, now: datetime) -> None:
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


def check_replay(verification: Verification, *, is_reading_awaited: bool, now: datetime) -> None:
    """Raises Conflict `replays_exhausted`, or TooManyRequests `replay_too_soon`: within 20 s, or while the call
    waits, rings or has yet to read the code (`is_reading_awaited`).
    """
    if verification.replays_remaining <= 0:
        raise Conflict("The code was spoken again as often as allowed. Ask for a new one.", code="replays_exhausted")
    allowed_at = verification.last_spoken_for_at + timedelta(seconds=REPLAY_COOL_DOWN_SECONDS)
    if now < allowed_at:
        raise TooManyRequests(
            "The code was spoken a moment ago. Wait before asking to hear it again.",
            code="replay_too_soon",
            retry_after_seconds=_seconds_until(allowed_at, now),
        )
    if is_reading_awaited:
        raise TooManyRequests(
            "The call has not read the code yet. Wait until it has.", code="replay_too_soon", retry_after_seconds=5
        )


def check_phone_rates(rates: tuple[Rate, ...], accepted_at: list[datetime], now: datetime) -> None:
    """Raises TooManyRequests `phone_limit` when one more call would be over one of `rates`.

    `accepted_at`: when the calls that count were accepted, newest first. One text for an owner's own limit and for
    that over all owners: an answer must not tell that somebody else calls this phone.
    """
    for rate in rates:
        window = timedelta(seconds=rate.window_seconds)
        recent = [moment for moment in accepted_at if moment > now - window]
        if len(recent) >= rate.amount:
            raise TooManyRequests(
                "This phone was called too often. Wait before asking again.",
                code="phone_limit",
                retry_after_seconds=_seconds_until(recent[rate.amount - 1] + window, now),
            )


def _seconds_until(moment: datetime, now: datetime) -> int:
    return max(1, math.ceil((moment - now).total_seconds()))
