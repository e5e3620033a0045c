"""The call's state machine: what each event does, and what no order of events can bring about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from letstalk.calls.models import ENDED, Call, CallStatus, Command, Spoken
from letstalk.calls.state_machine import MAX_REPEATS, OFTEN_NO_NEWS, Reaction, is_no_news, offer_code, react
from letstalk.telephony.events import CallEvent, EventType, HangupCause

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WAITING = Call(
    call_id="one",
    subject_id="v",
    owner_id="acme",
    phone="+256700123456",
    script_sealed="sealed",
    locale=None,
    speak_before=NOON + timedelta(minutes=5),
    status=CallStatus.QUEUED,
    reason=None,
    created_at=NOON,
    ended_at=None,
    turn=0,
    not_before=NOON,
    started_at=None,
    holds_channel=False,
    ask_provider_at=None,
    provider_call_id=None,
    first_dial_at=None,
    dial_round=0,
    dial_attempts=0,
    is_uncertain=False,
    leased_until=None,
    answered_at=None,
    spoken=Spoken.NOTHING,
    repeats=0,
    command=None,
    command_seq=0,
    command_attempts=0,
    command_leased_until=None,
    end_status=None,
    end_reason=None,
    duration_seconds=None,
)
DIALING = replace(WAITING, status=CallStatus.DIALING, holds_channel=True, started_at=NOON)
RINGING = replace(DIALING, status=CallStatus.RINGING, provider_call_id="p")
ANSWERED = replace(RINGING, status=CallStatus.ANSWERED, answered_at=NOON)
OFFERED = replace(ANSWERED, status=CallStatus.SPEAKING, spoken=Spoken.OFFER, command_seq=1)
READ = replace(ANSWERED, status=CallStatus.SPEAKING, spoken=Spoken.CODE, command_seq=1)
HANGING_UP = replace(ANSWERED, end_status=CallStatus.MACHINE, command_seq=1)
OVER = replace(READ, status=CallStatus.COMPLETED, ended_at=NOON, holds_channel=False)
LOST = replace(DIALING, status=CallStatus.UNKNOWN, ended_at=NOON)
FORGOTTEN = replace(LOST, holds_channel=False)


def event(type_: EventType, **fields: Any) -> CallEvent:
    return CallEvent("event", type_, NOON, "one", "p", **fields)


def outcome(call: Call, type_: EventType, *, detects: bool = True, **fields: Any) -> Reaction | None:
    return react(call, event(type_, **fields), detects_machines=detects)


@pytest.mark.parametrize("call", [WAITING, DIALING, LOST], ids=lambda call: call.status)
def test_an_event_proves_that_a_call_exists_whatever_the_dial_said(call: Call) -> None:
    assert outcome(call, EventType.INITIATED) == Reaction(CallStatus.RINGING)
    assert outcome(call, EventType.ANSWERED) == Reaction(CallStatus.ANSWERED)


def test_with_detection_an_answer_alone_says_nothing() -> None:
    assert outcome(RINGING, EventType.ANSWERED) == Reaction(CallStatus.ANSWERED)


def test_without_detection_whoever_answers_hears_the_code() -> None:
    assert outcome(RINGING, EventType.ANSWERED, detects=False) == Reaction(CallStatus.ANSWERED, Command.SPEAK_CODE)


def test_a_person_hears_the_code_also_when_detection_is_told_before_the_answer() -> None:
    for call in (RINGING, ANSWERED, OFFERED):
        reaction = outcome(call, EventType.HUMAN)
        assert reaction is not None
        assert reaction.command is Command.SPEAK_CODE


@pytest.mark.parametrize("type_", [EventType.MACHINE, EventType.GREETING_ENDED])
@pytest.mark.parametrize("call", [RINGING, ANSWERED, OFFERED], ids=["ringing", "answered", "offered"])
def test_a_machine_is_hung_up_on_and_told_nothing(call: Call, type_: EventType) -> None:
    reaction = outcome(call, type_)
    assert reaction is not None
    assert (reaction.command, reaction.end_status) == (Command.HANG_UP, CallStatus.MACHINE)


def test_a_machine_that_is_detected_after_the_code_was_read_changes_nothing() -> None:
    assert outcome(READ, EventType.MACHINE) is None
    assert outcome(replace(ANSWERED, command=Command.SPEAK_CODE), EventType.GREETING_ENDED) is None


def test_where_detection_cannot_tell_only_the_offer_is_made() -> None:
    assert outcome(ANSWERED, EventType.UNSURE) == Reaction(CallStatus.ANSWERED, Command.SPEAK_OFFER)
    assert outcome(OFFERED, EventType.UNSURE) is None
    assert outcome(READ, EventType.UNSURE) is None


def test_key_1_takes_up_the_offer() -> None:
    reaction = outcome(OFFERED, EventType.GATHER_ENDED, digits="1", command_seq=1)
    assert reaction == Reaction(CallStatus.SPEAKING, Command.SPEAK_CODE)


@pytest.mark.parametrize("digits", ["", "2", "11", "#"])
def test_no_other_key_and_no_silence_takes_up_the_offer(digits: str) -> None:
    reaction = outcome(OFFERED, EventType.GATHER_ENDED, digits=digits, command_seq=1)
    assert reaction is not None
    assert (reaction.command, reaction.end_status) == (Command.HANG_UP, CallStatus.NO_ANSWER)


def test_key_1_repeats_the_code_three_times_and_then_the_call_ends() -> None:
    for repeats in range(MAX_REPEATS):
        call = replace(READ, repeats=repeats)
        reaction = outcome(call, EventType.GATHER_ENDED, digits="1", command_seq=1)
        assert reaction == Reaction(CallStatus.SPEAKING, Command.SPEAK_CODE, repeats=repeats + 1)
    ended = outcome(replace(READ, repeats=MAX_REPEATS), EventType.GATHER_ENDED, digits="1", command_seq=1)
    assert ended is not None
    assert (ended.command, ended.end_status) == (Command.HANG_UP, CallStatus.COMPLETED)


def test_silence_after_the_code_completes_the_call() -> None:
    reaction = outcome(READ, EventType.GATHER_ENDED, command_seq=1)
    assert reaction is not None
    assert (reaction.command, reaction.end_status) == (Command.HANG_UP, CallStatus.COMPLETED)


def test_listening_that_another_command_ended_says_nothing_of_the_person() -> None:
    assert outcome(READ, EventType.GATHER_ENDED, gather_canceled=True, command_seq=1) is None
    assert outcome(READ, EventType.GATHER_ENDED, digits="1", command_seq=0) is None


def test_an_end_of_listening_proves_that_the_speech_was_heard_though_its_answer_was_lost() -> None:
    speaking = replace(ANSWERED, command=Command.SPEAK_CODE, command_seq=1)
    reaction = outcome(speaking, EventType.GATHER_ENDED, command_seq=1)
    assert reaction is not None
    assert (reaction.command, reaction.end_status) == (Command.HANG_UP, CallStatus.COMPLETED)
    offering = replace(ANSWERED, command=Command.SPEAK_OFFER, command_seq=1)
    taken_up = outcome(offering, EventType.GATHER_ENDED, digits="1", command_seq=1)
    assert taken_up == Reaction(CallStatus.ANSWERED, Command.SPEAK_CODE)


def test_listening_that_ends_before_anything_was_said_changes_nothing() -> None:
    assert outcome(ANSWERED, EventType.GATHER_ENDED, digits="1", command_seq=0) is None


@pytest.mark.parametrize("type_", [type_ for type_ in EventType if type_ is not EventType.HUNG_UP])
@pytest.mark.parametrize("detects", [True, False])
def test_a_call_that_we_have_hung_up_on_is_spoken_to_no_more(type_: EventType, detects: bool) -> None:
    for call in (HANGING_UP, replace(HANGING_UP, status=CallStatus.RINGING, answered_at=None)):
        for waiting in (None, Command.HANG_UP):
            reaction = outcome(replace(call, command=waiting), type_, detects=detects, digits="1", command_seq=1)
            assert reaction is None or reaction.command is None


def test_a_hang_up_that_we_asked_for_ends_the_call_as_we_said() -> None:
    reaction = outcome(HANGING_UP, EventType.HUNG_UP, cause=HangupCause.NORMAL)
    assert reaction is not None
    assert reaction.status is CallStatus.MACHINE


@pytest.mark.parametrize(
    ("call", "cause", "status"),
    [
        (RINGING, HangupCause.BUSY, CallStatus.BUSY),
        (RINGING, HangupCause.NO_ANSWER, CallStatus.NO_ANSWER),
        (RINGING, HangupCause.REJECTED, CallStatus.REJECTED),
        (RINGING, HangupCause.NOT_FOUND, CallStatus.FAILED),
        (RINGING, HangupCause.CANCELED, CallStatus.CANCELED),
        (RINGING, HangupCause.NORMAL, CallStatus.NO_ANSWER),
        (RINGING, HangupCause.UNSPECIFIED, CallStatus.FAILED),
        (DIALING, HangupCause.BUSY, CallStatus.BUSY),
        (WAITING, HangupCause.BUSY, CallStatus.BUSY),
        (LOST, HangupCause.NO_ANSWER, CallStatus.NO_ANSWER),
        (ANSWERED, HangupCause.NORMAL, CallStatus.REJECTED),
        (OFFERED, HangupCause.NORMAL, CallStatus.REJECTED),
        (ANSWERED, HangupCause.TIME_LIMIT, CallStatus.NO_ANSWER),
        (READ, HangupCause.NORMAL, CallStatus.COMPLETED),
        (READ, HangupCause.TIME_LIMIT, CallStatus.COMPLETED),
        (READ, None, CallStatus.COMPLETED),
    ],
)
def test_a_hang_up_ends_the_call_and_says_why(call: Call, cause: HangupCause | None, status: CallStatus) -> None:
    reaction = outcome(call, EventType.HUNG_UP, cause=cause)
    assert reaction is not None
    assert reaction.status is status
    assert reaction.end_reason
    assert reaction.end_reason.endswith(".")


@pytest.mark.parametrize(
    "call", [WAITING, DIALING, RINGING, ANSWERED, OFFERED, READ, HANGING_UP, OVER, LOST, FORGOTTEN]
)
@pytest.mark.parametrize("detects", [True, False])
def test_the_end_of_a_speech_changes_nothing_that_is_to_be_done(detects: bool, call: Call) -> None:
    speech_ended = EventType.SPEECH_ENDED
    assert outcome(call, speech_ended, detects=detects, digits="1", command_seq=call.command_seq) is None


@pytest.mark.parametrize("type_", EventType)
@pytest.mark.parametrize("call", [OVER, FORGOTTEN], ids=["completed", "unknown"])
def test_nothing_changes_a_call_that_is_over(call: Call, type_: EventType) -> None:
    if call is OVER or type_ is not EventType.HUNG_UP:
        assert outcome(call, type_, digits="1", command_seq=1) is None
    assert offer_code(call) is None


@pytest.mark.parametrize(
    "call", [WAITING, DIALING, RINGING, ANSWERED, OFFERED, READ, HANGING_UP, OVER, LOST, FORGOTTEN]
)
@pytest.mark.parametrize("type_", list(EventType))
@pytest.mark.parametrize("detects", [True, False])
def test_what_is_said_to_be_no_news_changes_no_such_call(type_: EventType, detects: bool, call: Call) -> None:
    if is_no_news(type_, call.status):
        assert type_ in OFTEN_NO_NEWS
        assert not call.is_over
        assert outcome(call, type_, detects=detects) is None


def test_a_hang_up_that_was_a_minute_late_still_says_how_an_unknown_call_ended() -> None:
    reaction = outcome(FORGOTTEN, EventType.HUNG_UP, cause=HangupCause.BUSY)
    assert reaction is not None
    assert (reaction.status, reaction.command) == (CallStatus.BUSY, None)
    given_up = replace(FORGOTTEN, end_status=CallStatus.UNKNOWN)
    assert outcome(given_up, EventType.HUNG_UP, cause=HangupCause.BUSY) is None


events = st.builds(
    CallEvent,
    event_id=st.just("event"),
    type=st.sampled_from(EventType),
    occurred_at=st.just(NOON),
    call_id=st.just("one"),
    provider_call_id=st.just("p"),
    command_seq=st.integers(0, 8),
    digits=st.sampled_from(["", "1", "2", "#"]),
    gather_canceled=st.booleans(),
    cause=st.none() | st.sampled_from(HangupCause),
)


class CallMachine(RuleBasedStateMachine):
    """Any events in any order, between them the carrying out of commands, which may fail or get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.call = DIALING
        self.detects = True
        self.seen: list[CallEvent] = []
        self.said: list[Command] = []
        self.may_speak = False
        self.was_machine = False
        self.endings = 0

    @initialize(call=st.sampled_from([WAITING, DIALING, RINGING, LOST]), detects=st.booleans())
    def begin(self, call: Call, detects: bool) -> None:
        self.call, self.detects = call, detects

    @rule(happened=events, is_current=st.booleans())
    def something_happens(self, happened: CallEvent, is_current: bool) -> None:
        if is_current:
            happened = replace(happened, command_seq=self.call.command_seq)
        self.seen.append(happened)
        self._apply(happened)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def something_is_told_again(self, data: st.DataObject) -> None:
        self._apply(data.draw(st.sampled_from(self.seen)))

    @rule()
    def detection_stays_silent(self) -> None:
        reaction = offer_code(self.call) if self.call.status is CallStatus.ANSWERED else None
        if reaction is not None:
            self._change(reaction)

    @precondition(lambda self: self.call.command is not None and not self.call.is_over)
    @rule(is_answer_lost=st.booleans())
    def the_command_is_carried_out(self, is_answer_lost: bool) -> None:
        command = self.call.command
        assert command is not None
        if command is not Command.HANG_UP:
            self.said.append(command)
        if is_answer_lost:
            return
        self.call = replace(self.call, command=None)
        if command is not Command.HANG_UP:
            spoken = Spoken.CODE if command is Command.SPEAK_CODE else Spoken.OFFER
            self.call = replace(self.call, spoken=spoken, status=CallStatus.SPEAKING)

    @precondition(lambda self: not self.call.is_over and not self.call.is_ending)
    @rule()
    def the_verification_is_over(self) -> None:
        self._command(Command.HANG_UP)
        self.call = replace(self.call, end_status=CallStatus.CANCELED)

    def _apply(self, happened: CallEvent) -> None:
        before = self.call
        reaction = react(self.call, happened, detects_machines=self.detects)
        is_unknown = before.status is CallStatus.UNKNOWN
        if before.is_over and not (is_unknown and (before.holds_channel or happened.type is EventType.HUNG_UP)):
            assert reaction is None, "an ended call has changed"
        if reaction is None:
            return
        self._permit(before, happened)
        self._change(reaction)
        again = react(self.call, happened, detects_machines=self.detects)
        assert again is None, f"applied twice, {happened.type} changes {again}"

    def _permit(self, call: Call, happened: CallEvent) -> None:
        is_person = happened.type is EventType.HUMAN
        is_key = happened.type is EventType.GATHER_ENDED and happened.digits == "1" and Command.SPEAK_OFFER in self.said
        is_unguarded = happened.type is EventType.ANSWERED and not self.detects
        self.may_speak = self.may_speak or is_person or is_key or is_unguarded
        is_machine = happened.type in (EventType.MACHINE, EventType.GREETING_ENDED)
        self.was_machine = self.was_machine or (is_machine and not self.may_speak and not call.is_ending)

    def _change(self, reaction: Reaction) -> None:
        assert not (self.was_machine and reaction.command in (Command.SPEAK_CODE, Command.SPEAK_OFFER))
        if reaction.status in ENDED:
            self.endings += 1
            self.call = replace(self.call, status=reaction.status, ended_at=NOON, holds_channel=False, command=None)
            return
        answered_at = self.call.answered_at if reaction.status is CallStatus.RINGING else self.call.answered_at or NOON
        self.call = replace(
            self.call, status=reaction.status, ended_at=None, holds_channel=True, answered_at=answered_at
        )
        if reaction.repeats is not None:
            self.call = replace(self.call, repeats=reaction.repeats)
        if reaction.command is not None:
            self._command(reaction.command)
            self.call = replace(self.call, end_status=self.call.end_status or reaction.end_status)

    def _command(self, command: Command) -> None:
        self.call = replace(self.call, command=command, command_seq=self.call.command_seq + 1)

    @invariant()
    def the_code_is_spoken_to_people_only(self) -> None:
        assert self.may_speak or (self.call.command is not Command.SPEAK_CODE and Command.SPEAK_CODE not in self.said)

    @invariant()
    def the_code_is_repeated_three_times_at_most(self) -> None:
        assert self.call.repeats <= MAX_REPEATS

    @invariant()
    def it_ends_once(self) -> None:
        assert self.endings <= 1
        assert self.call.is_over or self.endings == 0

    @invariant()
    def a_call_that_is_hung_up_on_is_told_nothing_more(self) -> None:
        assert not self.call.is_ending or self.call.command in (None, Command.HANG_UP)


TestCallMachine = CallMachine.TestCase
TestCallMachine.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
