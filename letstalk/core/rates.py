"""Rate limits: reading them, and whether one is within another."""

from __future__ import annotations

import re
from dataclasses import dataclass

from limits import parse_many

from letstalk.core.errors import InvalidRequest

MAX_TEXT_LENGTH = 100
MAX_AMOUNT = 1_000_000_000
MAX_WINDOW_SECONDS = 366 * 24 * 3600

_SEPARATORS = re.compile("[,;|]")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` within `window_seconds`."""

    amount: int
    window_seconds: int

    def is_within(self, other: Rate) -> bool:
        """Whether whatever keeps this rate also keeps `other`: no more requests, in no less time.

        `1 per second` is not within `60 per minute`, although it allows no more: the rule stays simple to check.
        """
        return self.amount <= other.amount and self.window_seconds >= other.window_seconds


def are_within(given: tuple[Rate, ...], bounds: tuple[Rate, ...]) -> bool:
    """Whether a token limited by all of `given` can never exceed any of `bounds`. An empty tuple is no limit."""
    return all(any(rate.is_within(bound) for rate in given) for bound in bounds)


def parse_rates(text: str, *, field: str = "rate_limit") -> tuple[Rate, ...]:
    """The rates of `text`, at least one. The caller handles "off", which is not a rate.

    Raises InvalidRequest, about `field`, for unreadable text, an amount of 0 or over 10⁹, or a window over 366 days.
    """
    words = " ".join(text.split())
    if len(text) > MAX_TEXT_LENGTH or not text.isprintable():
        raise _unreadable(field)
    try:
        items = parse_many(words)
    except ValueError:
        raise _unreadable(field) from None
    # The library silently leaves out a part that it cannot read.
    if len(items) != len(_SEPARATORS.findall(words)) + 1:
        raise _unreadable(field)
    rates = tuple(Rate(item.amount, item.get_expiry()) for item in items)
    if any(not 1 <= rate.amount <= MAX_AMOUNT or rate.window_seconds > MAX_WINDOW_SECONDS for rate in rates):
        raise InvalidRequest.in_field(field, f"{field} allows amounts from 1 to {MAX_AMOUNT}, in a year at most.")
    return rates


def _unreadable(field: str) -> InvalidRequest:
    return InvalidRequest.in_field(field, f'{field} must be like "100 per minute" or "10 per second; 1000 per day".')
