"""A test number: a phone of one owner that no call is placed to, and whose code is always the same, until an end.

A person who may make one can approve a phone that they do not have. So it counts within its owner only, has an end in
production, and whatever comes of it says so (`is_test`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from letstalk.core.errors import InvalidRequest
from letstalk.core.unset import UNSET, Unset

MAX_EXPIRES_IN_SECONDS = 365 * 24 * 3600
MIN_EXPIRES_IN_SECONDS = 60
MAX_OF_OWNER = 100
CODE_PATTERN = r"^[0-9]{6,10}$"  # as long as the codes of real calls
CODE_LENGTH = 6  # of one that is made here
NO_CALL_REASON = "This is a test number: no call was placed."

_CODE = re.compile(CODE_PATTERN)
_STEPS_OF_GUESSABLE = ({0}, {1}, {9})  # from each digit to the next, modulo 10: 000000, 123456 and 987654


@dataclass(frozen=True, slots=True)
class TestNumber:
    """A test number. Times are aware, in UTC.

    `phone` is the number under which the phone is counted, `phone_as_given` is stored where another one was given.
    `code_sealed` is the encrypted code. `expires_at` None is no end, which counts in development only.
    """

    test_number_id: str
    owner_id: str
    phone: str
    phone_as_given: str | None
    code_sealed: str = field(repr=False)
    name: str | None
    created_at: datetime
    expires_at: datetime | None

    @property
    def e164(self) -> str:
        return self.phone_as_given or self.phone

    def is_live(self, now: datetime, *, may_be_endless: bool) -> bool:
        """Whether its code counts. `may_be_endless`: this is development, where it needs no end."""
        return may_be_endless if self.expires_at is None else now < self.expires_at


@dataclass(frozen=True, slots=True)
class ShownTestNumber:
    """A test number with its code, for those who may manage it."""

    number: TestNumber
    code: str = field(repr=False)
    is_live: bool


@dataclass(frozen=True, slots=True)
class NewTestNumber:
    """The fields of a new test number. Without a `code` one is made. `owner_id` None is the actor's own."""

    phone: str
    owner_id: str | None = None
    code: str | None = field(default=None, repr=False)
    name: str | None = None
    expires_in_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class NumberChanges:
    """The changes to a test number. UNSET leaves a value as it is, and None removes it."""

    code: str | Unset = field(default=UNSET, repr=False)
    name: str | Unset | None = UNSET
    expires_in_seconds: int | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class TestNumberPage:
    numbers: tuple[ShownTestNumber, ...]
    next_cursor: str | None


def check_code(code: str) -> str:
    """`code` itself. Raises InvalidRequest unless it is 6 to 10 digits that nobody would try first."""
    if not _CODE.fullmatch(code):
        raise InvalidRequest.in_field("code", "code must be 6 to 10 digits, as text.")
    digits = [int(digit) for digit in code]
    steps = {(after - before) % 10 for before, after in pairwise(digits)}
    if steps in _STEPS_OF_GUESSABLE:
        raise InvalidRequest.in_field("code", "code must not be one that anybody would try, such as 123456 or 000000.")
    return code


def end_after(now: datetime, seconds: int | None, *, may_be_endless: bool) -> datetime | None:
    """The time `seconds` after `now`. Raises InvalidRequest for None (no end) unless `may_be_endless`, and for an end
    that is not between a minute and a year away.
    """
    if seconds is None and may_be_endless:
        return None
    if seconds is None:
        raise InvalidRequest.in_field("expires_in", "expires_in is required: in production a test number has an end.")
    if not MIN_EXPIRES_IN_SECONDS <= seconds <= MAX_EXPIRES_IN_SECONDS:
        sentence = f"expires_in must be {MIN_EXPIRES_IN_SECONDS} to {MAX_EXPIRES_IN_SECONDS} seconds."
        raise InvalidRequest.in_field("expires_in", sentence)
    return now + timedelta(seconds=seconds)
