"""Passwords that are commonly used, or close to one (NIST SP 800-63B-4, section 3.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

COMMON_GUESSES = 1_000_000
MEASURED_LENGTH = 72  # the estimate takes quadratic time, and longer passwords do not need it


def is_common(password: str, names: Iterable[str]) -> bool:
    """Whether `password` takes fewer than a million guesses. `names` are those of the person and of the service."""
    # Imported only when a password is chosen, because its lists take 10 MB.
    from zxcvbn import zxcvbn

    if not password:
        return True  # the estimate accepts no empty password
    measured = zxcvbn(password[:MEASURED_LENGTH], user_inputs=list(names), max_length=MEASURED_LENGTH)
    return bool(measured["guesses"] < COMMON_GUESSES)
