"""The production server over real sockets: how requests are framed, what a response says, how it stops."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from letstalk.http.production_server import (
    DRAIN_SECONDS,
    MAX_UNREAD_BYTES,
    QUIET_SECONDS,
    SEND_BYTES,
    Channel,
    ProductionServer,
)
from tests.http.test_style import STATIC
from tests.support.apps import make_app

THREADS = 2
LARGE = b"x" * 1_000_000


class Application:
    """Answers `small` or `large`, also from a file, and keeps a request to /held until it may go on."""

    def __init__(self) -> None:
        self.held = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.responses = 0
        self.files: list[BytesIO] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/held":
            self.held.release()
            self.may_go_on.wait(30)
        environ["wsgi.input"].read()
        body = LARGE if environ["PATH_INFO"].startswith("/large") else b"small"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        self.responses += 1
        if not environ["PATH_INFO"].endswith("file"):
            return [body]
        self.files.append(BytesIO(body))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self.files[-1], 4096)
        return wrapped


@contextmanager
def serving(application: Any, **options: Any) -> Iterator[tuple[int, ProductionServer, threading.Thread]]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = ProductionServer(application, listener, threads=THREADS, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield port, server, thread
    finally:
        server.stop()
        thread.join(DRAIN_SECONDS + 5)
        assert not thread.is_alive()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def port(application: Application) -> Iterator[int]:
    with serving(application) as (found, _, _):
        yield found


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def get(path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def statuses(port: int, data: bytes, wanted: int) -> list[int]:
    """The status of each response until the server closes, or sends nothing more after as many as are `wanted`."""
    received = b""
    with connect(port) as wire:
        wire.sendall(data)
        try:
            while part := wire.recv(65536):
                received += part
                if received.count(b"small") >= wanted:
                    wire.settimeout(0.5)
        except OSError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("lengths", [b"Content-Length: 5\r\n", b""], ids=["with a length", "without"])
def test_a_request_does_not_say_twice_how_long_it_is(
    lengths: bytes, version: bytes, port: int, application: Application
) -> None:
    head = b"POST / HTTP/" + version + b"\r\nHost: x\r\nConnection: keep-alive\r\n" + lengths
    is_fine = not lengths and version == b"1.1"
    found = statuses(port, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get(), wanted=2)
    assert found == ([200, 200] if is_fine else [400])
    assert application.responses == (2 if is_fine else 0)


def test_requests_that_are_sent_ahead_are_answered_in_turn(port: int) -> None:
    assert statuses(port, get() * 150, wanted=150) == [200] * 150


def test_the_loop_rests_while_a_response_waits_for_a_request_that_was_sent_with_it(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Semaphore(0)
    ask = Channel.writable

    def count(channel: Channel) -> bool:
        asked.release()
        return ask(channel)

    monkeypatch.setattr(Channel, "writable", count)
    with serving(application) as (port, _, _), connect(port) as wire:
        wire.sendall(get() + get(b"/held"))
        assert application.held.acquire(timeout=10)
        time.sleep(0.3)
        rounds = sum(asked.acquire(blocking=False) for _ in range(1000))
        application.may_go_on.set()
        received = b""
        while received.count(b"small") < 2:
            received += wire.recv(65536)
    assert rounds < 100  # without a pause there would be thousands


def test_a_client_that_reads_nothing_keeps_no_thread_from_others(port: int) -> None:
    silent = [connect(port) for _ in range(3 * THREADS)]
    for wire in silent:
        wire.sendall(get(b"/large") * 50)
    time.sleep(0.2)
    assert statuses(port, get(), wanted=1) == [200]
    for wire in silent:
        wire.close()


@pytest.mark.parametrize("path", [b"/large", b"/large/file"])
def test_what_a_client_does_not_read_is_one_response_and_it_gets_all_that_it_asked_for(
    path: bytes, application: Application
) -> None:
    asked, size = 25, len(LARGE)
    with serving(application) as (port, server, _), closing(socket.socket()) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", port))
        wire.settimeout(20)
        wire.sendall(get(path) * asked)
        channels = server._server.active_channels
        wait_until(lambda: any(channel.is_paused for channel in channels.values()))
        assert application.responses < asked / 2, "the system took some"
        (channel,) = channels.values()
        assert SEND_BYTES <= channel.total_outbufs_len < SEND_BYTES + size + 1000
        assert sum(not file.closed for file in application.files) <= 2
        received, unread = b"", asked * size
        while unread > 0:
            part = wire.recv(1 << 20)
            assert part, "closed"
            unread -= part.count(b"x")
            received = received[-100:] + part
        assert application.responses == asked
        wait_until(lambda: all(file.closed for file in application.files))


def test_a_short_file_is_read_at_once_and_closed_whether_the_client_reads_it_or_not(application: Application) -> None:
    with serving(application) as (port, _, _), closing(connect(port)) as wire:
        wire.sendall(get(b"/small/file") * 20 + get(b"/held"))
        assert application.held.acquire(timeout=10)
        assert len(application.files) == 20
        assert all(file.closed for file in application.files)
        application.may_go_on.set()
        received = b""
        while received.count(b"small") < 21:
            received += wire.recv(65536)


def test_no_response_of_ours_is_so_long_that_a_thread_waits_for_the_client_to_read(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    client = app.test_client()
    pages = ["/openapi.json", "/docs", *(f"/static/{path.name}" for path in STATIC.glob("*"))]
    for page in pages:
        with client.get(page) as response:
            assert response.status_code == 200, page
            size = len(response.data) + 2000  # and its headers
        assert SEND_BYTES + size < MAX_UNREAD_BYTES, page


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
def test_a_response_says_its_length_and_date_and_whether_the_connection_is_kept(
    version: bytes, asked: bytes, said: str | None, is_kept: bool, port: int
) -> None:
    headers, was_kept = headers_of(port, b"GET / HTTP/" + version + b"\r\nHost: x\r\n" + asked + b"\r\n")
    sent_at = parsedate_to_datetime(headers.pop("Date"))
    assert abs((datetime.now(UTC) - sent_at).total_seconds()) < 5
    assert headers.pop("Content-Length") == "5"
    assert headers.pop("Connection", None) == said
    assert was_kept is is_kept
    assert not headers, "and nothing else that we did not say"


def headers_of(port: int, request: bytes) -> tuple[dict[str, str], bool]:
    """The headers of the response, and whether the connection is kept."""
    with connect(port) as wire:
        wire.sendall(request)
        received = b""
        while not received.endswith(b"small"):
            part = wire.recv(65536)
            assert part, received
            received += part
        head = received.decode().partition("\r\n\r\n")[0]
        try:
            wire.sendall(request)
            is_kept = bool(wire.recv(65536))
        except OSError:
            is_kept = False
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:]), is_kept


def test_a_silent_connection_is_closed_after_the_time_out_and_no_other(application: Application) -> None:
    with (
        serving(application, cleanup_interval=1, channel_timeout=4, asyncore_loop_timeout=0.1) as (port, _, _),
        connect(port) as silent,
        connect(port) as busy,
    ):
        silent.settimeout(0.2)
        for _ in range(150):
            busy.sendall(get())
            assert busy.recv(65536)
            try:
                assert silent.recv(1) == b""
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the silent connection was kept")


def test_above_the_limit_of_connections_the_one_that_waited_longest_makes_room(application: Application) -> None:
    with serving(application, connections=3, asyncore_loop_timeout=0.1) as (port, _, _):
        silent, first, second = (connect(port) for _ in range(3))
        for wire in (first, second):
            wire.sendall(get())
            assert wire.recv(65536)
        with connect(port) as third, closing(silent), closing(first), closing(second):
            third.sendall(get())
            assert third.recv(65536)
            assert silent.recv(1) == b"", "it never sent a request"
            second.sendall(get())
            assert second.recv(65536), "and the others stay"


def test_no_connection_with_a_request_under_way_makes_room(application: Application) -> None:
    with serving(application, connections=THREADS + 1, asyncore_loop_timeout=0.1) as (port, _, _):
        held = [connect(port) for _ in range(THREADS)]
        for wire in held:
            wire.sendall(get(b"/held"))
            assert application.held.acquire(timeout=10)
        with connect(port) as waiting:
            waiting.sendall(get())
            waiting.settimeout(0.5)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            application.may_go_on.set()
            waiting.settimeout(10)
            assert waiting.recv(65536)
        for wire in held:
            with closing(wire):
                assert b"small" in wire.recv(65536)


def all_of(wire: socket.socket) -> bytes:
    """What comes until the server closes. Raises ConnectionResetError when it resets the connection."""
    received = b""
    while part := wire.recv(65536):
        received += part
    return received


def wait_until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_refused(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_stop_completes_every_request_that_was_received_and_refuses_new_connections(application: Application) -> None:
    with serving(application) as (port, server, thread):
        # More than there are threads: some wait in the queue.
        held = [connect(port) for _ in range(4 * THREADS)]
        for wire in held:
            wire.sendall(get(b"/held"))
        for _ in range(THREADS):
            assert application.held.acquire(timeout=10)
        kept = connect(port)
        kept.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")  # the rest comes after the stop
        time.sleep(0.1)
        server.stop()
        wait_until(lambda: is_refused(port))
        kept.sendall(b"llo")
        application.may_go_on.set()
        for wire in (*held, kept):
            with closing(wire):
                response = all_of(wire)
                assert response.startswith(b"HTTP/1.1 200 OK")
                assert b"\r\nConnection: close\r\n" in response
                assert b"small" in response
        thread.join(10)
        assert not thread.is_alive()
    assert application.responses == 4 * THREADS + 1


def test_a_stop_serves_connections_that_the_system_had_completed_before(application: Application) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = ProductionServer(application, listener, threads=THREADS)
    wires = [connect(port) for _ in range(20)]  # none is accepted yet
    for wire in wires:
        wire.sendall(get())
    server.stop()
    server.run()
    for wire in wires:
        with closing(wire):
            assert b"small" in all_of(wire)
    assert is_refused(port)


def test_a_stop_without_requests_is_quick_although_connections_are_open(application: Application) -> None:
    with serving(application) as (port, server, thread):
        idle = [connect(port) for _ in range(5)]
        for wire in idle:
            wire.sendall(get())
            assert wire.recv(65536)
        started = time.monotonic()
        server.stop()
        thread.join(10)
        assert time.monotonic() - started < QUIET_SECONDS + 2
        for wire in idle:
            with closing(wire):
                wire.settimeout(5)
                all_of(wire)


def test_a_stop_does_not_wait_for_ever_for_a_request_that_never_ends(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letstalk.http.production_server.DRAIN_SECONDS", 0.5)
    with serving(application) as (port, server, thread):
        with connect(port) as held:
            held.sendall(get(b"/held"))
            assert application.held.acquire(timeout=10)
            server.stop()
            thread.join(10)
            assert not thread.is_alive()
        application.may_go_on.set()
        waitress = server._server  # which the server leaves open, as a thread that it has abandoned still used it
        wait_until(lambda: not waitress.task_dispatcher.threads)
        waitress.close()


def test_a_request_that_ends_just_after_the_server_has_waited_for_it_gets_its_response(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letstalk.http.production_server.DRAIN_SECONDS", 0.2)
    monkeypatch.setattr("letstalk.http.production_server.ABANDON_SECONDS", 20.0)
    with serving(application) as (port, server, thread), connect(port) as held:
        held.sendall(get(b"/held"))
        assert application.held.acquire(timeout=10)
        server.stop()
        time.sleep(1)
        application.may_go_on.set()
        assert b"small" in all_of(held)
        thread.join(10)
        assert not thread.is_alive()


def test_a_head_request_while_the_server_stops_has_no_body(application: Application) -> None:
    with serving(application) as (port, server, _), connect(port) as held, connect(port) as wire:
        held.sendall(get(b"/held"))
        assert application.held.acquire(timeout=10)
        server.stop()
        wait_until(lambda: is_refused(port))
        wire.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"\r\nContent-Length: 5\r\n" in wire.recv(65536)
        application.may_go_on.set()
        assert b"small" in all_of(held)
