"""What the phone's page and its API show of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from letstalk.telephony.events import HangupCause
from letstalk.telephony.simulator.phone_calls import PhoneCall, PhoneState
from letstalk.telephony.simulator.scenarios import Scenario, scenario_for
from letstalk.telephony.speech.scripts import Speech


class DescribedCall(Protocol):
    """What a call is about, and how it ended. The features that place calls know it."""

    @property
    def verification_id(self) -> str | None: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def is_approved(self) -> bool: ...

    @property
    def result(self) -> str | None: ...


DescribeCalls = Callable[[Sequence[str]], Mapping[str, DescribedCall]]
"""By call id, for those that are known."""

HABITS = {
    Scenario.BUSY: "is busy",
    Scenario.NO_ANSWER: "does not answer",
    Scenario.REJECTED: "declines the call",
    Scenario.MACHINE: "is an answering machine: it is told nothing",
    Scenario.SLOW: "answers after 20 seconds",
    Scenario.PRESSES_1: "hears the code, and presses 1 to hear it again",
    Scenario.LISTENS: "answers and hears the code",
}

_RESULTS = {
    HangupCause.BUSY: "The line was busy.",
    HangupCause.NO_ANSWER: "Nobody picked up.",
    HangupCause.REJECTED: "The call was declined.",
    HangupCause.CANCELED: "The call was taken back.",
}


@dataclass(frozen=True, slots=True)
class CallView:
    """A call as the page shows it. `habit` says what a number with a scenario does by itself; None for a person."""

    call_id: str
    phone: str
    state: str
    is_live: bool
    habit: str | None
    created_at: datetime
    answered_at: datetime | None
    speech: Speech | None
    speech_number: int
    verification_id: str | None
    is_approved: bool
    result: str

    @property
    def is_ringing(self) -> bool:
        return self.state == PhoneState.RINGING


def show_calls(calls: Sequence[PhoneCall], describe: DescribeCalls) -> list[CallView]:
    described = describe([call.call_id for call in calls])
    return [_show(call, described.get(call.call_id)) for call in calls]


def choose(views: Sequence[CallView], wanted: str | None, *, is_firm: bool = False) -> CallView | None:
    """The call on the phone's screen: the one that is wanted, unless it is over and another is live. `views` are newest
    first. With `is_firm` the wanted call is shown in any case.
    """
    live = [view for view in reversed(views) if view.is_live]
    chosen = next((view for view in views if view.call_id == wanted), None)
    if chosen is not None and (is_firm or chosen.is_live or not live):
        return chosen
    by_hand = [view for view in live if view.habit is None]
    return next(iter([*by_hand, *live, *views]), None)


def _show(call: PhoneCall, described: DescribedCall | None) -> CallView:
    known = described.result if described is not None and not call.is_live else None
    return CallView(
        call_id=call.call_id,
        phone=call.phone,
        state=call.state.value,
        is_live=call.is_live,
        habit=None if call.is_by_hand else HABITS[scenario_for(call.phone)],
        created_at=call.created_at,
        answered_at=call.answered_at,
        speech=call.speech,
        speech_number=call.command_seq,
        verification_id=None if described is None else described.verification_id,
        is_approved=described is not None and described.is_approved,
        result=known or _RESULTS.get(call.cause or HangupCause.NORMAL, "The call is over."),
    )
