"""When a waiting call's turn comes, and whether waiting is still worth it."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

ASSUMED_CALL_SECONDS = 25.0  # the mean before any call has finished
HEARING_SECONDS = 30.0  # ring, answer and listen, as the contract's queue_full counts it
PLACING_SECONDS = 15.0  # less than this left, and a call placed now would not be heard in time
LONGEST_CALL_SECONDS = 300.0  # ring, call and patience together are less: what lasts longer, a set clock has measured
RETRY_WINDOW_SECONDS = 45  # Telnyx forgets a command_id after 60 s; a repeat must arrive well before
SHORTEST_CALL_SECONDS = 0.001  # or a mean of nothing would let the queue grow without end

FIRST_BACK_OFF_SECONDS = 1.0
LONGEST_BACK_OFF_SECONDS = 15.0


def estimate_wait_seconds(ahead: int, channels: int, mean_call_seconds: float) -> float:
    """How long a call waits for a channel when `ahead` others, waiting or live, come before it."""
    return ahead / channels * mean_call_seconds


def is_queue_full(ahead: int, channels: int, mean_call_seconds: float, ttl_seconds: float) -> bool:
    """Whether a code accepted now would be dead before it is heard."""
    return estimate_wait_seconds(ahead, channels, mean_call_seconds) + HEARING_SECONDS > ttl_seconds


def most_ahead(channels: int, mean_call_seconds: float, ttl_seconds: float) -> int:
    """About how many calls may come before one whose code lives for `ttl_seconds`, until the queue is full for it."""
    patience_seconds = max(0.0, ttl_seconds - HEARING_SECONDS)
    return math.floor(patience_seconds * channels / max(mean_call_seconds, SHORTEST_CALL_SECONDS))


def is_too_late(expires_at: datetime, now: datetime, placing_seconds: float = PLACING_SECONDS) -> bool:
    """Whether a call placed now would read a code that has expired."""
    return expires_at - now < timedelta(seconds=placing_seconds)


def retry_window_ends(first_dial_at: datetime) -> datetime:
    """Until when the provider certainly remembers the `command_id` of a dial, so that it may be repeated under it."""
    return first_dial_at + timedelta(seconds=RETRY_WINDOW_SECONDS)


def next_turn(own_last_turn: int | None, first_waiting_turn: int | None) -> int:
    """The turn of a call that joins the queue; the lowest is placed first.

    Each owner's calls take consecutive turns, beginning with the turn that is being served: so owners alternate,
    however many calls one of them has waiting (start-time fair queueing).
    """
    served = first_waiting_turn or 0
    return served if own_last_turn is None else max(own_last_turn + 1, served)


def back_off_seconds(attempt: int, *, jitter: float | None = None) -> float:
    """How long to wait after failed try number `attempt` (from 1): doubling, capped, half of it by chance.

    Chance keeps calls that failed together from coming back together.
    """
    longest = min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2.0 ** min(attempt - 1, 10))
    chance = random.random() if jitter is None else jitter  # noqa: S311  # spreads load, guards nothing
    return longest / 2 + longest / 2 * chance
