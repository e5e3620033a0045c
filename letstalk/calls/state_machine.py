"""What an event changes about a call: the whole state machine, as one pure function.

Events come unordered, at once and more than once, so each reaction asks only whether the event
can still be true of the call as it stands. What is late, repeated or impossible changes nothing.

An answer is not a person. With detection on, nothing is said until a person is detected; a machine is told nothing;
where detection can't tell, only the offer to press 1 is spoken, which no machine can take up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from letstalk.calls.models import SPOKEN_BY, Call, CallStatus, Command, Spoken
from letstalk.telephony.events import CallEvent, EventType, HangupCause

MAX_REPEATS = 3  # how often key 1 speaks the code again
DETECTION_SECONDS = 6.0  # without a detection result for so long after the answer, the offer is spoken

# An event can prove that a call exists although the answer to our dial was lost, or was an error.
_NOT_YET_RINGING = frozenset({CallStatus.QUEUED, CallStatus.DIALING, CallStatus.UNKNOWN})
_NOT_YET_ANSWERED = _NOT_YET_RINGING | {CallStatus.RINGING}

# Kept, though they come too late to change a call that has come so far: no live one goes back.
_NEWS_NO_MORE = {
    EventType.INITIATED: frozenset({CallStatus.RINGING, CallStatus.ANSWERED, CallStatus.SPEAKING}),
    EventType.SPEECH_STARTED: frozenset({CallStatus.SPEAKING}),
}
OFTEN_NO_NEWS = frozenset(_NEWS_NO_MORE)

MACHINE_REASON = "A machine picked up. It was told nothing."
NO_KEY_REASON = "The call was answered, but nobody pressed 1 to hear the code."
READ_REASON = "The code was read."


@dataclass(frozen=True, slots=True)
class Reaction:
    """What becomes of the call: a new status, a command to carry out, and how a hang-up will be recorded.

    `was_heard` is true where the event proves that the code was spoken to the end.
    """

    status: CallStatus
    command: Command | None = None
    repeats: int | None = None
    end_status: CallStatus | None = None
    end_reason: str | None = None
    was_heard: bool = False


def react(call: Call, event: CallEvent, *, detects_machines: bool) -> Reaction | None:
    """What `event` makes of `call`; None when it changes nothing.

    A reaction with a status in ENDED ends the call, `end_reason` saying why in a developer's words.
    """
    if call.is_over and not _is_open_to(event, call):
        return None
    match event.type:
        case EventType.INITIATED:
            return Reaction(CallStatus.RINGING) if call.status in _NOT_YET_RINGING else None
        case EventType.ANSWERED:
            return _answered(call, detects_machines)
        case EventType.HUMAN:
            return _speak_code(call) if _undecided(call) else None
        case EventType.UNSURE:
            return offer_code(call)
        case EventType.MACHINE | EventType.GREETING_ENDED:
            return _hang_up(call, CallStatus.MACHINE, MACHINE_REASON) if _undecided(call) else None
        case EventType.SPEECH_STARTED:
            return Reaction(CallStatus.SPEAKING) if call.status is CallStatus.ANSWERED else None
        case EventType.GATHER_ENDED:
            return _gathered(call, event)
        case EventType.HUNG_UP:
            status, reason = _ending(call, event.cause or HangupCause.UNSPECIFIED)
            is_news = call.holds_channel or status is not CallStatus.UNKNOWN
            return Reaction(status, end_reason=reason) if is_news else None
        case EventType.SPEECH_ENDED:
            return None  # it changes nothing that is to be done


def is_no_news(event_type: EventType, status: CallStatus) -> bool:
    """Whether such an event certainly changes nothing about a call in that status, nor will later: it needs no lock."""
    return status in _NEWS_NO_MORE.get(event_type, ())


def _is_open_to(event: CallEvent, call: Call) -> bool:
    """Whether a call that is over may change: one of which nobody knew whether it exists turns out to, or one that was
    ended without an event hears after all how it did.
    """
    return call.status is CallStatus.UNKNOWN and (call.holds_channel or event.type is EventType.HUNG_UP)


def offer_code(call: Call) -> Reaction | None:
    """Speak the offer to press 1: detection could not tell who answered, or took too long."""
    if call.spoken is Spoken.NOTHING and call.command is None and not (call.is_over or call.is_ending):
        return Reaction(CallStatus.ANSWERED, command=Command.SPEAK_OFFER)
    return None


def _answered(call: Call, detects_machines: bool) -> Reaction | None:
    if call.status not in _NOT_YET_ANSWERED:
        return None
    is_to_be_silent = detects_machines or call.command is not None or call.is_ending
    return Reaction(CallStatus.ANSWERED) if is_to_be_silent else _speak_code(call)


def _undecided(call: Call) -> bool:
    """Whether nothing but the offer has been said or is about to be, and the call is meant to go on."""
    return call.spoken is not Spoken.CODE and call.command in (None, Command.SPEAK_OFFER) and not call.is_ending


def _speak_code(call: Call, repeats: int | None = None) -> Reaction:
    status = CallStatus.SPEAKING if call.status is CallStatus.SPEAKING else CallStatus.ANSWERED
    return Reaction(status, command=Command.SPEAK_CODE, repeats=repeats)


def _gathered(call: Call, event: CallEvent) -> Reaction | None:
    is_stale = event.command_seq is not None and event.command_seq != call.command_seq
    spoken = _heard_before(call, event)
    if is_stale or event.gather_canceled or spoken is Spoken.NOTHING or call.is_ending:
        return None
    if event.digits == "1" and spoken is Spoken.OFFER:
        return _speak_code(call)
    if event.digits == "1" and call.repeats < MAX_REPEATS:
        return _speak_code(call, repeats=call.repeats + 1)
    if spoken is Spoken.OFFER:
        return _hang_up(call, CallStatus.NO_ANSWER, NO_KEY_REASON)
    return replace(_hang_up(call, CallStatus.COMPLETED, READ_REASON), was_heard=True)


def _heard_before(call: Call, event: CallEvent) -> Spoken:
    """What was read before this listening ended, also where the answer to our command is still under way."""
    if event.command_seq == call.command_seq and call.command in SPOKEN_BY:
        return SPOKEN_BY[call.command]
    return call.spoken


def _hang_up(call: Call, end_status: CallStatus, end_reason: str) -> Reaction:
    status = CallStatus.ANSWERED if call.status in _NOT_YET_ANSWERED else call.status
    return Reaction(status, command=Command.HANG_UP, end_status=end_status, end_reason=end_reason)


# What a hang-up that we did not ask for means before the code was read.
_CAUSES: dict[HangupCause, tuple[CallStatus, str]] = {
    HangupCause.BUSY: (CallStatus.BUSY, "The line was busy."),
    HangupCause.NO_ANSWER: (CallStatus.NO_ANSWER, "Nobody picked up."),
    HangupCause.REJECTED: (CallStatus.REJECTED, "The call was declined."),
    HangupCause.NOT_FOUND: (CallStatus.FAILED, "The number is not in service."),
    HangupCause.TIME_LIMIT: (CallStatus.NO_ANSWER, "The call reached its time limit before the code was read."),
    HangupCause.CANCELED: (CallStatus.CANCELED, "The call was taken back before it was answered."),
    HangupCause.NORMAL: (CallStatus.NO_ANSWER, "The call ended before it was answered."),
    HangupCause.UNSPECIFIED: (CallStatus.FAILED, "The call ended, and the provider did not say why."),
}


def _ending(call: Call, cause: HangupCause) -> tuple[CallStatus, str]:
    if call.end_status is not None:
        return call.end_status, call.end_reason or ""
    if call.spoken is Spoken.CODE:
        return CallStatus.COMPLETED, READ_REASON
    was_answered = call.answered_at is not None
    if was_answered and cause in (HangupCause.NORMAL, HangupCause.UNSPECIFIED, HangupCause.REJECTED):
        return CallStatus.REJECTED, "The person hung up before the code was read."
    return _CAUSES[cause]
