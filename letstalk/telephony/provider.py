"""What a telephony provider is: four commands out (`CallProvider`), events in (`EventSink`, or `WebhookReader`).

ProviderError
├── CallRefused       the provider will never place this call (a wrong number, wrong credentials)
├── ProviderBusy      not placed and may be asked again (channel limit, rate limit, a 5xx)
├── OutcomeUnknown    the command may or may not have been carried out (time-out, lost or garbled answer)
└── CallGone          the call that the command speaks of has ended
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import provider_command_seconds
from letstalk.telephony.events import CallEvent
from letstalk.telephony.speech.scripts import Speech

log = get_logger(__name__)

EventSink = Callable[[CallEvent], None]


class ProviderError(Exception):
    """`reason` is a sentence that a developer understands, without vendor codes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CallRefused(ProviderError):
    pass


class ProviderBusy(ProviderError):
    """`disproved` says that the provider told us that it placed nothing (a limit), not just that it failed (a 5xx)."""

    def __init__(self, reason: str, *, disproved: bool = True, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.disproved = disproved
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(ProviderError):
    pass


class CallGone(ProviderError):
    pass


@dataclass(frozen=True, slots=True)
class DialCommand:
    """`command_id` makes a repeat harmless for as long as the provider remembers it (Telnyx: 60 s)."""

    call_id: str
    phone: str
    command_id: str
    detect_machine: bool
    ring_seconds: int
    call_limit_seconds: int


@dataclass(frozen=True, slots=True)
class SpeakCommand:
    """Speak, then listen for `valid_digits` for `listen_seconds`; events that follow carry `command_seq`."""

    call_id: str
    provider_call_id: str
    command_id: str
    command_seq: int
    speech: Speech
    valid_digits: str
    listen_seconds: int


@dataclass(frozen=True, slots=True)
class HangUpCommand:
    call_id: str
    provider_call_id: str
    command_id: str


class CallProvider(ABC):
    """A vendor, or the simulator. This class times, logs and counts; a subclass only talks to its vendor."""

    name: str

    def dial(self, command: DialCommand) -> str:
        """Ask for the call. Returns the provider's own id of it.

        Raises CallRefused, ProviderBusy or OutcomeUnknown.
        """
        with self._observed("dial", command.call_id):
            return self._dial(command)

    def speak(self, command: SpeakCommand) -> None:
        """Speak into an answered call. Raises CallGone, CallRefused, ProviderBusy or OutcomeUnknown."""
        with self._observed("speak", command.call_id):
            self._speak(command)

    def hang_up(self, command: HangUpCommand) -> None:
        """End the call. Raises CallGone, CallRefused, ProviderBusy or OutcomeUnknown."""
        with self._observed("hang_up", command.call_id):
            self._hang_up(command)

    def is_alive(self, provider_call_id: str) -> bool:
        """Whether the call is still on the line.

        Raises ProviderBusy, CallRefused or OutcomeUnknown when it can't be told.
        """
        with self._observed("is_alive", provider_call_id):
            return self._is_alive(provider_call_id)

    def load(self) -> None:  # noqa: B027  # most providers have nothing slow to do
        """Do what is slow the first time (imports, connections). Safe to call more than once, from any thread."""

    def stop(self) -> None:  # noqa: B027  # and some nothing to let go of
        """Let go of threads and connections."""

    @abstractmethod
    def _dial(self, command: DialCommand) -> str: ...

    @abstractmethod
    def _speak(self, command: SpeakCommand) -> None: ...

    @abstractmethod
    def _hang_up(self, command: HangUpCommand) -> None: ...

    @abstractmethod
    def _is_alive(self, provider_call_id: str) -> bool: ...

    @contextmanager
    def _observed(self, command: str, call_id: str) -> Iterator[None]:
        started = time.perf_counter()
        outcome = "ok"
        try:
            yield
        except ProviderError as error:
            outcome = type(error).__name__
            log.warning(
                "provider_command_failed", command=command, call_id=call_id, outcome=outcome, reason=error.reason
            )
            raise
        finally:
            elapsed_seconds = time.perf_counter() - started
            provider_command_seconds.labels(self.name, command, outcome).observe(elapsed_seconds)
            log.debug("provider_command", command=command, call_id=call_id, outcome=outcome, seconds=elapsed_seconds)


class WebhookReader(ABC):
    """Turns a vendor's webhook into an event. A provider that tells its events to an `EventSink` has none."""

    @abstractmethod
    def read(self, headers: Mapping[str, str], raw_body: bytes, *, now: datetime) -> CallEvent | None:
        """The event, or None for one that we have no use for.

        Raises `core.errors.InvalidSignature` for a webhook that is unsigned, forged or too old, and ValueError for
        one that is signed but is no event; nothing else, whatever the body is.
        """


class LateSink:
    """Where a provider in this process leaves its events: with a service that is built after the provider."""

    def __init__(self) -> None:
        self._receive: EventSink | None = None

    def bind(self, receive: EventSink) -> None:
        self._receive = receive

    def __call__(self, event: CallEvent) -> None:
        if self._receive is None:
            raise RuntimeError("an event came before the services were built")
        self._receive(event)
