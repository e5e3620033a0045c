"""What happens in a simulated call. The last four digits of the phone number select the scenario."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ANSWER_SECONDS = 1.5
SLOW_ANSWER_SECONDS = 20.0
BUSY_SECONDS = 1.0
REJECTION_SECONDS = 3.0
INITIATED_SECONDS = 0.1
# Counted from the answer.
DETECTION_SECONDS = 0.6
GREETING_SECONDS = 4.0
# A person hears the code once, then a short silence, so that every scenario is over within 15 s of the dial.
LONGEST_SPEECH_SECONDS = 9.0
LONGEST_SILENCE_SECONDS = 2.5
KEY_SECONDS = 0.8
# How long a person stays on a silent line.
PATIENCE_SECONDS = 10.0
HANG_UP_SECONDS = 0.2


class Scenario(StrEnum):
    BUSY = "busy"
    NO_ANSWER = "unanswered"
    REJECTED = "rejected"
    MACHINE = "machine"  # answers, greets, and records what it hears
    SLOW = "slow"  # answers after 20 s
    PRESSES_1 = "presses"  # hears the code and presses 1, once
    LISTENS = "listens"  # answers and hears the code
    BY_HAND = "hand"  # does what a person does on the phone's page: no number selects it


NUMBERS: dict[str, Scenario] = {
    "9901": Scenario.BUSY,
    "9902": Scenario.NO_ANSWER,
    "9903": Scenario.REJECTED,
    "9904": Scenario.MACHINE,
    "9905": Scenario.SLOW,
    "9906": Scenario.PRESSES_1,
}


def scenario_for(phone: str) -> Scenario:
    """What a phone does by itself, by its last four digits."""
    return NUMBERS.get(phone[-4:], Scenario.LISTENS)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """The content of a simulated call's id, which is all that a process needs that did not dial the call.

    Several processes may share one queue, so one of them may speak into a call that another one dialed. The id does
    not contain the phone number, because ids are logged.
    """

    scenario: Scenario
    dialed_at_ms: int  # since the epoch
    longest_seconds: int  # ring and call limit together
    call_id: str

    def to_id(self) -> str:
        return f"sim-{self.scenario}-{self.dialed_at_ms}-{self.longest_seconds}-{self.call_id}"

    @classmethod
    def from_id(cls, provider_call_id: str) -> SimulatedCall | None:
        """The call, or None for an id that `to_id` did not make."""
        match provider_call_id.split("-", 4):
            case ["sim", scenario, dialed_at_ms, longest_seconds, call_id]:
                try:
                    return cls(Scenario(scenario), int(dialed_at_ms), int(longest_seconds), call_id)
                except ValueError:
                    return None
        return None
