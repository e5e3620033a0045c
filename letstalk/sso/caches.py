"""What a provider publishes, remembered for a while: asked for again rarely, and kept while it can't be reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from letstalk.observability.logs import get_logger
from letstalk.sso.provider import ProviderUnavailable

log = get_logger(__name__)

Value = TypeVar("Value")

FRESH_SECONDS = 3600.0
KEPT_SECONDS = 24 * 3600.0
# Nobody who invents key ids makes us ask more often.
NEWER_SECONDS = 60.0
RETRY_SECONDS = 5.0


class Memory(Generic[Value]):
    """The value that `read` brings over the network. Safe to use from many threads."""

    def __init__(self, read: Callable[[], Value], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: tuple[Value, float] | None = None
        self._asked_at: dict[float, float] = {}
        self._reason = "nothing was asked"

    def get(self) -> Value:
        """The value, an hour old at most; up to a day while the provider is away. Raises ProviderUnavailable."""
        held = self._held
        if held is not None and (self._monotonic() - held[1] < FRESH_SECONDS or self._lock.locked()):
            return held[0]
        return self._ask(RETRY_SECONDS)

    def get_newer(self) -> Value:
        """The value asked for anew, unless that was done within the last minute. Raises ProviderUnavailable."""
        return self._ask(NEWER_SECONDS)

    def _ask(self, pause_seconds: float) -> Value:
        """Ask, but for one reason only once within its pause."""
        with self._lock:
            now = self._monotonic()
            asked_at = self._asked_at.get(pause_seconds)
            if asked_at is None or now - asked_at >= pause_seconds:
                try:
                    self._held = (self._read(), self._monotonic())
                except ProviderUnavailable as error:
                    self._reason = error.reason
                    log.warning("identity_provider_away", reason=error.reason)
                # From its end: those who waited for an answer that never came must not wait for another each.
                self._asked_at[pause_seconds] = self._monotonic()
            if self._held is None or self._monotonic() - self._held[1] > KEPT_SECONDS:
                raise ProviderUnavailable(self._reason)
            return self._held[0]
