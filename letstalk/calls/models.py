"""A call: its statuses, the commands that it can be given, its script and its record. Nothing of a vendor.

A call says a script to a phone, once, before a deadline, unless it is withdrawn. What it is about is not known here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, Self


class Topic(StrEnum):
    """What a worker is woken for, and the key of the wake-up. Without a key the worker looks in the database."""

    DISPATCH = "dispatch"  # calls wait
    CHANNEL_FREE = "channel_free"  # a channel is certainly free
    PUT_BACK = "put_back"  # call id: its pause is over, it may be placed again
    DIAL = "dial"  # call id: it was claimed and waits to be dialed
    APPLY_EVENT = "apply_event"  # event id: it was stored and waits to be applied
    CARRY_OUT = "carry_out"  # call id: it has a command that waits
    HANG_UP_STRAY = "hang_up_stray"  # call id: a phone rings for a call that is over here
    OFFER_CODE = "offer_code"  # call id: it was answered, and detection has had its time
    OFFER_CODES = "offer_codes"  # calls were answered: look for those that detection has not decided in time


class CallStatus(StrEnum):
    QUEUED = "queued"  # waits for a channel
    DIALING = "dialing"  # the provider is being asked to place it
    RINGING = "ringing"  # the provider has it
    ANSWERED = "answered"  # a person or a machine picked up
    SPEAKING = "speaking"  # the code, or the offer to press 1, is being read
    COMPLETED = "completed"  # the code was read and the call is over
    NO_ANSWER = "no_answer"  # nobody picked up, or nobody asked for the code
    BUSY = "busy"
    REJECTED = "rejected"  # declined, or hung up before the code was read
    MACHINE = "machine"  # voicemail or fax; it was told nothing
    FAILED = "failed"  # could not be placed
    CANCELED = "canceled"  # withdrawn before the code was read
    UNKNOWN = "unknown"  # may or may not have been placed; never tried again


_NOT_ENDED = {CallStatus.QUEUED, CallStatus.DIALING, CallStatus.RINGING, CallStatus.ANSWERED, CallStatus.SPEAKING}
ENDED = frozenset(CallStatus) - _NOT_ENDED


class Spoken(StrEnum):
    NOTHING = "nothing"
    OFFER = "offer"  # to press 1 for the code
    CODE = "code"


class Command(StrEnum):
    """The next thing to do in a live call."""

    SPEAK_CODE = "speak_code"
    SPEAK_OFFER = "speak_offer"
    HANG_UP = "hang_up"


SPOKEN_BY = {Command.SPEAK_CODE: Spoken.CODE, Command.SPEAK_OFFER: Spoken.OFFER}


@dataclass(frozen=True, slots=True)
class Script:
    """What a call says: the code, the custom message around it if there is one, and a name instead of BRAND_NAME."""

    code: str
    message: str | None
    brand: str | None = None

    def to_json(self) -> bytes:
        content = {"code": self.code, "message": self.message}
        # Without a name it is what workers of older versions can read.
        return json.dumps(content if self.brand is None else content | {"brand": self.brand}).encode("utf-8")

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        return cls(**json.loads(content))


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call to be placed. See `Call` for the fields."""

    subject_id: str
    owner_id: str
    phone: str
    script_sealed: str
    locale: str | None
    speak_before: datetime
    phone_as_given: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call to one phone. Times are aware, in UTC.

    `phone` is the number under which the phone is counted. `e164` is the number that is dialed. `phone_as_given` is
    stored where the two differ.

    `subject_id` is the id of what the call is about, in the feature that placed it. `script_sealed` is the encrypted
    `Script`, to be spoken in the language `locale` before `speak_before`. It is erased when the call is over.

    `turn` orders the queue. A call that `holds_channel` is live, or may be. `ask_provider_at` is when to ask the
    provider about it if no event comes. `leased_until` (dialing) and `command_leased_until` keep two workers from doing
    the same thing; when a lease has run out, its worker has died. `is_uncertain` says that a dial of this round
    (`dial_round`, begun at `first_dial_at`) may have placed the call. `end_status` and `end_reason` are what the call
    becomes when the hang-up that we asked for is done. `rang_at` is when the provider first had it, and `heard_at` when
    its code had been spoken to the end.
    """

    call_id: str
    subject_id: str
    owner_id: str
    phone: str
    script_sealed: str | None
    locale: str | None
    speak_before: datetime
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
    phone_as_given: str | None = None
    rang_at: datetime | None = None
    heard_at: datetime | None = None

    @property
    def e164(self) -> str:
        return self.phone_as_given or self.phone

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def is_unfinished(self) -> bool:
        """Whether it is not over, or is unknown and may still turn out to exist."""
        return self.ended_at is None or self.holds_channel

    @property
    def is_ending(self) -> bool:
        """Whether we asked for its hang-up: nothing more may be said, though the event has not come yet."""
        return self.end_status is not None

    def is_wanted_at(self, now: datetime) -> bool:
        """Whether its script is still to be spoken."""
        return self.is_unfinished and not self.is_ending and self.speak_before > now


class CallListener(Protocol):
    """Is told what became of calls. It may miss a call when the process dies, so it must also look for itself."""

    def call_failed(self, subject_id: str) -> None:
        """A call about `subject_id` has failed for good, and its `speak_before` has not passed.

        Called after the commit, outside any transaction.
        """
