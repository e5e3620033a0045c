"""Rates in Flask-Limiter's words ("600 per minute; 10 per day"), read by the library that Flask-Limiter uses."""

from __future__ import annotations

import re

from limits import parse_many

from letstalk.core.errors import InvalidRequest
from letstalk.core.rates import Rate

MAX_TEXT_LENGTH = 100
MAX_AMOUNT = 1_000_000_000
MAX_WINDOW_SECONDS = 366 * 24 * 3600

_SEPARATORS = re.compile("[,;|]")


def parse_rates(text: str, *, field: str = "rate_limit") -> tuple[Rate, ...]:
    """The rates of `text`, at least one. "off" is no rate: whoever knows that word handles it before.

    Raises InvalidRequest, in `field`, for what cannot be read, an amount of 0 or over 10⁹, a window over 366 days.
    """
    words = " ".join(text.split())
    if len(text) > MAX_TEXT_LENGTH or not text.isprintable():
        raise _unreadable(field)
    try:
        items = parse_many(words)
    except ValueError:
        raise _unreadable(field) from None
    # The library leaves out, without a word, a part that it cannot read.
    if len(items) != len(_SEPARATORS.findall(words)) + 1:
        raise _unreadable(field)
    rates = tuple(Rate(item.amount, item.get_expiry()) for item in items)
    if any(not 1 <= rate.amount <= MAX_AMOUNT or rate.window_seconds > MAX_WINDOW_SECONDS for rate in rates):
        raise InvalidRequest.in_field(field, f"{field} takes amounts from 1 to {MAX_AMOUNT}, over a year at most.")
    return rates


def _unreadable(field: str) -> InvalidRequest:
    return InvalidRequest.in_field(field, f'{field} reads like "100 per minute" or "10 per second; 1000 per day".')
