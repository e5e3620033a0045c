"""Waitress with our channels and our loop, around an application of a test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from waitress.server import create_server

from letstalk.http.connection_loops import ConnectionLoop
from letstalk.http.connections import Channel


@contextmanager
def serving(
    application: Any,
    *,
    longest_sleep_seconds: float = 0.02,
    answer_heard: Callable[[], bool] = lambda: False,
    **options: Any,
) -> Iterator[int]:
    """The port of a server whose loop sleeps for so long where nothing wakes it. `options` are Waitress's."""
    server: Any = create_server(application, host="127.0.0.1", port=0, **options)
    server.channel_class = Channel
    ConnectionLoop(server, answer_heard)
    sleep = {"timeout": longest_sleep_seconds, "map": server._map, "use_poll": True}
    thread = threading.Thread(target=server.asyncore.loop, kwargs=sleep)
    thread.start()
    yield server.effective_port
    connections = dict(server._map)
    server.trigger.pull_trigger(server._map.clear)  # as the real one is stopped
    thread.join()
    server.task_dispatcher.shutdown()
    for connection in connections.values():
        connection.close()
