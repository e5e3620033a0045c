"""The kinds of phones, and how each behaves."""

from __future__ import annotations

import re
from enum import StrEnum

RING_SECONDS = 1.5
DETECTION_SECONDS = 0.6
SPEECH_SECONDS = 4.0
KEY_SECONDS = 0.5


class Phone(StrEnum):
    PERSON = "person"  # answers, is detected as a person, listens; presses 1 where the offer asks for it
    BUSINESS = "business"  # the same, detected as human_business
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    SLOW = "slow"  # answers after 20 s
    MACHINE = "machine"  # detected as a machine; its greeting ends later
    FAX = "fax"
    GREETING_ONLY = "greeting_only"  # a machine whose greeting ends before a detection result
    UNSURE = "unsure"  # detection says not_sure; presses nothing
    SILENT = "silent"  # detection says silence; presses 1 whenever it is offered
    NO_RESULT = "no_result"  # detection never ends; presses 1 at the first offer
    PRESSES_1 = "presses_1"  # hears the code and presses 1, once
    KEEPS_PRESSING = "keeps_pressing"  # presses 1 after each speech
    PRESSES_5 = "presses_5"
    HANGS_UP_SOON = "hangs_up_soon"  # hangs up in the middle of the first speech


DEFAULTS: dict[str, Phone] = {
    "9901": Phone.BUSY,
    "9902": Phone.NO_ANSWER,
    "9903": Phone.REJECTED,
    "9904": Phone.MACHINE,
    "9905": Phone.SLOW,
    "9906": Phone.PRESSES_1,
}

# When the call ends: (seconds after the dial, hangup_cause, sip_hangup_cause). None is the ring limit.
NEVER_ANSWERED: dict[Phone, tuple[float | None, str, str]] = {
    Phone.BUSY: (1.0, "user_busy", "486"),
    Phone.NO_ANSWER: (None, "timeout", "480"),
    Phone.REJECTED: (2.0, "call_rejected", "603"),
    Phone.NOT_FOUND: (0.5, "not_found", "404"),
}

# (seconds after the answer, event type, result)
DETECTION: dict[Phone, list[tuple[float, str, str]]] = {
    Phone.BUSINESS: [(DETECTION_SECONDS, "call.machine.premium.detection.ended", "human_business")],
    Phone.MACHINE: [
        (DETECTION_SECONDS, "call.machine.premium.detection.ended", "machine"),
        (4.0, "call.machine.premium.greeting.ended", "beep_detected"),
    ],
    Phone.FAX: [(DETECTION_SECONDS, "call.machine.premium.detection.ended", "fax_detected")],
    Phone.GREETING_ONLY: [(2.0, "call.machine.premium.greeting.ended", "beep_detected")],
    Phone.UNSURE: [(DETECTION_SECONDS, "call.machine.premium.detection.ended", "not_sure")],
    Phone.SILENT: [(DETECTION_SECONDS, "call.machine.premium.detection.ended", "silence")],
    Phone.NO_RESULT: [],
}
PERSON_DETECTED = [(DETECTION_SECONDS, "call.machine.premium.detection.ended", "human_residence")]


def key_pressed(phone: Phone, speeches_heard: int, payload: str) -> str:
    """The key that the phone presses after that many speeches, the last of which is `payload`. Empty for none."""
    if phone is Phone.PRESSES_5:
        return "5"
    if phone in (Phone.SILENT, Phone.KEEPS_PRESSING):
        return "1"
    if phone in (Phone.PERSON, Phone.BUSINESS):
        return "" if holds_code(payload) else "1"
    return "1" if phone in (Phone.PRESSES_1, Phone.NO_RESULT) and speeches_heard == 1 else ""


def holds_code(payload: str) -> bool:
    """Whether a code is read to the phone, rather than the offer to press 1."""
    return re.search(r"\d", re.sub(r"<[^>]*>", "", payload)) is not None
