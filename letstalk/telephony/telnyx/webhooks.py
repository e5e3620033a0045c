"""Reads Telnyx's webhooks: checks the signature, then parses the body into a `CallEvent`.

Each event contains `client_state`, which we sent with the command before it. It names the call even if the response to
the dial was lost. We sign it, because the webhook's signature proves that Telnyx sent the event, but not that we placed
the call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature as SignatureMismatch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from letstalk.core.errors import InvalidSignature
from letstalk.telephony.events import CallEvent, EventType, HangupCause, WebhookReader, WebhookRequest
from letstalk.telephony.telnyx.outcomes import (
    DETECTION_EVENTS,
    DETECTIONS,
    EVENT_TYPES,
    GATHER_CANCELED,
    SPEECH_CUT_SHORT,
    hangup_cause,
)

SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
TOLERANCE_SECONDS = 300

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE_BYTES = 64

_MAC_BYTES = 16
_LONGEST_STATE = 1024

# The lengths of the database's columns. Telnyx's ids are UUIDs and about 60 characters long.
_EVENT_ID = re.compile(r"[!-~]{1,100}")
_CALL_ID = re.compile(r"[!-~]{1,200}")
_NOT_A_KEY = re.compile(r"[^0-9A-D*#]")
_NOT_A_WORD = re.compile(r"[^0-9A-Za-z _.:-]")


class TelnyxWebhookReader(WebhookReader):
    def __init__(self, *, public_key: str, state_key: bytes) -> None:
        """`state_key` must be the one that TelnyxProvider has. Raises ValueError for an invalid public key."""
        self._signatures = WebhookSignatures(public_key)
        self._states = ClientStates(state_key)

    def read(self, request: WebhookRequest, *, now: datetime) -> CallEvent | None:
        self._signatures.ensure_signed(request.headers, request.body, now=now)
        return parse_event(request.body, states=self._states, now=now)


class WebhookSignatures:
    """Checks webhooks against the account's public key (base64 of 32 bytes, as the Telnyx portal shows it).

    The signature is Ed25519 over `timestamp|raw body`, and valid for `tolerance_seconds`.
    """

    def __init__(self, public_key: str, *, tolerance_seconds: int = TOLERANCE_SECONDS) -> None:
        """Raises ValueError for an invalid public key, without quoting it."""
        try:
            self._public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.strip(), validate=True))
        except ValueError:
            raise ValueError("the Telnyx public key must be the base64 of 32 bytes") from None
        self._tolerance_seconds = tolerance_seconds

    def ensure_signed(self, headers: Mapping[str, str], raw_body: bytes, *, now: datetime) -> None:
        """Raises InvalidSignature, with the same text for every reason, unless the signature is valid.

        The names of `headers` are in lower case. `raw_body` must be the exact bytes of the body, because those are
        signed.
        """
        if not self._is_valid(headers.get(SIGNATURE_HEADER), headers.get(TIMESTAMP_HEADER), raw_body, now):
            raise InvalidSignature("The webhook is not signed by Telnyx, or its signature is too old.")

    def _is_valid(self, signature: str | None, timestamp: str | None, raw_body: bytes, now: datetime) -> bool:
        if not signature or not timestamp or not _TIMESTAMP.fullmatch(timestamp):
            return False
        if abs(now.timestamp() - int(timestamp)) > self._tolerance_seconds:
            return False
        try:
            signature_bytes = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        if len(signature_bytes) != _SIGNATURE_BYTES:
            return False
        try:
            self._public_key.verify(signature_bytes, timestamp.encode() + b"|" + raw_body)
        except SignatureMismatch:
            return False
        return True


@dataclass(frozen=True, slots=True)
class CallState:
    """`command_seq` counts our commands within the call. The dial is 0."""

    call_id: str
    command_seq: int


class ClientStates:
    """Writes and reads `client_state`, signed with a secret key of at least 16 bytes."""

    def __init__(self, state_key: bytes) -> None:
        if len(state_key) < 16:
            raise ValueError("the key for client states requires at least 16 bytes")
        self._key = state_key

    def write(self, state: CallState) -> str:
        """The state in base64, as Telnyx requires."""
        body = json.dumps([state.call_id, state.command_seq], separators=(",", ":")).encode()
        return base64.b64encode(self._mac(body) + body).decode()

    def read(self, text: object) -> CallState | None:
        """The state that `write` wrote. None if it is absent, incomplete, forged or not ours."""
        if not isinstance(text, str) or len(text) > _LONGEST_STATE:
            return None
        try:
            packed = base64.b64decode(text, validate=True)
        except ValueError:
            return None
        mac, body = packed[:_MAC_BYTES], packed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        # We signed it, so its shape is known.
        call_id, command_seq = json.loads(body)
        return CallState(call_id, command_seq)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, b"client_state:" + body, hashlib.sha256)[:_MAC_BYTES]


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
