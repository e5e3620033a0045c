"""What the production server believes of a connection, over real sockets."""

from __future__ import annotations

import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from letstalk.http.connections import MAX_REQUESTS_AHEAD
from tests.support.channel_servers import serving as serving_with

LARGE = b"x" * 2_000_000


def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = LARGE if environ["PATH_INFO"] == "/large" else b"small"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# With two threads for requests.
serving = partial(serving_with, answer, threads=2)


@pytest.fixture
def port() -> Iterator[int]:
    with serving() as found:
        yield found


def statuses(port: int, data: bytes, wanted: int) -> list[int]:
    """The status of each answer that comes before the server closes, or falls silent after as many as are `wanted`."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(data)
        try:
            while part := wire.recv(65536):
                received += part
                if received.count(b"small") >= wanted:
                    wire.settimeout(0.5)
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
    found = statuses(port, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get(), wanted=2)
    assert found == ([200, 200] if is_fine else [400])


def test_a_few_requests_may_be_sent_ahead(port: int) -> None:
    assert statuses(port, get() * MAX_REQUESTS_AHEAD, MAX_REQUESTS_AHEAD) == [200] * MAX_REQUESTS_AHEAD


def test_who_sends_many_requests_ahead_is_cut_off(port: int) -> None:
    assert len(statuses(port, get() * 150, wanted=150)) < 150


def test_whoever_reads_no_answers_keeps_no_thread_from_others(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    for wire in silent:
        wire.sendall(get(b"/large") * 20)
    time.sleep(0.2)  # as long as it takes the two threads to be caught, where they can be
    assert statuses(port, get(), wanted=1) == [200]
    for wire in silent:
        wire.close()


def test_an_answer_leaves_in_one_piece(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
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

    with serving(longest_sleep_seconds=60) as port:
        threads = [threading.Thread(target=ask, args=(port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(slowest_seconds) == 8, "each was answered to the end"
    assert max(slowest_seconds) < 30, "nobody waited until the loop woke by itself"


def test_connections_that_come_and_go_are_all_served_by_a_loop_that_sleeps() -> None:
    started = time.monotonic()
    with serving(longest_sleep_seconds=60) as port:
        kept = socket.create_connection(("127.0.0.1", port), timeout=30)
        for _ in range(100):  # their numbers are given again and again
            with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
                wire.sendall(get())
                assert wire.recv(65536).endswith(b"small")
        kept.sendall(get())
        assert kept.recv(65536).endswith(b"small")
        kept.close()
    assert time.monotonic() - started < 30, "nobody waited until the loop woke by itself"


class PausedEpoll:
    """One in which a thread stops when it is about to wait for a connection again."""

    def __init__(self) -> None:
        self.real = select.epoll()
        self.about_to_wait, self.may_go_on = threading.Event(), threading.Event()
        self.open_while_paused: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def modify(self, number: int, events: int) -> None:
        if threading.current_thread().name.startswith("waitress"):
            before = os.fstat(number).st_ino
            self.about_to_wait.set()
            self.may_go_on.wait(10)
            self.open_while_paused.append(os.fstat(number).st_ino == before)
        self.real.modify(number, events)


def test_a_number_goes_to_nothing_else_while_a_thread_is_about_to_wait_for_its_connection() -> None:
    paused = PausedEpoll()
    with (
        patch("letstalk.http.connection_loops.select.epoll", lambda: paused),
        serving(longest_sleep_seconds=15) as port,
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            wire.sendall(get())
            assert paused.about_to_wait.wait(10)
        with socket.create_connection(("127.0.0.1", port), timeout=10):  # has the loop look at all connections
            time.sleep(0.3)  # and close the one whose client has gone
            paused.may_go_on.set()
    assert paused.open_while_paused == [True]


def test_an_answer_that_is_read_slowly_arrives_whole_although_the_loop_sleeps() -> None:
    with (
        serving(longest_sleep_seconds=60) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as wire,
    ):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for _ in range(2):
            wire.sendall(get(b"/large"))
            time.sleep(0.1)  # until nothing more fits between the two
            received = b""
            while not received.endswith(LARGE):
                part = wire.recv(65536)
                assert part, "the server must not close"
                received += part


def test_the_requests_that_were_sent_ahead_are_answered_although_the_loop_sleeps() -> None:
    with (
        serving(longest_sleep_seconds=60) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as wire,
    ):
        for _ in range(20):
            wire.sendall(get() * MAX_REQUESTS_AHEAD)
            received = b""
            while received.count(b"small") < MAX_REQUESTS_AHEAD:
                received += wire.recv(65536)


def test_who_says_nothing_for_long_is_let_go_and_nobody_else_is() -> None:
    with (
        serving(longest_sleep_seconds=0.1, cleanup_interval=1, channel_timeout=4) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as silent,
        socket.create_connection(("127.0.0.1", port), timeout=30) as busy,
    ):
        silent.settimeout(0.2)
        for _ in range(150):
            busy.sendall(get())
            assert busy.recv(65536).endswith(b"small")
            try:
                assert silent.recv(1) == b""
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the silent connection was kept")
        busy.sendall(get())
        assert busy.recv(65536).endswith(b"small")


def test_beyond_the_most_connections_one_waits_until_another_goes() -> None:
    # Waitress counts its own two, the listener and the trigger, among them.
    with serving(longest_sleep_seconds=0.1, connection_limit=4) as port:
        first, second, third = (socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3))
        for wire in (first, second):
            wire.sendall(get())
            assert wire.recv(65536).endswith(b"small")
        third.sendall(get())
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(10)
        assert third.recv(65536).endswith(b"small")
        second.close()
        third.close()


def headers_of(port: int, request: bytes) -> tuple[dict[str, str], bool]:
    """The headers of the answer, and whether the connection is kept."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(request)
        head = wire.recv(65536).decode().partition("\r\n\r\n")[0]
        try:
            wire.sendall(request)
            is_kept = bool(wire.recv(65536))
        except OSError:
            is_kept = False
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:]), is_kept


@pytest.mark.parametrize(
    ("version", "asked", "said", "is_kept"),
    [
        (b"1.1", b"", None, True),
        (b"1.1", b"Connection: keep-alive\r\n", None, True),
        (b"1.1", b"Connection: close\r\n", "close", False),
        (b"1.0", b"", "close", False),
        (b"1.0", b"Connection: keep-alive\r\n", "Keep-Alive", True),
    ],
)
def test_an_answer_says_its_length_and_date_and_whether_the_connection_is_kept(
    version: bytes, asked: bytes, said: str | None, is_kept: bool, port: int
) -> None:
    headers, was_kept = headers_of(port, b"GET / HTTP/" + version + b"\r\nHost: x\r\n" + asked + b"\r\n")
    answered_at = parsedate_to_datetime(headers.pop("Date"))
    assert abs((datetime.now(UTC) - answered_at).total_seconds()) < 5
    assert headers.pop("Content-Length") == "5"
    assert headers.pop("Connection", None) == said
    assert was_kept is is_kept
    assert set(headers) <= {"Server"}, "and nothing else that we did not say"
