"""The thread that answers the busiest requests: all that have come, one after the other, with one commit for all.

Each answer waits for that commit. Should it fail, each request is answered anew, by a thread and a transaction of its
own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from waitress.task import ThreadedTaskDispatcher

from letstalk.connections import Channel
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

# While so many are answered, others who write wait: a few milliseconds.
MOST_TOGETHER = 16
# A longer body may lie in a file, and is refused anyway.
MOST_BODY_BYTES = 4096
# Other requests are heard after that time at the latest.
PAUSE_SECONDS = 0.01


class SharedCommit(Protocol):
    """The commit that several requests share, as `storage/shared_commits.py` has it."""

    @property
    def has_failed(self) -> bool: ...

    def once_committed(self, action: Callable[[], None]) -> None: ...


ShareCommit = Callable[[], AbstractContextManager[SharedCommit]]


class Dispatcher(ThreadedTaskDispatcher):
    """Waitress's, with one more thread, for small POST requests to `paths`."""

    def __init__(self, paths: frozenset[str], share_commit: ShareCommit) -> None:
        """To answer `paths` the application waits for nothing but the database whose commits `share_commit` shares."""
        super().__init__()
        self._paths = paths
        self._share_commit = share_commit
        self._waiting: queue.SimpleQueue[Channel | None] = queue.SimpleQueue()
        self._is_idle = threading.Event()
        self._is_idle.set()
        self._thread = threading.Thread(target=self._answer_until_stopped, name="shared-answers", daemon=True)
        self._thread.start()

    def add_task(self, task: Any) -> None:
        if self._is_shared(task.requests[0]):
            self._is_idle.clear()
            self._waiting.put(task)
        else:
            super().add_task(task)

    def pause(self) -> None:
        """Return when those who wait for this thread are answered, or have waited for long."""
        if not self._is_idle.is_set():
            self._is_idle.wait(PAUSE_SECONDS)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Waitress's, with the time for each of both kinds of threads."""
        self._waiting.put(None)
        self._thread.join(timeout)
        return super().shutdown(cancel_pending, timeout)  # type: ignore[arg-type]  # it adds them

    def _is_shared(self, request: Any) -> bool:
        return (
            request.error is None
            and request.command == "POST"
            and request.path in self._paths
            and 0 < request.content_length <= MOST_BODY_BYTES
        )

    def _answer_until_stopped(self) -> None:
        while together := self._take():
            try:
                self._answer(together)
            except BaseException as error:  # without this thread nobody would be answered
                log.error("shared_answers_failed", exc_info=error)
            if self._waiting.empty():
                self._is_idle.set()

    def _take(self) -> list[Channel]:
        """Those who wait, at least one; nobody at the end."""
        together: list[Channel] = []
        while not together or (len(together) < MOST_TOGETHER and not self._waiting.empty()):
            channel = self._waiting.get()
            if channel is None:
                if together:
                    self._waiting.put(None)  # the end comes once these are answered
                break
            together.append(channel)
        return together

    def _answer(self, together: list[Channel]) -> None:
        unanswered = dict.fromkeys(together)
        try:
            with self._share_commit() as shared:
                for channel in together:
                    channel.prepare()
                    shared.once_committed(partial(_send, channel, unanswered))
                    if shared.has_failed:
                        break
        except SQLAlchemyError as error:
            log.warning("shared_commit_failed", requests=len(unanswered), error=type(error).__name__)
        except Exception as error:
            log.error("shared_answers_failed", requests=len(unanswered), exc_info=error)
        for channel in unanswered:
            channel.forget_prepared()
            super().add_task(channel)  # type: ignore[arg-type]  # Waitress itself adds channels


def _send(channel: Channel, unanswered: dict[Channel, None]) -> None:
    del unanswered[channel]
    channel.service()
