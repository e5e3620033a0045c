"""Parses the body of a webhook into a `CallEvent`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.telnyx.outcomes import (
    DETECTION_EVENTS,
    DETECTIONS,
    EVENT_TYPES,
    GATHER_CANCELED,
    SPEECH_CUT_SHORT,
    hangup_cause,
)
from letstalk.telephony.telnyx.states import ClientStates

# The lengths of the database's columns. Telnyx's ids are UUIDs and about 60 characters long.
_EVENT_ID = re.compile(r"[!-~]{1,100}")
_CALL_ID = re.compile(r"[!-~]{1,200}")
_NOT_A_KEY = re.compile(r"[^0-9A-D*#]")
_NOT_A_WORD = re.compile(r"[^0-9A-Za-z _.:-]")


def parse_event(raw_body: bytes, *, states: ClientStates, now: datetime) -> CallEvent | None:
    """The event that the webhook reports, or None for one that we do not use (the cost of a call, a single key, …).

    Raises ValueError, and nothing else, for a body that is not a Telnyx event. `now` is used if the event's own time
    cannot be read.
    """
    data = _object(_json(raw_body), "data")
    event_type = data.get("event_type")
    if not isinstance(event_type, str):
        raise ValueError("a Telnyx event has a string `event_type`")
    if event_type not in EVENT_TYPES and event_type not in DETECTION_EVENTS:
        return None
    payload = _object(data, "payload")
    status = _word(payload.get("status"))
    # A speech that a hang-up or the detection interrupted was not heard to its end, so its end is not reported.
    if event_type == "call.speak.ended" and status in SPEECH_CUT_SHORT:
        return None
    state = states.read(payload.get("client_state"))
    kind = _kind(event_type, payload)
    cause, detail = _outcome(kind, payload, status)
    return CallEvent(
        event_id=_id(data, "id", _EVENT_ID),
        type=kind,
        occurred_at=_timestamp(data.get("occurred_at"), now),
        call_id=state.call_id if state else None,
        provider_call_id=_id(payload, "call_control_id", _CALL_ID),
        command_seq=state.command_seq if state else None,
        digits=_keys(payload.get("digits")) if kind is EventType.GATHER_ENDED else "",
        gather_canceled=kind is EventType.GATHER_ENDED and status in GATHER_CANCELED,
        cause=cause,
        detail=detail,
    )


def _kind(event_type: str, payload: dict[str, Any]) -> EventType:
    if event_type in DETECTION_EVENTS:
        return DETECTIONS.get(_word(payload.get("result")), EventType.UNSURE)
    return EVENT_TYPES[event_type]


def _outcome(kind: EventType, payload: dict[str, Any], status: str) -> tuple[HangupCause | None, str]:
    if kind is not EventType.HUNG_UP:
        return None, status or _word(payload.get("result"))
    vendor_cause, sip_code = _word(payload.get("hangup_cause")), _word(payload.get("sip_hangup_cause"))
    detail = f"{vendor_cause or 'unspecified'} (SIP {sip_code})" if sip_code.isdigit() else vendor_cause
    return hangup_cause(vendor_cause, sip_code), detail


def _json(raw_body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(raw_body)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("a Telnyx event is a JSON object")
    return parsed


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    child = parent.get(name)
    if not isinstance(child, dict):
        raise ValueError(f"a Telnyx event has an object `{name}`")
    return child


def _id(parent: dict[str, Any], name: str, shape: re.Pattern[str]) -> str:
    value = parent.get(name)
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError(f"a Telnyx event has an `{name}`")
    return value


def _keys(value: object) -> str:
    return _NOT_A_KEY.sub("", value)[:32] if isinstance(value, str) else ""


def _word(value: object) -> str:
    # The value goes into our database and logs, so it is limited to a short word.
    return _NOT_A_WORD.sub("", value)[:64] if isinstance(value, str) else ""


def _timestamp(value: object, now: datetime) -> datetime:
    if not isinstance(value, str):
        return now
    try:
        timestamp = datetime.fromisoformat(value)
        return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return now
