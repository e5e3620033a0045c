from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.telnyx.outcomes import DETECTION_EVENTS, EVENT_TYPES
from letstalk.telephony.telnyx.webhooks import CallState, ClientStates, parse_event

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATES = ClientStates(b"k" * 32)
MINE = STATES.write(CallState("our-call", 3))


def parse(body: object) -> CallEvent | None:
    return parse_event(json.dumps(body).encode(), states=STATES, now=NOW)


def read(event_type: str, **payload: object) -> CallEvent:
    event = parse(envelope(event_type, **payload))
    assert event is not None
    return event


def envelope(event_type: object, **payload: object) -> dict[str, Any]:
    return {
        "data": {
            "record_type": "event",
            "event_type": event_type,
            "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
            "occurred_at": "2026-11-20T11:59:58.250000Z",
            "payload": {"call_control_id": "v3:abc", "client_state": MINE, **payload},
        },
        "meta": {"attempt": 1},
    }


def test_an_event_says_which_call_and_command_it_follows() -> None:
    event = read("call.answered")

    assert event == CallEvent(
        event_id="0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        type=EventType.ANSWERED,
        occurred_at=datetime(2026, 11, 20, 11, 59, 58, 250_000, tzinfo=UTC),
        call_id="our-call",
        provider_call_id="v3:abc",
        command_seq=3,
    )


def test_ids_that_are_longer_than_the_database_keeps_are_refused() -> None:
    long_id, long_call = envelope("call.answered"), envelope("call.answered", call_control_id="c" * 201)
    long_id["data"]["id"] = "e" * 101
    for body in (long_id, long_call):
        with pytest.raises(ValueError, match="has an `"):
            parse(body)
    assert read("call.answered", call_control_id="c" * 200).provider_call_id == "c" * 200


@pytest.mark.parametrize("state", [None, "", "Zm9yZ2Vk", 5, ["x"]])
def test_a_state_that_we_did_not_sign_names_no_call(state: object) -> None:
    event = read("call.answered", client_state=state)

    assert (event.call_id, event.command_seq, event.provider_call_id) == (None, None, "v3:abc")


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("call.initiated", EventType.INITIATED),
        ("call.answered", EventType.ANSWERED),
        ("call.machine.greeting.ended", EventType.GREETING_ENDED),
        ("call.machine.premium.greeting.ended", EventType.GREETING_ENDED),
        ("call.speak.started", EventType.SPEECH_STARTED),
        ("call.speak.ended", EventType.SPEECH_ENDED),
        ("call.gather.ended", EventType.GATHER_ENDED),
        ("call.hangup", EventType.HUNG_UP),
    ],
)
def test_each_event_has_our_word(event_type: str, kind: EventType) -> None:
    assert read(event_type).type is kind


@pytest.mark.parametrize("event_type", sorted(DETECTION_EVENTS))
@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ("human", EventType.HUMAN),
        ("human_residence", EventType.HUMAN),
        ("human_business", EventType.HUMAN),
        ("machine", EventType.MACHINE),
        ("fax_detected", EventType.MACHINE),
        ("fax", EventType.MACHINE),
        ("silence", EventType.UNSURE),
        ("not_sure", EventType.UNSURE),
        ("a word of tomorrow", EventType.UNSURE),
        ("", EventType.UNSURE),
        (None, EventType.UNSURE),
        ({"human": True}, EventType.UNSURE),
    ],
)
def test_only_a_detected_human_is_human(event_type: str, result: object, kind: EventType) -> None:
    assert read(event_type, result=result).type is kind


@pytest.mark.parametrize("status", ["cancelled", "cancelled_amd", "call_hangup"])
def test_a_gather_that_something_else_ended_is_canceled(status: str) -> None:
    assert read("call.gather.ended", status=status, digits="").gather_canceled


@pytest.mark.parametrize(("status", "digits"), [("valid", "1"), ("invalid", "5"), ("timeout", "")])
def test_a_gather_that_ran_its_course_tells_the_keys(status: str, digits: str) -> None:
    event = read("call.gather.ended", status=status, digits=digits)

    assert (event.digits, event.gather_canceled, event.detail) == (digits, False, status)


@pytest.mark.parametrize("digits", [None, 1, ["1"], {"1": 1}, "\x00", "one"])
def test_keys_that_are_none_are_no_keys(digits: object) -> None:
    assert read("call.gather.ended", status="valid", digits=digits).digits == ""


def test_a_speech_cut_short_is_no_speech_that_ended() -> None:
    assert parse(envelope("call.speak.ended", status="call_hangup")) is None
    assert read("call.speak.ended", status="completed").type is EventType.SPEECH_ENDED


@pytest.mark.parametrize(
    ("vendor_cause", "sip", "cause", "detail"),
    [
        ("normal_clearing", "200", HangupCause.NORMAL, "normal_clearing (SIP 200)"),
        ("user_busy", "486", HangupCause.BUSY, "user_busy (SIP 486)"),
        ("no_answer", "480", HangupCause.NO_ANSWER, "no_answer (SIP 480)"),
        ("timeout", "unspecified", HangupCause.NO_ANSWER, "timeout"),
        ("call_rejected", "603", HangupCause.REJECTED, "call_rejected (SIP 603)"),
        ("not_found", "404", HangupCause.NOT_FOUND, "not_found (SIP 404)"),
        ("time_limit", None, HangupCause.TIME_LIMIT, "time_limit"),
        ("originator_cancel", "487", HangupCause.CANCELED, "originator_cancel (SIP 487)"),
        ("unspecified", "486", HangupCause.BUSY, "unspecified (SIP 486)"),
        ("unspecified", "500", HangupCause.UNSPECIFIED, "unspecified (SIP 500)"),
        (None, None, HangupCause.UNSPECIFIED, ""),
        ("a word of tomorrow", {}, HangupCause.UNSPECIFIED, "a word of tomorrow"),
    ],
)
def test_each_hang_up_has_a_cause(vendor_cause: object, sip: object, cause: HangupCause, detail: str) -> None:
    event = read("call.hangup", hangup_cause=vendor_cause, sip_hangup_cause=sip)

    assert (event.cause, event.detail) == (cause, detail)


@pytest.mark.parametrize("event_type", ["call.cost", "call.dtmf.received", "call.recording.saved", "message.sent"])
def test_what_we_have_no_use_for_is_nothing(event_type: str) -> None:
    assert parse(envelope(event_type)) is None


@pytest.mark.parametrize(
    "moment",
    [None, "", "yesterday", 5, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-01:00"],
)
def test_a_moment_that_can_not_be_read_is_now(moment: object) -> None:
    body = envelope("call.answered")
    body["data"]["occurred_at"] = moment
    event = parse(body)

    assert event is not None
    assert event.occurred_at == NOW


@pytest.mark.parametrize("moment", ["2026-11-20T11:00:00Z", "2026-11-20T14:00:00+03:00", "2026-11-20T11:00:00"])
def test_moments_are_utc(moment: str) -> None:
    body = envelope("call.answered")
    body["data"]["occurred_at"] = moment
    event = parse(body)

    assert event is not None
    assert event.occurred_at == datetime(2026, 11, 20, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "raw_body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b"\xff\xfe",
        b'{"data": null}',
        b'{"data": {"event_type": 5}}',
        b'{"data": {"event_type": "call.answered", "id": "x"}}',
        b'{"data": {"event_type": "call.answered", "id": "x", "payload": {}}}',
        b'{"data": {"event_type": "call.answered", "id": "\\ud800", "payload": {"call_control_id": "x"}}}',
        b'{"data": {"event_type": "call.answered", "id": "x", "payload": {"call_control_id": "a\\u0000b"}}}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_a_body_that_is_no_event_is_a_value_error(raw_body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # which one is nobody's business
        parse_event(raw_body, states=STATES, now=NOW)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(MINE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NEARLY_EVENTS = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {
                "event_type": st.sampled_from([*EVENT_TYPES, *DETECTION_EVENTS, "call.cost"]) | ANY_JSON,
                "id": st.just("an-id") | ANY_JSON,
                "occurred_at": st.datetimes().map(str) | ANY_JSON,
                "payload": st.fixed_dictionaries(
                    {"call_control_id": st.just("v3:x") | ANY_JSON},
                    optional=dict.fromkeys(
                        ("client_state", "status", "digits", "result", "hangup_cause", "sip_hangup_cause"), ANY_JSON
                    ),
                )
                | ANY_JSON,
            }
        )
        | ANY_JSON
    }
)


@given(body=NEARLY_EVENTS | ANY_JSON)
def test_any_json_is_an_event_or_nothing_or_a_value_error(body: object) -> None:
    try:
        event = parse(body)
    except ValueError:
        return
    if event is not None:
        assert event.occurred_at.tzinfo is not None
        # Every text in it can be stored.
        for text in (event.event_id, event.provider_call_id, event.digits, event.detail):
            assert text is None or (text.isascii() and "\x00" not in text)


@given(raw_body=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_nothing_or_a_value_error(raw_body: bytes) -> None:
    try:
        parse_event(raw_body, states=STATES, now=NOW)
    except ValueError:
        return
