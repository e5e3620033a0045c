"""Reads Telnyx's webhooks: checks the signature, then parses the event."""

from __future__ import annotations

from datetime import datetime

from letstalk.telephony.events import CallEvent
from letstalk.telephony.telnyx.events import parse_event
from letstalk.telephony.telnyx.signatures import WebhookSignatures
from letstalk.telephony.telnyx.states import ClientStates
from letstalk.telephony.webhooks import WebhookReader, WebhookRequest


class TelnyxWebhookReader(WebhookReader):
    def __init__(self, *, public_key: str, state_key: bytes) -> None:
        """`state_key` must be the one that TelnyxProvider has. Raises ValueError for an invalid public key."""
        self._signatures = WebhookSignatures(public_key)
        self._states = ClientStates(state_key)

    def read(self, request: WebhookRequest, *, now: datetime) -> CallEvent | None:
        self._signatures.check(request.headers, request.body, now=now)
        return parse_event(request.body, states=self._states, now=now)
