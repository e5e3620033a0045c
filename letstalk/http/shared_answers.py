"""The busiest requests, answered by the loop that heard them: all that have come, with one commit for all.

Each answer waits for that commit. Should it fail, each request is answered anew, by a thread and a transaction of its
own. No other thread has a part in what goes well: to hand a request to one and to wake the loop again cost as much as
what the database does for it (tools/benchmarks/tries.md).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from waitress.task import ThreadedTaskDispatcher

from letstalk.http.connections import Channel
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

# While so many are answered, others are not heard: a few milliseconds.
MOST_TOGETHER = 16
# A longer body may lie in a file, and is refused anyway.
MOST_BODY_BYTES = 4096
# For so long the loop waits for others who write before it listens again, and so long in all.
PATIENCE_SECONDS = 0.01
LONGEST_SECONDS = 10.0


class SharedCommit(Protocol):
    """The commit that several requests share, as `storage/shared_commits.py` has it."""

    @property
    def has_failed(self) -> bool: ...

    def once_committed(self, action: Callable[[], None]) -> None: ...


# To enter it raises TimeoutError where others write for longer than the seconds that it is given.
ShareCommit = Callable[[float], AbstractContextManager[SharedCommit]]


class Dispatcher(ThreadedTaskDispatcher):
    """Waitress's, which leaves small POST requests to `paths` to the loop that heard them."""

    def __init__(self, paths: frozenset[str], share_commit: ShareCommit) -> None:
        """To answer `paths` the application waits for nothing but the database whose commits `share_commit` shares."""
        super().__init__()
        self._paths = paths
        self._share_commit = share_commit
        self._heard: deque[Channel] = deque()
        self._loops_thread: int | None = None
        self._waits_since: float | None = None

    def add_task(self, task: Any) -> None:
        # What a thread finds behind the request that it has answered stays with the threads.
        if threading.get_ident() == self._loops_thread and self._is_shared(task.requests[0]):
            self._heard.append(task)
        else:
            super().add_task(task)

    def answer_heard(self) -> bool:
        """Answer who has come, in the loop's own thread. Returns whether some are left: too many, or others write."""
        self._loops_thread = threading.get_ident()
        if self._heard:
            self._answer_some()
        return bool(self._heard)

    def _is_shared(self, request: Any) -> bool:
        return (
            request.error is None
            and request.command == "POST"
            and request.path in self._paths
            and 0 < request.content_length <= MOST_BODY_BYTES
        )

    def _answer_some(self) -> None:
        unanswered: dict[Channel, None] = {}
        try:
            with self._share_commit(PATIENCE_SECONDS) as shared:
                self._waits_since = None
                unanswered = self._take(MOST_TOGETHER)
                for channel in list(unanswered):
                    channel.prepare()
                    shared.once_committed(partial(_send, channel, unanswered))
                    if shared.has_failed:
                        break
        except TimeoutError:
            if not unanswered and self._may_wait():
                return
        except SQLAlchemyError as error:
            log.warning("shared_commit_failed", requests=len(unanswered), error=type(error).__name__)
        except Exception as error:  # without this loop nobody would be answered
            log.error("shared_answers_failed", requests=len(unanswered), exc_info=error)
        else:
            return
        # None was taken where it could not even be begun.
        for channel in unanswered or self._take(len(self._heard)):
            channel.forget_prepared()
            super().add_task(channel)  # type: ignore[arg-type]  # Waitress itself adds channels

    def _may_wait(self) -> bool:
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        return now - self._waits_since < LONGEST_SECONDS

    def _take(self, at_most: int) -> dict[Channel, None]:
        return {self._heard.popleft(): None for _ in range(min(at_most, len(self._heard)))}


def _send(channel: Channel, unanswered: dict[Channel, None]) -> None:
    del unanswered[channel]
    channel.service()
