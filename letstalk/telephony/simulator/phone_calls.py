"""A call as the simulator's phone has it, and what a person may do with it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.speech.scripts import Speech

# A voice of a browser is slower than the simulator's estimate, and a person looks for the key on a screen.
SPEECH_FACTOR = 1.3
LISTENING_SECONDS = 10.0
# How long a person stays on a line on which nothing more is said.
PATIENCE_SECONDS = 10.0


class PhoneState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"  # nothing is being said
    SPEAKING = "speaking"  # something is being said, and key 1 is listened for
    ENDED = "ended"


LIVE = (PhoneState.RINGING, PhoneState.ANSWERED, PhoneState.SPEAKING)
TALKING = (PhoneState.ANSWERED, PhoneState.SPEAKING)


class Action(StrEnum):
    """What a person does on the phone's page."""

    ANSWER = "answer"
    DECLINE = "decline"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    VOICEMAIL = "voicemail"
    KEY = "key"
    HANG_UP = "hang-up"


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action makes of a call that is in one of the states `was`, and what the phone then reports.

    `detected` is reported too where machines are detected.
    """

    was: tuple[PhoneState, ...]
    becomes: PhoneState
    reports: EventType
    cause: HangupCause | None = None
    detected: EventType | None = None


_RINGING = (PhoneState.RINGING,)
EFFECTS: dict[Action, Effect] = {
    Action.ANSWER: Effect(_RINGING, PhoneState.ANSWERED, EventType.ANSWERED, detected=EventType.HUMAN),
    Action.VOICEMAIL: Effect(_RINGING, PhoneState.ANSWERED, EventType.ANSWERED, detected=EventType.MACHINE),
    Action.DECLINE: Effect(_RINGING, PhoneState.ENDED, EventType.HUNG_UP, HangupCause.REJECTED),
    Action.BUSY: Effect(_RINGING, PhoneState.ENDED, EventType.HUNG_UP, HangupCause.BUSY),
    Action.NO_ANSWER: Effect(_RINGING, PhoneState.ENDED, EventType.HUNG_UP, HangupCause.NO_ANSWER),
    Action.HANG_UP: Effect(TALKING, PhoneState.ENDED, EventType.HUNG_UP, HangupCause.NORMAL),
    Action.KEY: Effect((PhoneState.SPEAKING,), PhoneState.ANSWERED, EventType.GATHER_ENDED),
}


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """One call to the simulator's phone.

    `is_by_hand` says that a person decides about it; else its number does, and the row only shows what happens.
    `due_at` is when something happens by itself, for a call by hand: the ringing ends, the listening ends, or the
    person leaves a silent line. `speech` is what was said last.
    """

    provider_call_id: str
    call_id: str
    phone: str
    is_by_hand: bool
    detects_machines: bool
    state: PhoneState
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    limit_seconds: int
    command_seq: int
    cause: HangupCause | None
    speech: Speech | None

    @property
    def is_live(self) -> bool:
        return self.state is not PhoneState.ENDED


def speech_to_json(speech: Speech) -> bytes:
    return json.dumps({"text": speech.text, "language": speech.language, "code": speech.code}).encode("utf-8")


def speech_from_json(content: bytes) -> Speech:
    fields: dict[str, Any] = json.loads(content)
    return Speech(ssml="", **fields)


def listening_seconds(speech: Speech) -> float:
    """How long a person hears `speech` and may then press a key."""
    return speech.seconds * SPEECH_FACTOR + LISTENING_SECONDS
