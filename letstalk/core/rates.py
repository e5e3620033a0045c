"""How often something may happen, and whether one limit lies within another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` within `window_seconds`."""

    amount: int
    window_seconds: int

    def is_within(self, other: Rate) -> bool:
        """Whether keeping to this rate is sure to keep to `other` too.

        Judged by the numbers as they stand: no more, over no shorter a time. `1 per second` does allow no more than
        `60 per minute`, yet is told apart from it, since a rule this short can be checked by eye.
        """
        return self.amount <= other.amount and self.window_seconds >= other.window_seconds


def are_within(given: tuple[Rate, ...], bounds: tuple[Rate, ...]) -> bool:
    """Whether a token limited by all of `given` can never exceed any of `bounds`; an empty tuple is no limit at all."""
    return all(any(rate.is_within(bound) for rate in given) for bound in bounds)
