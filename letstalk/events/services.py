"""The services about events for apps, as the wiring builds them."""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.events.api import MakeExample
from letstalk.events.delivering import WebhookDeliverer
from letstalk.events.endpoints import EndpointService
from letstalk.events.service import EventLog


@dataclass(frozen=True, slots=True)
class AppEvents:
    log: EventLog
    endpoints: EndpointService
    deliverer: WebhookDeliverer
    make_example: MakeExample
