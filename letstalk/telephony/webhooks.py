"""Events that a provider reports by HTTP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from letstalk.telephony.events import CallEvent


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as it arrived: some vendors sign the method and the URL, others the exact bytes of the body.

    The names of `headers` are in lower case.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


# Raises InvalidSignature or InvalidRequest for a request that is not accepted.
ReceiveWebhook = Callable[[WebhookRequest], None]


class WebhookReader(ABC):
    """Turns a vendor's webhook into an event. A provider that runs in this process has none."""

    @abstractmethod
    def read(self, request: WebhookRequest, *, now: datetime) -> CallEvent | None:
        """The event, or None for one that we do not use.

        Raises `core.errors.InvalidSignature` for a webhook that is unsigned, forged or too old, and ValueError for a
        signed one that is not an event. Raises nothing else, whatever the request contains.
        """
