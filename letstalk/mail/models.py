"""A mail, and when to try again to send one that was not accepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY_SECONDS = 24 * 3600
FIRST_PAUSE_SECONDS = 15
LONGEST_PAUSE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Mail:
    """One recipient, a subject and plain text. After `ttl_seconds` it is not sent any more."""

    to: str
    subject: str
    body: str
    ttl_seconds: int = DAY_SECONDS


def retry_at(attempts: int, now: datetime, chance: float) -> datetime:
    """When to try again after so many attempts: first after 15 s, then twice as long each time, at most 10 minutes.

    `chance`, from 0 to 1, shortens the pause by up to a quarter, so that mails that failed together do not stay
    together.
    """
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 10))
    return now + timedelta(seconds=pause * (1 - chance / 4))
