"""What a telephony provider reports about a call, in our terms, and the webhooks that carry the reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
    the call replaced it, and not because the person was silent. `detail` is the vendor's own term for the outcome.
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


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as it arrived: some vendors sign the method and the URL, others the exact bytes of the body.

    The names of `headers` are in lower case.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


# Raises InvalidSignature or InvalidRequest for a request that is not accepted.
ReceiveWebhook = Callable[[WebhookRequest], None]


class WebhookReader(ABC):
    """Turns a vendor's webhook into an event. A provider that runs in this process has none."""

    @abstractmethod
    def read(self, request: WebhookRequest, *, now: datetime) -> CallEvent | None:
        """The event, or None for one that we do not use.

        Raises `core.errors.InvalidSignature` for a webhook that is unsigned, forged or too old, and ValueError for a
        signed one that is not an event. Raises nothing else, whatever the request contains.
        """
