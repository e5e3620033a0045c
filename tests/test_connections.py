"""What the production server believes of a connection, over real sockets."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from waitress.server import create_server

from letstalk.connections import MAX_REQUESTS_AHEAD, Channel

LARGE = b"x" * 2_000_000


def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = LARGE if environ["PATH_INFO"] == "/large" else b"small"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server with two threads for requests."""
    server: Any = create_server(answer, host="127.0.0.1", port=0, threads=2)
    server.channel_class = Channel
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.asyncore.loop(timeout=0.02, map=server._map, count=1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.effective_port
    stopping.set()
    thread.join()
    server.close()
    for channel in list(server.active_channels.values()):
        channel.close()
    server.task_dispatcher.shutdown()


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
