"""`client_state`: the call and the command that an event belongs to.

Telnyx returns it with every event, even if the response to the dial was lost. We sign it, because the webhook's own
signature proves that Telnyx sent the event, but not that we placed the call.
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
