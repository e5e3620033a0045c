"""What the web receives for Telnyx: the check and the parsing of a webhook, behind a name without a vendor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from letstalk.telephony.events import CallEvent
from letstalk.telephony.provider import WebhookReader
from letstalk.telephony.telnyx.events import parse_event
from letstalk.telephony.telnyx.signatures import WebhookSignatures
from letstalk.telephony.telnyx.states import ClientStates


class TelnyxWebhooks(WebhookReader):
    def __init__(self, *, public_key: str, state_key: bytes) -> None:
        """`state_key` is the provider's. Raises ValueError for a public key that is none."""
        self._signatures = WebhookSignatures(public_key)
        self._states = ClientStates(state_key)

    def read(self, headers: Mapping[str, str], raw_body: bytes, *, now: datetime) -> CallEvent | None:
        self._signatures.check(headers, raw_body, now=now)
        return parse_event(raw_body, states=self._states, now=now)
