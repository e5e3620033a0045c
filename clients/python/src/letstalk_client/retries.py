"""When a request is sent again, and after how many seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from letstalk_client.errors import ConnectionFailed, LetsTalkError, TooManyRequests, Unavailable
from letstalk_client.requests import Request

FIRST_WAIT_SECONDS = 0.5
AFTER_ANY_TRY = frozenset({500, 502, 504})
NEVER_CARRIED_OUT = (TooManyRequests, Unavailable)


class NotReached(ConnectionFailed):
    """The request can't have reached the service, so it is safe to send it again."""


@dataclass(frozen=True, slots=True)
class Retries:
    """`most` tries more than one. A Retry-After over `longest_wait_seconds` is not waited for: the error is raised."""

    most: int = 2
    longest_wait_seconds: float = 10.0

    def wait_before_next(self, request: Request[Any], error: LetsTalkError, tries: int) -> float | None:
        """Seconds to wait after `tries` tries, the last of which ended in `error`; None to give up."""
        if tries > self.most or not self._may_help(request, error):
            return None
        asked = error.retry_after_seconds
        if asked is None:
            # Half is fixed, half by chance: many clients must not come back at the same moment.
            backoff = min(FIRST_WAIT_SECONDS * float(2 ** (tries - 1)), self.longest_wait_seconds)
            return backoff * random.uniform(0.5, 1)  # noqa: S311 (no secret)
        if asked > self.longest_wait_seconds:
            return None
        return asked + random.uniform(0, max(asked * 0.1, 0.1))  # noqa: S311 (never sooner than asked)

    @staticmethod
    def _may_help(request: Request[Any], error: LetsTalkError) -> bool:
        if isinstance(error, (NotReached, *NEVER_CARRIED_OUT)):
            return True
        return request.is_repeatable and (isinstance(error, ConnectionFailed) or error.status in AFTER_ANY_TRY)
