"""Slow work keeps no other request waiting: hashing passwords, and asking identity providers."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from typing import Any

from letstalk.accounts import passwords
from letstalk.http.turns import WAITING_THREADS, Turns, without_turn
from letstalk.sso import provider_client
from tests.http.test_production_server import THREADS, connect, get, serving


class SlowApplication:
    """Answers at once, but for /slow, which waits without its turn until it may go on."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            with without_turn():
                self.waiting.release()
                self.may_go_on.wait(30)
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        start_response("200 OK", [("Content-Length", "5")])
        with self._lock:
            self.at_once -= 1
        return [b"small"]


def body_of(wire: Any) -> bytes:
    received = b""
    while not received.endswith(b"small"):
        part = wire.recv(65536)
        assert part
        received += part
    return bytes(received)


def test_requests_in_slow_work_leave_their_turns_to_others() -> None:
    application = SlowApplication()
    with serving(application) as (port, _, _), ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(port))) for _ in range(WAITING_THREADS)]
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
    assert application.most_at_once <= THREADS


def test_there_are_threads_for_all_places_of_slow_work() -> None:
    assert passwords.PLACES + provider_client.PLACES <= WAITING_THREADS


def test_a_turn_is_given_back_whatever_happens() -> None:
    def fail(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        with without_turn():
            assert turns.free.qsize() == 1
        assert turns.free.qsize() == 0
        raise ZeroDivisionError

    turns = Turns(fail, 1)
    for _ in range(3):
        try:
            turns({}, None)
        except ZeroDivisionError:
            assert turns.free.qsize() == 1
    with without_turn():
        assert turns.free.qsize() == 1, "outside of a request there is none to give"
