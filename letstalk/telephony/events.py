"""What a telephony provider reports about a call, in our words. Pure: no vendor, no database, no network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventType(StrEnum):
    INITIATED = "initiated"  # the provider is placing the call
    ANSWERED = "answered"  # a person or a machine picked up
    HUMAN = "human"  # detection: a person
    MACHINE = "machine"  # detection: voicemail or fax
    UNSURE = "unsure"  # detection: not sure, or silence
    GREETING_ENDED = "greeting_ended"  # a machine's greeting is over
    SPEECH_STARTED = "speech_started"
    SPEECH_ENDED = "speech_ended"
    GATHER_ENDED = "gather_ended"  # listening for a key is over; `digits` holds the keys that were pressed
    HUNG_UP = "hung_up"  # the call is over; `cause` says why


class HangupCause(StrEnum):
    NORMAL = "normal"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"  # the number is not in service
    TIME_LIMIT = "time_limit"
    CANCELED = "canceled"  # hung up by us
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One report of a provider about one call.

    `event_id` is unique for each report and stays the same when the provider sends the report again. `call_id` (ours)
    and `command_seq` (the command that the event follows) are None if the event carried no state that we signed.
    `digits` are the keys pressed. `gather_canceled` is true if listening ended because another command or the end of
    the call replaced it, and not because the person was silent. `detail` is the vendor's own word for the outcome.
    """

    event_id: str
    type: EventType
    occurred_at: datetime
    call_id: str | None
    provider_call_id: str | None
    command_seq: int | None = None
    digits: str = ""
    gather_canceled: bool = False
    cause: HangupCause | None = None
    detail: str = ""
