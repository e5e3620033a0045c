"""What the production server believes of a connection, over real sockets."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from waitress.server import create_server

from letstalk.connections import MAX_REQUESTS_AHEAD, Bell, Channel

LARGE = b"x" * 2_000_000


def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = LARGE if environ["PATH_INFO"] == "/large" else b"small"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def serving(longest_sleep_seconds: float) -> Iterator[int]:
    """The port of a server with two threads for requests, whose loop sleeps for so long where nothing wakes it."""
    server: Any = create_server(answer, host="127.0.0.1", port=0, threads=2)
    server.channel_class = Channel
    server.pull_trigger = Bell(server.trigger).ring
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.asyncore.loop(timeout=longest_sleep_seconds, map=server._map, count=1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.effective_port
    stopping.set()
    server.trigger.pull_trigger()
    thread.join()
    server.close()
    for channel in list(server.active_channels.values()):
        channel.close()
    server.task_dispatcher.shutdown()


@pytest.fixture
def port() -> Iterator[int]:
    with serving(longest_sleep_seconds=0.02) as found:
        yield found


def statuses(port: int, data: bytes) -> list[int]:
    """The status of each answer that comes before the server closes, or falls silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as wire:
        wire.sendall(data)
        try:
            while part := wire.recv(65536):
                received += part
        except OSError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


def get(path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("lengths", [b"Content-Length: 5\r\n", b""], ids=["with a length", "without"])
def test_a_request_does_not_say_twice_how_long_it_is(lengths: bytes, version: bytes, port: int) -> None:
    head = b"POST / HTTP/" + version + b"\r\nHost: x\r\nConnection: keep-alive\r\n" + lengths
    is_fine = not lengths and version == b"1.1"
    found = statuses(port, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get())
    assert found == ([200, 200] if is_fine else [400])


def test_a_few_requests_may_be_sent_ahead(port: int) -> None:
    assert statuses(port, get() * MAX_REQUESTS_AHEAD) == [200] * MAX_REQUESTS_AHEAD


def test_who_sends_many_requests_ahead_is_cut_off(port: int) -> None:
    assert len(statuses(port, get() * 150)) < 150


def test_whoever_reads_no_answers_keeps_no_thread_from_others(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    for wire in silent:
        wire.sendall(get(b"/large") * 20)
    time.sleep(0.2)  # as long as it takes the two threads to be caught, where they can be
    assert statuses(port, get()) == [200]
    for wire in silent:
        wire.close()


def test_an_answer_leaves_in_one_piece(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
        for _ in range(50):
            wire.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n")
            assert wire.recv(65536).endswith(b"\r\n\r\nsmall")


def test_no_connection_waits_for_a_loop_that_sleeps() -> None:
    slowest_seconds = []

    def ask(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
            slowest = 0.0
            for _ in range(300):
                started = time.monotonic()
                wire.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n")
                assert wire.recv(65536).endswith(b"small")
                slowest = max(slowest, time.monotonic() - started)
            slowest_seconds.append(slowest)

    with serving(longest_sleep_seconds=15) as port:
        threads = [threading.Thread(target=ask, args=(port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(slowest_seconds) == 8, "each was answered to the end"
    assert max(slowest_seconds) < 10, "nobody waited until the loop woke by itself"
