"""What became of a verification, and why: one code for each reason, in words, with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from letstalk.calls.models import CallStatus
from letstalk.verifications.models import VerificationStatus


class Reason(StrEnum):
    """Approved, or why not. The codes are stable: they are in the API and in stored statistics."""

    APPROVED = "approved"
    PENDING = "pending"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    MACHINE = "machine"
    HEARD_NOT_ENTERED = "heard_not_entered"
    ATTEMPTS_EXCEEDED = "attempts_exceeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in words: a short `label`, a `sentence` for a developer, and what to do (`remedy`), empty if nothing."""

    label: str
    sentence: str
    remedy: str


EXPLANATIONS: Mapping[Reason, Explanation] = {
    Reason.APPROVED: Explanation("Approved", "The right code was entered.", ""),
    Reason.PENDING: Explanation("Waiting", "The code is valid and has not been entered yet.", ""),
    Reason.NO_ANSWER: Explanation(
        "No answer",
        "The call ended before the code was read: nobody picked up, or nobody pressed 1 to hear it.",
        "Say in your app which number will call, and offer to call again.",
    ),
    Reason.BUSY: Explanation(
        "Busy", "The line was busy.", "Offer to call again, and say that the line was busy a moment ago."
    ),
    Reason.REJECTED: Explanation(
        "Declined",
        "The call was declined, or the person hung up before the code was read.",
        "Say in your app which number will call and why, before the phone rings.",
    ),
    Reason.MACHINE: Explanation(
        "Voicemail",
        "A machine picked up. It was told nothing.",
        "Offer to call again when the phone is at hand, and check that it is switched on.",
    ),
    Reason.HEARD_NOT_ENTERED: Explanation(
        "Heard, not entered",
        "The code was read, and no right code came before it expired.",
        "Check that your app still shows the field for the code after the call, and offers to hear the code again.",
    ),
    Reason.ATTEMPTS_EXCEEDED: Explanation(
        "Too many wrong codes",
        "Too many wrong codes were entered.",
        "One phone: ask for a new code. Many phones: somebody may be guessing codes, so look for their session.",
    ),
    Reason.FAILED: Explanation(
        "Could not be called",
        "The call could not be placed.",
        "Check the number. If many calls fail, look at the Health page and at the provider's account.",
    ),
    Reason.UNKNOWN: Explanation(
        "Outcome unknown",
        "The provider did not say how the call ended.",
        "Check that the provider's webhooks reach this service at PUBLIC_URL.",
    ),
    Reason.CANCELED: Explanation("Canceled", "Your app, or a person in the dashboard, canceled it.", ""),
    Reason.SUPERSEDED: Explanation(
        "Replaced by a newer code",
        "The same phone asked for another code before this one was entered.",
        "If this happens often, the first call is too slow or not heard: look at the time from request to ring.",
    ),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """What the last call has come to while the code can still be entered. `is_trouble`: it has told nobody the code."""

    label: str
    is_trouble: bool = False


PROGRESS: Mapping[CallStatus | None, Progress] = {
    None: Progress("no call"),
    CallStatus.QUEUED: Progress("call waits"),
    CallStatus.DIALING: Progress("dialing"),
    CallStatus.RINGING: Progress("ringing"),
    CallStatus.ANSWERED: Progress("answered"),
    CallStatus.SPEAKING: Progress("speaking"),
    CallStatus.COMPLETED: Progress("code was read"),
    CallStatus.NO_ANSWER: Progress("no answer", is_trouble=True),
    CallStatus.BUSY: Progress("line busy", is_trouble=True),
    CallStatus.REJECTED: Progress("declined", is_trouble=True),
    CallStatus.MACHINE: Progress("voicemail", is_trouble=True),
    CallStatus.FAILED: Progress("call failed", is_trouble=True),
    CallStatus.CANCELED: Progress("call canceled", is_trouble=True),
    CallStatus.UNKNOWN: Progress("outcome unknown", is_trouble=True),
}

REASON_OF_STATUS: Mapping[VerificationStatus, Reason] = {
    VerificationStatus.APPROVED: Reason.APPROVED,
    VerificationStatus.PENDING: Reason.PENDING,
    VerificationStatus.ATTEMPTS_EXCEEDED: Reason.ATTEMPTS_EXCEEDED,
    VerificationStatus.CANCELED: Reason.CANCELED,
    VerificationStatus.SUPERSEDED: Reason.SUPERSEDED,
}

# Why a verification expired or failed, by the status of its last call. A call that is not over when its verification
# is: it was never placed, or rang or talked until the code expired. None is a test number, which is not called.
REASON_OF_CALL: Mapping[CallStatus | None, Reason] = {
    None: Reason.HEARD_NOT_ENTERED,
    CallStatus.QUEUED: Reason.FAILED,
    CallStatus.DIALING: Reason.FAILED,
    CallStatus.RINGING: Reason.NO_ANSWER,
    CallStatus.ANSWERED: Reason.NO_ANSWER,
    CallStatus.SPEAKING: Reason.HEARD_NOT_ENTERED,
    CallStatus.COMPLETED: Reason.HEARD_NOT_ENTERED,
    CallStatus.NO_ANSWER: Reason.NO_ANSWER,
    CallStatus.BUSY: Reason.BUSY,
    CallStatus.REJECTED: Reason.REJECTED,
    CallStatus.MACHINE: Reason.MACHINE,
    CallStatus.FAILED: Reason.FAILED,
    CallStatus.CANCELED: Reason.NO_ANSWER,
    CallStatus.UNKNOWN: Reason.UNKNOWN,
}


def reason_of(status: VerificationStatus, last_call: CallStatus | None) -> Reason:
    """Why a verification is where it is.

    `status` is that of now (`Verification.status_at`), `last_call` the status of its newest call; None without one.
    """
    return REASON_OF_STATUS.get(status) or REASON_OF_CALL[last_call]
