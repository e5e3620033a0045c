"""The story of a verification: what happened, in time order, in sentences for a developer. Pure.

It is told from what the rows keep. A key that was pressed and a replay in a live call have no rows of their own: the
code is read again after either, and listening for a key has ended before it only where the key was pressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from letstalk.calls.models import ENDED, CallStatus, Command
from letstalk.telephony.events import EventType
from letstalk.verifications.models import MAX_ATTEMPTS, CallHistory, VerificationHistory, VerificationStatus
from letstalk.verifications.outcomes import EXPLANATIONS, REASON_OF_CALL, Explanation, Reason, reason_of

LONG_WAIT = timedelta(seconds=2)  # a dispatch takes less, unless there is no channel
PUT_BACK = "put_back"
QUEUED = CallStatus.QUEUED.value


class Tone(StrEnum):
    """Whether an event is good or bad news."""

    PLAIN = "plain"
    INFO = "info"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One thing that happened. `offset_seconds` counts from the request; `detail` is empty where all is said.

    `call_id` is the call in which it happened, `other_id` another verification that it names.
    """

    at: datetime
    sentence: str
    detail: str = ""
    tone: Tone = Tone.PLAIN
    offset_seconds: float = 0.0
    call_id: str | None = None
    other_id: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """`events`, oldest first, and in the end what became of it (`explanation`), with what to do about it."""

    events: tuple[StoryEvent, ...]
    reason: Reason
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Facts:
    """What a story is told from.

    `requested_by` names the token, None where it is not known. `wrong_codes_at` are those that are still stored, oldest
    first. `successor_id` is the verification that has taken the place of this one.
    """

    history: VerificationHistory
    requested_by: str | None = None
    wrong_codes_at: Sequence[datetime] = ()
    successor_id: str | None = None


# What each event of a call says. Those that are not here need more than their name, or say nothing new.
_OF_CALL: dict[str, tuple[str, str, Tone]] = {
    CallStatus.DIALING: ("Dialed.", "The provider was asked to place the call.", Tone.PLAIN),
    EventType.HUMAN: ("A person was detected.", "", Tone.GOOD),
    EventType.MACHINE: ("A machine was detected.", "Voicemail or a fax. It is told nothing.", Tone.WARN),
    EventType.UNSURE: (
        "It could not be told whether a person or a machine answered.",
        "So the call offers the code to a person who presses 1.",
        Tone.WARN,
    ),
    EventType.GREETING_ENDED: ("The greeting of a machine ended.", "It is told nothing.", Tone.WARN),
    Command.SPEAK_OFFER: ("The offer to press 1 was spoken.", "", Tone.INFO),
    PUT_BACK: (
        "The provider could not take the call now.",
        "It went back into the queue, and was tried again after a pause.",
        Tone.WARN,
    ),
    CallStatus.COMPLETED: ("The call ended.", "", Tone.PLAIN),
    CallStatus.NO_ANSWER: ("The call ended without the code.", "", Tone.BAD),
    CallStatus.BUSY: ("The line was busy.", "", Tone.BAD),
    CallStatus.REJECTED: ("The call was declined.", "", Tone.BAD),
    CallStatus.MACHINE: ("The call was hung up.", "A machine had picked up. It was told nothing.", Tone.BAD),
    CallStatus.FAILED: ("The call failed.", "", Tone.BAD),
    CallStatus.CANCELED: ("The call was taken back.", "", Tone.PLAIN),
    CallStatus.UNKNOWN: ("Nobody can say whether the call was placed.", "", Tone.BAD),
}
_OF_END: dict[VerificationStatus, tuple[str, str, Tone]] = {
    VerificationStatus.EXPIRED: ("The code expired.", "It can't be entered any more.", Tone.WARN),
    VerificationStatus.ATTEMPTS_EXCEEDED: ("Too many wrong codes: the verification ended.", "", Tone.BAD),
    VerificationStatus.CANCELED: ("Canceled.", "The code can't be entered any more.", Tone.WARN),
    VerificationStatus.SUPERSEDED: ("A newer code took the place of this one.", "", Tone.WARN),
    VerificationStatus.FAILED: ("The verification failed: no call could be placed.", "", Tone.BAD),
}


# Where a verification stands whose code can still be entered.
_WHILE_PENDING: dict[CallStatus | None, str] = {
    None: "It is for a test number, so no call is placed. Its fixed code can be entered.",
    CallStatus.QUEUED: "The call waits for a free channel.",
    CallStatus.DIALING: "The call is being placed.",
    CallStatus.RINGING: "The phone rings.",
    CallStatus.ANSWERED: "The call was answered, and nothing was said yet.",
    CallStatus.SPEAKING: "The call speaks.",
    CallStatus.COMPLETED: "The code was read, and has not been entered yet.",
}


def tell_story(facts: Facts) -> Story:
    """The story as it stands at the moment for which `facts.history` has the status."""
    history = facts.history
    begun_at = history.verification.created_at
    found = sorted([_request(facts), *_checks(facts), *_calls(history), *_end(facts)], key=lambda event: event.at)
    events = (replace(event, offset_seconds=max(0.0, (event.at - begun_at).total_seconds())) for event in found)
    last = history.calls[-1].call.status if history.calls else None
    reason = reason_of(history.status, last)
    return Story(tuple(events), reason, _explain(reason, last))


def _explain(reason: Reason, last_call: CallStatus | None) -> Explanation:
    explanation = EXPLANATIONS[reason]
    if reason is not Reason.PENDING:
        return explanation
    sentence = _WHILE_PENDING.get(last_call)
    if sentence is not None:
        return replace(explanation, sentence=sentence)
    of_call = EXPLANATIONS[REASON_OF_CALL[last_call]]
    return replace(of_call, label=explanation.label, sentence=f"{of_call.sentence} The code is still valid.")


def _request(facts: Facts) -> StoryEvent:
    verification = facts.history.verification
    by = "" if facts.requested_by is None else f" with {facts.requested_by}"
    detail = "It is for a test number: no call is placed." if verification.is_test else ""
    return StoryEvent(verification.created_at, f"Requested{by}.", detail)


def _checks(facts: Facts) -> Iterator[StoryEvent]:
    verification = facts.history.verification
    wrong = verification.attempts_used - (verification.approved_at is not None)
    are_all_known = len(facts.wrong_codes_at) == wrong
    for number, at in enumerate(facts.wrong_codes_at, start=1):
        left = MAX_ATTEMPTS - number
        detail = f"{left} {'attempt was' if left == 1 else 'attempts were'} left." if are_all_known else ""
        yield StoryEvent(at, "A wrong code was entered.", detail, Tone.WARN)
    if verification.approved_at is not None:
        yield StoryEvent(verification.approved_at, "The right code was entered: approved.", "", Tone.GOOD)


def _end(facts: Facts) -> Iterator[StoryEvent]:
    verification, status = facts.history.verification, facts.history.status
    if status not in _OF_END:
        return
    at = verification.ended_at
    if at is None:  # it has just run out, or was stored by a version that did not note it
        known = [verification.created_at, *(at for item in facts.history.calls for at, _ in item.events)]
        at = verification.expires_at if status is VerificationStatus.EXPIRED else max(known)
    sentence, detail, tone = _OF_END[status]
    yield StoryEvent(at, sentence, detail, tone, other_id=facts.successor_id)


def _calls(history: VerificationHistory) -> Iterator[StoryEvent]:
    for number, item in enumerate(history.calls):
        for event in _call(item, is_replay=number > 0):
            yield replace(event, call_id=item.call.call_id)


def _call(item: CallHistory, *, is_replay: bool) -> Iterator[StoryEvent]:
    call, events = item.call, item.events
    types = [type_ for _, type_ in events]
    has_rung, has_spoken = False, False
    for place, (at, type_) in enumerate(events):
        before = types[place - 1] if place else ""
        after = types[place + 1] if place + 1 < len(types) else ""
        if type_ == QUEUED:
            sentence = "A replay was asked for: another call was queued." if is_replay else "Queued."
            yield StoryEvent(at, sentence, _describe_wait(item), Tone.WARN if _waited_long(item) else Tone.PLAIN)
        elif type_ in (EventType.INITIATED, CallStatus.RINGING):
            if not has_rung:
                yield StoryEvent(at, "The phone rings.", "", Tone.INFO)
            has_rung = True
        elif type_ == EventType.ANSWERED:
            yield StoryEvent(at, "Answered.", "", Tone.INFO)
        elif type_ == Command.SPEAK_CODE:
            was_replayed = has_spoken and before != EventType.GATHER_ENDED
            detail = "A replay was asked for." if was_replayed else ""
            yield StoryEvent(at, f"The code is read{' again' if has_spoken else ''}.", detail, Tone.INFO)
            has_spoken = True
        elif type_ == EventType.GATHER_ENDED:
            if after == Command.SPEAK_CODE:
                yield StoryEvent(at, "Key 1 was pressed.", "", Tone.INFO)
            elif not has_spoken:
                yield StoryEvent(at, "Nobody pressed 1.", "", Tone.WARN)
        elif type_ in _OF_CALL:
            sentence, detail, tone = _OF_CALL[type_]
            reason = call.reason or "" if type_ in ENDED and place == len(events) - 1 else ""
            yield StoryEvent(at, sentence, detail or ("" if reason == sentence else reason), tone)
    if call.heard_at is not None:
        yield StoryEvent(call.heard_at, "The code was read to the end.", "", Tone.GOOD)


def _describe_wait(item: CallHistory) -> str:
    """Why the call waits or had to wait, where it is worth a word."""
    call = item.call
    if call.status is CallStatus.QUEUED:
        if any(type_ == PUT_BACK for _, type_ in item.events):
            return f"It waits to be tried again. {call.reason or ''}".strip()
        return "It waits for a free channel."
    if not _waited_long(item):
        return ""
    waited = _waited(item)
    how_long = f"It waited {waited.total_seconds():.0f} s" if waited is not None else "It waited"
    return f"{how_long}: all channels were in use, or another call to this phone was live."


def _waited_long(item: CallHistory) -> bool:
    waited = _waited(item)
    return waited is not None and waited >= LONG_WAIT


def _waited(item: CallHistory) -> timedelta | None:
    """From its request until it was first dialed, or ended without that. None while it waits."""
    ends = [at for at, type_ in item.events if type_ == CallStatus.DIALING or type_ in ENDED]
    return min(ends) - item.call.created_at if ends else None
