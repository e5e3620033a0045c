"""A call: its statuses, the commands that it can be given, and its record. Nothing of a vendor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CallStatus(StrEnum):
    QUEUED = "queued"  # waits for a channel
    DIALING = "dialing"  # the provider is being asked to place it
    RINGING = "ringing"  # the provider has it
    ANSWERED = "answered"  # something picked up; who, is not known yet
    SPEAKING = "speaking"  # the code, or the offer to press 1, is being read
    COMPLETED = "completed"  # the code was read and the call is over
    NO_ANSWER = "no_answer"  # nobody picked up, or nobody asked for the code
    BUSY = "busy"
    REJECTED = "rejected"  # declined, or hung up before the code was read
    MACHINE = "machine"  # voicemail or fax; it was told nothing
    FAILED = "failed"  # could not be placed
    CANCELED = "canceled"  # no longer wanted
    UNKNOWN = "unknown"  # may or may not have been placed; never tried again


ENDED = frozenset(
    {
        CallStatus.COMPLETED,
        CallStatus.NO_ANSWER,
        CallStatus.BUSY,
        CallStatus.REJECTED,
        CallStatus.MACHINE,
        CallStatus.FAILED,
        CallStatus.CANCELED,
        CallStatus.UNKNOWN,
    }
)


class Spoken(StrEnum):
    """What was last read into a call."""

    NOTHING = "nothing"
    OFFER = "offer"  # to press 1 for the code
    CODE = "code"


class Command(StrEnum):
    """What we want of a live call next."""

    SPEAK_CODE = "speak_code"
    SPEAK_OFFER = "speak_offer"
    HANG_UP = "hang_up"


@dataclass(frozen=True, slots=True)
class Call:
    """One call to one phone for one verification. Times are aware, in UTC.

    `turn` orders the queue. A call that `holds_channel` is live, or may be; `ask_provider_at` is when to ask the
    provider about it, should no event come. `leased_until` (dialing) and `command_leased_until` keep two workers
    from doing the same thing; a lease that ran out means that its worker died. `is_uncertain` says that a dial
    of this round (`dial_round`, begun at `first_dial_at`) may have placed the call. `end_status` and `end_reason` are
    what the hang-up that we asked for will make of the call.
    """

    call_id: str
    verification_id: str
    user_id: str
    phone: str
    status: CallStatus
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    turn: int
    not_before: datetime
    started_at: datetime | None
    holds_channel: bool
    ask_provider_at: datetime | None
    provider_call_id: str | None
    first_dial_at: datetime | None
    dial_round: int
    dial_attempts: int
    is_uncertain: bool
    leased_until: datetime | None
    answered_at: datetime | None
    spoken: Spoken
    repeats: int
    command: Command | None
    command_seq: int
    command_attempts: int
    command_leased_until: datetime | None
    end_status: CallStatus | None
    end_reason: str | None
    duration_seconds: float | None

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def is_ending(self) -> bool:
        """Whether we asked for its hang-up: nothing may be said any more, though the event is still to come."""
        return self.end_status is not None
