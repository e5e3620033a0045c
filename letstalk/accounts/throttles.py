"""How long to wait after failures to sign in: longer each time, never for ever.

A wait is kept apart for each kind of key, and no key is an account alone but for addresses that never signed in to it,
so that failing on purpose can't keep its owner out (NIST SP 800-63B-4, section 3.2.2; OWASP ASVS 5.0, 6.3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Throttle:
    """`free` failures cost nothing; then a wait doubles from one second up to `longest_seconds`. Failures are forgotten
    after `forget_seconds` without another.
    """

    free: int
    longest_seconds: int
    forget_seconds: int

    def wait_seconds(self, failures: int) -> int:
        """How long after that many failures."""
        over = failures - self.free
        return 0 if over <= 0 else min(self.longest_seconds, 2 ** min(over - 1, 30))

    def failures_at(self, failures: int, last_failed_at: datetime, now: datetime) -> int:
        """How many of `failures` still count."""
        is_forgotten = now - last_failed_at > timedelta(seconds=self.forget_seconds)
        return 0 if is_forgotten else failures


@dataclass(frozen=True, slots=True)
class SignInThrottles:
    """By a name and the address it was tried from; by the address alone; by the name, over all strange addresses."""

    name_and_address: Throttle = Throttle(free=4, longest_seconds=300, forget_seconds=1800)
    address: Throttle = Throttle(free=20, longest_seconds=300, forget_seconds=900)
    name: Throttle = Throttle(free=20, longest_seconds=60, forget_seconds=1800)
