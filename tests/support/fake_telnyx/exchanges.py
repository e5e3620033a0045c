"""The telephone network behind the API: simulates calls from the dial to the hang-up, in scaled time."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from letstalk.telephony.simulator.timers import Timers
from tests.support.fake_telnyx.deliveries import Deliveries
from tests.support.fake_telnyx.phones import (
    DEFAULTS,
    DETECTION,
    KEY_SECONDS,
    NEVER_ANSWERED,
    PERSON_DETECTED,
    RING_SECONDS,
    SPEECH_SECONDS,
    Phone,
    key_pressed,
)

DEDUPE_SECONDS = 60


@dataclass
class Call:
    call_control_id: str
    phone: Phone
    dial: dict[str, Any]
    placed_at: float
    client_state: str
    answered_at: float | None = None
    ended_at: float | None = None
    hangup_cause: str | None = None
    heard: list[str] = field(default_factory=list)
    command_ids: set[str] = field(default_factory=set)
    listening: dict[str, Any] | None = None  # the current gather

    @property
    def is_live(self) -> bool:
        return self.ended_at is None


class Exchange:
    """One lock guards all state. One thread runs what happens later."""

    def __init__(self, deliveries: Deliveries, *, speed: float, channels: int | None, speak_events: bool) -> None:
        self.speed = speed
        self.channels = channels
        self.speak_events = speak_events
        self.least_limit_seconds = 30.0
        self.phones: dict[str, Phone] = dict(DEFAULTS)
        self.calls: dict[str, Call] = {}
        self.hearings: list[tuple[str, str]] = []  # (phone, payload), in the order in which they were heard
        self.max_live = 0
        self.max_live_per_phone = 0
        self.refused_over_channels = 0
        self.guard = threading.RLock()
        self._dials: dict[str, tuple[float, Call]] = {}
        self._deliveries = deliveries
        self._timers = Timers("fake-telnyx-exchange")

    @property
    def live(self) -> list[Call]:
        return [call for call in self.calls.values() if call.is_live]

    def stop(self) -> None:
        self._timers.stop()

    def dial(self, body: dict[str, Any]) -> Call | None:
        """The call. The earlier one for a command id of the last minute. None above the channel limit."""
        with self.guard:
            placed_at, earlier = self._dials.get(body.get("command_id", ""), (0.0, None))
            if earlier is not None and time.monotonic() - placed_at < DEDUPE_SECONDS:
                return earlier
            if self.channels is not None and len(self.live) >= self.channels:
                self.refused_over_channels += 1
                return None
            call = Call(f"v3:{uuid.uuid4().hex}", self._phone_at(body["to"]), body, time.time(), "")
            call.client_state = body.get("client_state", "")
            self.calls[call.call_control_id] = call
            if command_id := body.get("command_id"):
                self._dials[command_id] = (time.monotonic(), call)
            self.max_live = max(self.max_live, len(self.live))
            same_phone = sum(other.dial["to"] == body["to"] for other in self.live)
            self.max_live_per_phone = max(self.max_live_per_phone, same_phone)
            self._ring(call)
            return call

    def speak(self, call: Call, body: dict[str, Any], *, gather: bool) -> None:
        with self.guard:
            if not self._is_new(call, body):
                return
            self._stop_listening(call, "cancelled")
            call.heard.append(body["payload"])
            self.hearings.append((call.dial["to"], body["payload"]))
            if gather:
                call.listening = body
            state = call.client_state
            if self.speak_events or not gather:
                self._emit(call, "call.speak.started")
                self._later(SPEECH_SECONDS, lambda: self._finish_speech(call, body, gather=gather))
            if call.phone is Phone.HANGS_UP_SOON and len(call.heard) == 1:
                self._later(SPEECH_SECONDS / 2, lambda: self.end(call, "normal_clearing", source="callee"))
            key = key_pressed(call.phone, len(call.heard), body["payload"]) if gather else ""
            if key:
                self._later(SPEECH_SECONDS + KEY_SECONDS, lambda: self._press(call, body, key, state))
            elif gather:
                silence_seconds = body.get("timeout_millis", 60_000) / 1000
                self._later(SPEECH_SECONDS + silence_seconds, lambda: self._stop_listening(call, "timeout", of=body))

    def hang_up(self, call: Call, body: dict[str, Any]) -> None:
        with self.guard:
            if self._is_new(call, body):
                self.end(call, "normal_clearing" if call.answered_at else "originator_cancel", source="caller")

    def end(self, call: Call, cause: str, *, sip: str = "200", source: str = "unknown") -> None:
        with self.guard:
            if not call.is_live:
                return
            self._stop_listening(call, "call_hangup")
            call.ended_at, call.hangup_cause = time.time(), cause
            self._emit(call, "call.hangup", hangup_cause=cause, sip_hangup_cause=sip, hangup_source=source)

    def _phone_at(self, number: str) -> Phone:
        by_length = sorted(self.phones, key=len, reverse=True)
        return next((self.phones[ending] for ending in by_length if number.endswith(ending)), Phone.PERSON)

    def _ring(self, call: Call) -> None:
        ring_seconds = call.dial.get("timeout_secs", 30)
        self._emit(call, "call.initiated", state="bridging", direction="outgoing")
        if call.phone in NEVER_ANSWERED:
            seconds, cause, sip = NEVER_ANSWERED[call.phone]
            self._later(ring_seconds if seconds is None else seconds, lambda: self.end(call, cause, sip=sip))
            return
        answer_seconds = 20.0 if call.phone is Phone.SLOW else RING_SECONDS
        if answer_seconds >= ring_seconds:
            self._later(ring_seconds, lambda: self.end(call, "timeout", sip="480"))
        else:
            self._later(answer_seconds, lambda: self._answer(call))

    def _answer(self, call: Call) -> None:
        with self.guard:
            if not call.is_live:
                return
            call.answered_at = time.time()
            self._emit(call, "call.answered", state="answered")
            if call.dial.get("answering_machine_detection", "disabled") != "disabled":
                for seconds, event_type, result in DETECTION.get(call.phone, PERSON_DETECTED):
                    self._later(seconds, partial(self._emit_if_live, call, event_type, result=result))
            limit_seconds = max(call.dial.get("time_limit_secs", 14_400), self.least_limit_seconds * self.speed)
            self._later(limit_seconds, lambda: self.end(call, "time_limit"))

    def _finish_speech(self, call: Call, body: dict[str, Any], *, gather: bool) -> None:
        with self.guard:
            if call.is_live and (call.listening is body or not gather):
                self._emit(call, "call.speak.ended", status="completed")

    def _press(self, call: Call, body: dict[str, Any], key: str, state: str) -> None:
        with self.guard:
            if call.is_live and call.listening is body:
                self._emit(call, "call.dtmf.received", digit=key, state=state)
                is_valid = key in body.get("valid_digits", "0123456789#*")
                self._stop_listening(call, "valid" if is_valid else "invalid", digits=key)

    def _stop_listening(self, call: Call, status: str, *, digits: str = "", of: dict[str, Any] | None = None) -> None:
        with self.guard:
            if call.listening is None or not call.is_live or (of is not None and call.listening is not of):
                return
            state = call.listening.get("client_state", call.client_state)
            call.listening = None
            self._emit(call, "call.gather.ended", status=status, digits=digits, client_state=state)

    def _is_new(self, call: Call, body: dict[str, Any]) -> bool:
        command_id = body.get("command_id")
        if command_id in call.command_ids:
            return False
        if command_id:
            call.command_ids.add(command_id)
        # A gather that this command replaces still ends with the client_state of its own command.
        call.client_state = body.get("client_state", call.client_state)
        return True

    def _emit_if_live(self, call: Call, event_type: str, **payload: Any) -> None:
        with self.guard:
            if call.is_live:
                self._emit(call, event_type, **payload)

    def _emit(self, call: Call, event_type: str, **payload: Any) -> None:
        data = {
            "record_type": "event",
            "event_type": event_type,
            "id": str(uuid.uuid4()),
            "occurred_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "payload": {
                "call_control_id": call.call_control_id,
                "call_leg_id": call.call_control_id,
                "call_session_id": call.call_control_id,
                "client_state": call.client_state or None,
                "connection_id": call.dial["connection_id"],
                "from": call.dial["from"],
                "to": call.dial["to"],
                **payload,
            },
        }
        policy = call.dial.get("webhook_retries_policies", {}).get(event_type, {})
        if url := call.dial.get("webhook_url"):
            self._deliveries.send(url, data, policy.get("retries_ms"))

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        def run() -> None:
            action()

        self._timers.after(seconds / self.speed, run)
