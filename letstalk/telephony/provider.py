"""The interface of a telephony provider: it takes four commands (`CallProvider`) and reports events.

A provider that runs in this process reports events to a function (`connect_events`). Any other one sends webhooks
(`events.WebhookReader`).

ProviderError
├── CallRefused       the provider will never place this call (an invalid number, invalid credentials)
├── ProviderBusy      the call was not placed, and a retry may succeed (channel limit, rate limit, a 5xx)
├── OutcomeUnknown    the command may or may not have been executed (time-out, lost or unreadable response)
└── CallGone          the call that the command is for has ended
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import provider_command_seconds
from letstalk.telephony.events import CallEvent, WebhookReader
from letstalk.telephony.speech.scripts import Speech

log = get_logger(__name__)

ReceiveEvent = Callable[[CallEvent], None]


class ProviderError(Exception):
    """`reason` is a sentence for a developer, without vendor codes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CallRefused(ProviderError):
    pass


class ProviderBusy(ProviderError):
    """`not_placed` is true if the provider said that it placed no call (a limit), and false after a failure (a 5xx)."""

    def __init__(self, reason: str, *, not_placed: bool = True, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.not_placed = not_placed
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(ProviderError):
    pass


class CallGone(ProviderError):
    pass


@dataclass(frozen=True, slots=True)
class DialCommand:
    """A repeat with the same `command_id` places no second call while the provider remembers it (Telnyx: 60 s)."""

    call_id: str
    phone: str
    command_id: str
    detect_machine: bool
    ring_seconds: int
    call_limit_seconds: int


@dataclass(frozen=True, slots=True)
class SpeakCommand:
    """Speak, then listen for `valid_digits` for `listen_seconds`. The events that follow carry `command_seq`."""

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


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about an account. `remedy` says what to do about what is not well."""

    is_well: bool
    measure: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class AccountReport:
    """What a provider said about the account. `connection` is None if that is not known while the credentials are
    wrong. `provider_time` is the clock of the provider, to the second, if it named it.
    """

    credentials: Finding
    connection: Finding | None
    provider_time: datetime | None


class CallProvider(ABC):
    """A vendor, or the simulator. This class measures, logs and counts commands. A subclass executes them."""

    name: str

    def dial(self, command: DialCommand) -> str:
        """Place a call. Returns the provider's id of it. Raises CallRefused, ProviderBusy or OutcomeUnknown."""
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
        """Whether the call is active. Raises ProviderBusy, CallRefused or OutcomeUnknown if that is not known."""
        with self._observed("is_alive", provider_call_id):
            return self._is_alive(provider_call_id)

    def check_account(self) -> AccountReport | None:
        """Ask with one request that changes nothing and costs nothing. None for a provider that needs no account.

        Raises CallRefused if nothing can be sent, and ProviderBusy or OutcomeUnknown without a usable response.
        """
        with self._observed("check_account", ""):
            return self._check_account()

    def connect_events(self, receive: ReceiveEvent) -> None:  # noqa: B027  # not for a provider that sends webhooks
        """Report every event to `receive`, which is called from a thread of the provider.

        A provider in this process must be connected before the first dial. `receive` is called again if it raises.
        """

    def load(self) -> None:  # noqa: B027  # most providers have nothing slow to do
        """Do what is slow the first time (imports, connections). Can be called more than once, from any thread."""

    def stop(self) -> None:  # noqa: B027  # some providers hold no resources
        """Stop threads and close connections."""

    @abstractmethod
    def _dial(self, command: DialCommand) -> str: ...

    @abstractmethod
    def _speak(self, command: SpeakCommand) -> None: ...

    @abstractmethod
    def _hang_up(self, command: HangUpCommand) -> None: ...

    @abstractmethod
    def _is_alive(self, provider_call_id: str) -> bool: ...

    def _check_account(self) -> AccountReport | None:
        return None

    @contextmanager
    def _observed(self, command: str, call_id: str) -> Iterator[None]:
        started = time.perf_counter()
        outcome = "ok"
        try:
            yield
        except ProviderError as error:
            outcome = type(error).__name__
            about = {"command": command, "call_id": call_id, "outcome": outcome}
            log.warning("provider_command_failed", **about, reason=error.reason)
            raise
        finally:
            elapsed_seconds = time.perf_counter() - started
            provider_command_seconds.labels(self.name, command, outcome).observe(elapsed_seconds)
            log.debug("provider_command", command=command, call_id=call_id, outcome=outcome, seconds=elapsed_seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a provider may be built from, besides the settings.

    `state_key` is a secret of 16 bytes or more that signs a call's state.
    """

    clock: Clock
    state_key: bytes
    db: Database
    vault: Vault


@dataclass(frozen=True, slots=True)
class Telephony:
    """A provider, and the reader of its webhooks if it sends any."""

    provider: CallProvider
    webhooks: WebhookReader | None
