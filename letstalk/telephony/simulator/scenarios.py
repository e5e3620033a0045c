"""What becomes of a simulated call: the last four digits of the number decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ANSWER_SECONDS = 1.5
SLOW_ANSWER_SECONDS = 20.0
BUSY_SECONDS = 1.0
REJECTION_SECONDS = 3.0
INITIATED_SECONDS = 0.1
# From the answer on.
DETECTION_SECONDS = 0.6
GREETING_SECONDS = 4.0
# A person listens to the code once and to a moment of silence; so everybody has heard it within 15 s of the dial.
LONGEST_SPEECH_SECONDS = 9.0
LONGEST_SILENCE_SECONDS = 2.5
KEY_SECONDS = 0.8
# Nobody stays on a line that says nothing more.
PATIENCE_SECONDS = 10.0
HANG_UP_SECONDS = 0.2


class Fate(StrEnum):
    BUSY = "busy"
    NO_ANSWER = "unanswered"
    REJECTED = "rejected"
    MACHINE = "machine"  # answers, greets, and records what it hears
    SLOW = "slow"  # answers after 20 s
    PRESSES_1 = "presses"  # hears the code and presses 1, once
    LISTENS = "listens"  # answers and hears the code


_BY_LAST_DIGITS: dict[str, Fate] = {
    "9901": Fate.BUSY,
    "9902": Fate.NO_ANSWER,
    "9903": Fate.REJECTED,
    "9904": Fate.MACHINE,
    "9905": Fate.SLOW,
    "9906": Fate.PRESSES_1,
}


def fate_of(phone: str) -> Fate:
    return _BY_LAST_DIGITS.get(phone[-4:], Fate.LISTENS)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """What the id of a simulated call says about it: enough for a process that did not dial it.

    Several processes may share one queue, so a call that one of them dialed may be spoken to by another. The id
    carries no phone: ids end in logs.
    """

    fate: Fate
    dialed_at_ms: int  # since the epoch
    longest_seconds: int  # ring and call limit together
    call_id: str

    def to_id(self) -> str:
        return f"sim-{self.fate}-{self.dialed_at_ms}-{self.longest_seconds}-{self.call_id}"

    @classmethod
    def from_id(cls, provider_call_id: str) -> SimulatedCall | None:
        """The call, or None for an id that `to_id` has not made."""
        match provider_call_id.split("-", 4):
            case ["sim", fate, dialed_at_ms, longest_seconds, call_id]:
                try:
                    return cls(Fate(fate), int(dialed_at_ms), int(longest_seconds), call_id)
                except ValueError:
                    return None
        return None
