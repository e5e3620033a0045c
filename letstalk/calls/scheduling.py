"""How calls are placed: how many at once, in which order, and how long they may wait and last."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

ASSUMED_CALL_SECONDS = 25.0  # the mean before any call has finished
HEARING_SECONDS = 30.0  # ring, answer and listen, as the contract's queue_full counts it
PLACING_SECONDS = 15.0  # a call placed later than this before its deadline would not be heard in time
LONGEST_CALL_SECONDS = 300.0  # longer than any call: a longer time was measured with a clock that was changed
RETRY_WINDOW_SECONDS = 45  # Telnyx forgets a command_id after 60 s; a repeat must arrive well before
SHORTEST_CALL_SECONDS = 0.001  # with a mean of 0 the queue would grow without a limit
SILENCE = timedelta(seconds=10)  # how long after a call must be over we ask the provider about it

FIRST_BACK_OFF_SECONDS = 1.0
LONGEST_BACK_OFF_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls are placed. `speed` is 1 for real calls, and SIMULATOR_SPEED for simulated ones."""

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
        """The limits of ringing and talking together: no call lasts longer."""
        return timedelta(seconds=self.ring_seconds + self.call_limit_seconds)


def estimate_wait_seconds(ahead: int, channels: int, mean_call_seconds: float) -> float:
    """How long a call waits for a channel when `ahead` others, waiting or live, come before it."""
    return ahead / channels * mean_call_seconds


def is_queue_full(ahead: int, channels: int, mean_call_seconds: float, ttl_seconds: float) -> bool:
    """Whether a call accepted now would be heard later than `ttl_seconds` from now."""
    return estimate_wait_seconds(ahead, channels, mean_call_seconds) + HEARING_SECONDS > ttl_seconds


def most_ahead(channels: int, mean_call_seconds: float, ttl_seconds: float) -> int:
    """About how many calls may come before one that must speak within `ttl_seconds`, until the queue is full for it."""
    patience_seconds = max(0.0, ttl_seconds - HEARING_SECONDS)
    return math.floor(patience_seconds * channels / max(mean_call_seconds, SHORTEST_CALL_SECONDS))


def is_too_late(speak_before: datetime, now: datetime, placing_seconds: float = PLACING_SECONDS) -> bool:
    """Whether a call placed now would speak after its deadline."""
    return speak_before - now < timedelta(seconds=placing_seconds)


def retry_window_ends(first_dial_at: datetime) -> datetime:
    """Until when a dial may be repeated with its `command_id`, because the provider certainly still knows it."""
    return first_dial_at + timedelta(seconds=RETRY_WINDOW_SECONDS)


def next_turn(own_last_turn: int | None, first_waiting_turn: int | None) -> int:
    """The turn of a call that joins the queue; the lowest is placed first.

    Each owner's calls take consecutive turns, from the turn that is being served on. So owners alternate, however many
    waiting calls one of them has (start-time fair queueing).
    """
    served = first_waiting_turn or 0
    return served if own_last_turn is None else max(own_last_turn + 1, served)


def back_off_seconds(attempt: int, *, jitter: float | None = None) -> float:
    """How long to wait after attempt number `attempt` (from 1) failed. Doubles up to a limit; half of it is random.

    Without the random part, calls that failed together would be tried again together.
    """
    longest = min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2.0 ** min(attempt - 1, 10))
    chance = random.random() if jitter is None else jitter  # noqa: S311  # spreads load, guards nothing
    return longest / 2 + longest / 2 * chance
