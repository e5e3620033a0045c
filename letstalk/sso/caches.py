"""A cache for what an identity provider publishes: read rarely, and kept while the provider cannot be reached."""

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
# Tokens with invented key ids must not cause more requests than this.
REFRESH_PAUSE_SECONDS = 60.0
RETRY_PAUSE_SECONDS = 5.0


class TtlCache(Generic[Value]):
    """The value that `read` fetches over the network. Safe to use from many threads."""

    def __init__(self, read: Callable[[], Value], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`read` may raise ProviderUnavailable."""
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: tuple[Value, float] | None = None
        self._read_at: dict[float, float] = {}
        self._reason = "nothing was read"

    def get(self) -> Value:
        """The value, at most an hour old; at most a day while the provider is away. Raises ProviderUnavailable."""
        held = self._held
        if held is not None and (self._monotonic() - held[1] < FRESH_SECONDS or self._lock.locked()):
            return held[0]
        return self._load(RETRY_PAUSE_SECONDS)

    def refresh(self) -> Value:
        """The value, read again unless that was done within the last minute. Raises ProviderUnavailable."""
        return self._load(REFRESH_PAUSE_SECONDS)

    def _load(self, pause_seconds: float) -> Value:
        """Read the value, but at most once in `pause_seconds` for each of the two reasons to read."""
        with self._lock:
            now = self._monotonic()
            read_at = self._read_at.get(pause_seconds)
            if read_at is None or now - read_at >= pause_seconds:
                try:
                    self._held = (self._read(), self._monotonic())
                except ProviderUnavailable as error:
                    self._reason = error.reason
                    log.warning("identity_provider_away", reason=error.reason)
                # Counted from the end of the read: threads that waited for one that timed out must not repeat it.
                self._read_at[pause_seconds] = self._monotonic()
            if self._held is None or self._monotonic() - self._held[1] > KEPT_SECONDS:
                raise ProviderUnavailable(self._reason)
            return self._held[0]
