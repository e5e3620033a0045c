"""How calls are placed: how many at once, how long they may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from letstalk.calls.scheduling import PLACING_SECONDS

SILENCE = timedelta(seconds=10)  # how long after a call must be over we ask the provider about it


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls are placed. `speed` is 1 for real ones, and SIMULATOR_SPEED for simulated ones."""

    channels: int
    detect_machines: bool
    ring_seconds: int = 30
    call_limit_seconds: int = 120
    speed: float = 1.0

    @property
    def placing_seconds(self) -> float:
        return PLACING_SECONDS / self.speed

    @property
    def longest(self) -> timedelta:
        """Ring and call limits together: no call lives longer."""
        return timedelta(seconds=self.ring_seconds + self.call_limit_seconds)
