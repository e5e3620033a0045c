"""The loop that listens to a server's connections: at each turn it looks at those that have something to say.

Waitress's own asks every connection at every turn whether it wants to read or to write, and tells the system of all of
them anew: with sixteen connections that was a third of the processor time of a code check, and it grows with their
number. Here the system remembers them (epoll), each for one event. Who has dealt with it asks for the next one: this
loop, or the thread that has sent the answer, which need not wake the loop for it.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.wasyncore import readwrite


class ConnectionLoop:
    """Stands in a server for the module `waitress.wasyncore`, of which it calls `loop` alone."""

    def __init__(self, server: Any, answer_heard: Callable[[], bool]) -> None:
        """Take over `server`, whose channels are ours, before it runs. Only Linux has epoll.

        `answer_heard` is called whenever all have been heard who had something to say, and returns whether it is to be
        called again soon.
        """
        self._epoll = select.epoll()
        self._answer_heard = answer_heard
        self._answering = threading.local()
        server.asyncore = self
        server.pull_trigger = self.go_on

    def loop(self, timeout: float, map: dict[int, Any], use_poll: bool) -> None:  # noqa: ARG002  # wasyncore's names
        """Deal with what the sockets of `map` bring, until none is left.

        Once in `timeout` seconds it looks at all of them, as maintenance may have told some to close.
        """
        look_at_all_at = 0.0
        while map:
            if time.monotonic() >= look_at_all_at:
                for connection in list(map.values()):
                    self.watch(connection)
                look_at_all_at = time.monotonic() + timeout
            for number, events in self._epoll.poll(0 if self._answer_heard() else timeout):
                connection = map.get(number)
                if connection is None:
                    continue
                readwrite(connection, events)
                if isinstance(connection, HTTPChannel) and number in map:
                    self.watch(connection)
                else:  # one came, or one went
                    look_at_all_at = 0.0
        self._answer_heard()  # who was heard in the last turn

    def watch(self, connection: Any) -> None:
        """Wait for the next thing that `connection` wants; for nothing where it wants nothing now."""
        events = select.EPOLLIN | select.EPOLLPRI if connection.readable() else 0
        if connection.writable() and not connection.accepting:
            events |= select.EPOLLOUT
        number = connection._fileno
        if not events or number is None:
            return
        try:
            self._epoll.modify(number, events | select.EPOLLONESHOT)
        except FileNotFoundError:  # it is new
            self._epoll.register(number, events | select.EPOLLONESHOT)

    def answer(self, channel: HTTPChannel) -> None:
        """Called by a thread that begins to answer a request of `channel`, which gives its number back under a
        `number_lock`: once closed, it would go to whatever is opened next.
        """
        self._answering.channel = channel

    def go_on(self) -> None:
        """In place of the server's `pull_trigger`, by which such a thread asks the loop to see to its channel."""
        channel = self._answering.channel
        with channel.number_lock:
            self.watch(channel)
