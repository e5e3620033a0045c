"""`client_state`: which of our calls, and which of our commands, an event speaks of.

Telnyx hands it back with every event, also where the answer to the dial itself was lost. It is signed, so that what
comes back is what we wrote: the webhook's own signature says that Telnyx sent the event, not that we made the call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

_MAC_BYTES = 16
_LONGEST_STATE = 1024


@dataclass(frozen=True, slots=True)
class CallState:
    """`command_seq` counts our commands within the call; the dial is 0."""

    call_id: str
    command_seq: int


class ClientStates:
    """Writes and reads `client_state` under one secret key of at least 16 bytes."""

    def __init__(self, state_key: bytes) -> None:
        if len(state_key) < 16:
            raise ValueError("a key for client states needs at least 16 bytes")
        self._key = state_key

    def write(self, state: CallState) -> str:
        """The state as Telnyx wants it: base64."""
        body = json.dumps([state.call_id, state.command_seq], separators=(",", ":")).encode()
        return base64.b64encode(self._mac(body) + body).decode()

    def read(self, text: object) -> CallState | None:
        """The state that `write` wrote, or None for anything else: absent, foreign, cut short, forged."""
        if not isinstance(text, str) or len(text) > _LONGEST_STATE:
            return None
        try:
            packed = base64.b64decode(text, validate=True)
        except ValueError:
            return None
        mac, body = packed[:_MAC_BYTES], packed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        # Only what we signed comes this far, so its shape is known.
        call_id, command_seq = json.loads(body)
        return CallState(call_id, command_seq)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, b"client_state:" + body, hashlib.sha256)[:_MAC_BYTES]
