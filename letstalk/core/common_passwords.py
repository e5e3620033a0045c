"""Passwords that are commonly used, or close to one (NIST SP 800-63B-4, section 3.1.1.2).

`python -m letstalk.core.common_passwords NAMES…` ends with the code IS_COMMON if the one on standard input is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

COMMON_GUESSES = 1_000_000
IS_COMMON = 3
# What the estimate reads of a password. Its time grows with the square of the length, and it tries the readings of each
# kind of letter that is written as a digit or symbol with those of each other kind: 128 of all kinds took 41 s.
MEASURED_LENGTH = 72
LEET = frozenset("4@8({[<369!1|70$5+%2")
MEASURED_KINDS = 6  # further kinds are read only up to LEAST_MEASURED: 0.2 s at worst
LEAST_MEASURED = 18


def is_common(password: str, names: Iterable[str]) -> bool:
    """Whether `password` takes fewer than a million guesses. `names` are those of the person and of the service."""
    # Imported only when a password is chosen, because its lists take 10 MB.
    from zxcvbn import zxcvbn

    if not password:
        return True  # the estimate accepts no empty password
    measured = zxcvbn(measured_part(password), user_inputs=list(names), max_length=MEASURED_LENGTH)
    return bool(measured["guesses"] < COMMON_GUESSES)


def measured_part(password: str) -> str:
    """The beginning of `password` that is long enough to tell whether it is common, and quick to estimate."""
    kinds: set[str] = set()
    for index, character in enumerate(password[:MEASURED_LENGTH]):
        kinds |= LEET & {character}
        if len(kinds) > MEASURED_KINDS and index >= LEAST_MEASURED:
            return password[:index]
    return password[:MEASURED_LENGTH]


if __name__ == "__main__":
    sys.exit(IS_COMMON if is_common(sys.stdin.read(), sys.argv[1:]) else 0)
