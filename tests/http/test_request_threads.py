"""Slow work keeps no other request waiting: hashing passwords, and asking identity providers."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from typing import Any

import pytest

from letstalk.http.request_threads import RequestThreads, slow_work
from tests.http.test_production_server import connect, get, serving

SLOW = 20  # more than the server has threads


class SlowApplication:
    """Answers at once, but for /slow, which is slow work until it may go on."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            with slow_work():
                self.waiting.release()
                self.may_go_on.wait(30)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"small"]


def body_of(wire: Any) -> bytes:
    received = b""
    while not received.endswith(b"small"):
        part = wire.recv(65536)
        assert part
        received += part
    return bytes(received)


def test_while_requests_are_in_slow_work_others_are_served() -> None:
    application = SlowApplication()
    with serving(application) as (port, _, _), ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(port))) for _ in range(SLOW)]
        for wire in slow:
            wire.sendall(get(b"/slow"))
        for _ in slow:
            assert application.waiting.acquire(timeout=10)
        for _ in range(3):
            with connect(port) as other:
                other.sendall(get())
                assert b"200 OK" in body_of(other)
        application.may_go_on.set()
        for wire in slow:
            assert b"200 OK" in body_of(wire)


def test_each_request_in_slow_work_is_one_thread_more_and_slow_work_within_it_is_not() -> None:
    counts: list[int] = []

    def application(environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        with slow_work(), slow_work():
            assert counts[-1] == 5
            if environ["fails"]:
                raise ZeroDivisionError
        return []

    threads = RequestThreads(application, 4)
    threads.start(counts.append)
    threads({"fails": False}, None)
    with pytest.raises(ZeroDivisionError):
        threads({"fails": True}, None)
    assert counts == [5, 4, 5, 4]
    with slow_work():
        assert counts == [5, 4, 5, 4], "outside of a request there is none to replace"


def test_a_server_that_stops_gets_no_thread_more() -> None:
    counts: list[int] = []

    def application(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        with slow_work():
            threads.stop()
        return []

    threads = RequestThreads(application, 4)
    threads.start(counts.append)
    threads({}, None)
    threads({}, None)
    assert counts == [5]
