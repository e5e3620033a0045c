"""Connections that dawdle, that are too many, or for which no file is left; and bodies that are too long."""

from __future__ import annotations

import json
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from letstalk.core.ip_addresses import read_networks
from letstalk.http import connections, production_server
from letstalk.http.connections import (
    FILES_EACH,
    MAX_CONNECTIONS,
    OTHER_FILES,
    ROOM_FILES,
    OpenConnections,
    most_connections,
)
from letstalk.http.json_bodies import MAX_BODY_BYTES
from tests.http.test_production_server import Application, all_of, connect, get, serving
from tests.support.apps import ServerProcess

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def application() -> Application:
    return Application()


def is_served(wire: socket.socket) -> bool:
    wire.sendall(get())
    received = b""
    while b"small" not in received:
        part = wire.recv(65536)
        if not part:
            return False
        received += part
    return True


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADER_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(connections, name, 0.5)
    monkeypatch.setattr(production_server, "DEADLINE_POLL_SECONDS", 0.1)


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", POST + b"Content-Length: 60000\r\n\r\n"],
    ids=["nothing", "headers", "a body"],
)
def test_a_client_that_drips_is_closed_at_its_deadline_and_no_other(beginning: bytes, application: Application) -> None:
    with serving(application) as (port, _, _), connect(port) as slow, connect(port) as usual:
        assert is_served(usual)
        slow.sendall(beginning)
        slow.settimeout(0.05)
        for _ in range(400):
            try:
                if beginning:
                    slow.send(b"a")
                assert slow.recv(1) == b""
                break
            except TimeoutError:
                continue
            except OSError:  # reset, because it sent once more
                break
        else:
            pytest.fail("it was kept")
        assert is_served(usual), "one that waits between two requests is no dawdler"
    assert application.responses == 2


@pytest.mark.usefixtures("short_deadlines")
def test_a_client_that_reads_nothing_is_closed(application: Application) -> None:
    with serving(application) as (port, server, _), closing(socket.socket()) as unreading:
        unreading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unreading.connect(("127.0.0.1", port))
        unreading.sendall(get(b"/large") * 20)
        deadline = time.monotonic() + 30
        while not application.responses or len(server._open):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.usefixtures("short_deadlines")
def test_requests_that_are_sent_ahead_without_a_pause_are_not_late(application: Application) -> None:
    with serving(application) as (port, _, _), connect(port) as wire:
        received, asked = b"", 0
        request = get() + get()[:-3]  # a beginning of the next is always there
        wire.sendall(request)
        for _ in range(15):
            time.sleep(0.1)
            wire.sendall(get()[-3:] + get() + get()[:-3])
            asked += 2
        while received.count(b"small") < asked + 1:
            part = wire.recv(65536)
            assert part, "closed"
            received += part


def test_who_opens_too_many_connections_displaces_their_own(
    monkeypatch: pytest.MonkeyPatch, application: Application
) -> None:
    monkeypatch.setattr(connections, "MAX_PER_ADDRESS", 5)
    proxies = read_networks("10.0.0.0/8")
    with serving(application, proxies=proxies) as (port, server, _), ExitStack() as stack:
        neighbour = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.2", 0))))
        assert is_served(neighbour)
        many = [stack.enter_context(closing(connect(port))) for _ in range(12)]
        assert is_served(many[-1]), "the newest is served"
        for wire in many[:7]:
            assert wire.recv(1) == b"", "the oldest made room"
        assert len(server._open) == 6
        assert is_served(neighbour), "nobody else did"


def test_networks_are_counted_beside_addresses(monkeypatch: pytest.MonkeyPatch, application: Application) -> None:
    monkeypatch.setattr(connections, "MAX_PER_NETWORK", 5)
    with serving(application) as (port, server, _), ExitStack() as stack:
        for number in range(12):
            source = (f"127.0.7.{number + 1}", 0)
            wire = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), 10, source)))
            assert is_served(wire)
        assert len(server._open) == 5


@pytest.mark.parametrize("proxies", [1, read_networks("127.0.0.0/24")])
def test_behind_a_proxy_the_proxy_counts(
    proxies: Any, monkeypatch: pytest.MonkeyPatch, application: Application
) -> None:
    monkeypatch.setattr(connections, "MAX_PER_ADDRESS", 2)
    with serving(application, proxies=proxies) as (port, server, _), ExitStack() as stack:
        for _ in range(6):
            wire = stack.enter_context(closing(connect(port)))
            assert is_served(wire)
        assert len(server._open) == 6


class Quiet:
    """A connection from an address, without a socket."""

    def __init__(self, address: str, waits_since: float) -> None:
        self.addr = (address, 1)
        self.request, self.is_busy, self.total_outbufs_len = None, False, 0
        self.last_activity, self.began_at, self.waits_since, self.was_useful = 0.0, 0.0, waits_since, True
        self.lingers_until: float | None = None
        self.opened: OpenConnections | None = None
        self.is_closed = False

    def handle_close(self) -> None:
        assert self.opened is not None
        self.is_closed = True
        self.opened.forget(self)


def test_when_it_gets_tight_the_network_with_most_connections_makes_room() -> None:
    opened = OpenConnections(10)
    few = [Quiet(f"2001:db8:{number}::1", 0.0) for number in range(4)]
    many = [Quiet(f"2001:db8:ffff:{number}::1", 5.0 + number) for number in range(8)]
    for one in (*few, *many):
        one.opened = opened
        opened.admit(one)
    assert [one.is_closed for one in few] == [False] * 4, "although they waited longer"
    assert [one.is_closed for one in many] == [True] * 3 + [False] * 5
    for one in (*few, *many[3:]):
        one.handle_close()
    assert len(opened) == 0
    assert not opened._counts


def test_once_there_are_files_again_as_many_connections_are_kept_as_before() -> None:
    opened = OpenConnections(40)
    kept = [Quiet(f"2001:db8:{number}::1", number) for number in range(39)]
    for one in kept:
        one.opened = opened
        opened.admit(one)
    for _ in range(3):
        opened.make_room()
    assert len(opened) == 39 - 3 * ROOM_FILES
    for _ in range(60):  # a minute
        opened.close_late()
    for number in range(39):
        one = Quiet(f"2001:db8:a:{number}::1", 100.0 + number)
        one.opened = opened
        opened.admit(one)
    assert len(opened) == 39, "and no more than those"


@pytest.mark.parametrize(("files", "most"), [(64, 10), (256, 42), (1024, 266), (8192, MAX_CONNECTIONS)])
def test_half_of_the_files_or_all_but_some_are_for_connections(files: int, most: int) -> None:
    assert most_connections(files) == most
    assert files - most * FILES_EACH >= min(OTHER_FILES, files // 2)


def answer_to(port: int, head: bytes, body: bytes) -> tuple[int, dict[str, str], Any]:
    with connect(port) as wire:
        wire.sendall(head)
        with suppress(OSError):
            wire.sendall(body)
        top, _, content = all_of(wire).partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(content)


@pytest.mark.parametrize(
    ("head", "body", "status", "code"),
    [
        (POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), b"", 413, "too_large"),
        (POST + b"Content-Length: 16000000\r\nExpect: 100-continue\r\n\r\n", b"", 413, "too_large"),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n",
            b"ffff\r\n" + b"x" * 65535 + b"\r\nffff\r\nxx",
            413,
            "too_large",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, b"\r\n\r\n", 431, "invalid_request"),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"", 400, "invalid_request"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", b"", 501, "invalid_request"),
    ],
    ids=["a long body", "asked first", "chunks", "long headers", "no header", "a coding"],
)
def test_what_the_server_refuses_itself_has_the_shape_of_every_error(
    head: bytes, body: bytes, status: int, code: str, application: Application
) -> None:
    with serving(application) as (port, _, _):
        found, headers, content = answer_to(port, head, body)
    assert (found, content["code"]) == (status, code)
    assert set(content) == {"error", "code", "request_id"}
    assert content["request_id"] == headers["X-Request-Id"]
    assert (headers["Content-Type"], headers["Connection"]) == ("application/json", "close")
    assert application.responses == 0


def test_no_body_is_kept_in_a_file_and_the_longest_is_still_read(
    monkeypatch: pytest.MonkeyPatch, application: Application
) -> None:
    def must_not_be_called(*_: object, **__: object) -> None:
        pytest.fail("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", must_not_be_called)
    with serving(application) as (port, _, _), ExitStack() as stack:
        for _ in range(3):
            cut = stack.enter_context(closing(connect(port)))
            cut.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * (MAX_BODY_BYTES - 100))
        longest = stack.enter_context(closing(connect(port)))
        longest.sendall(POST + b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES + b"x" * MAX_BODY_BYTES)
        assert b"small" in longest.recv(65536)


@pytest.fixture
def starved(tmp_path: Path) -> Iterator[ServerProcess]:
    """A production server for which nearly no file is left, and that takes all connections for a proxy's."""
    with ServerProcess(tmp_path, FLASK_ENV="production", TRUSTED_PROXIES="1") as server:
        open_files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (open_files + 12, open_files + 12))
        yield server


def test_where_no_file_is_left_connections_are_closed_and_nothing_is_written_again_and_again(
    starved: ServerProcess,
) -> None:
    def processor_seconds() -> float:
        fields = Path(f"/proc/{starved.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    with ExitStack() as stack:
        wires = [stack.enter_context(closing(connect(starved.port))) for _ in range(60)]
        before = processor_seconds()
        closed = 0
        for wire in wires:
            wire.settimeout(0.2)
            with suppress(TimeoutError):
                closed += wire.recv(1) == b""
        assert closed >= 50, "there is room for the database as well"
        assert processor_seconds() - before < 5, "and the loop does not run in circles"
    threading.Event().wait(0.5)
    with connect(starved.port) as wire:
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 200 OK" in all_of(wire), "and afterwards it serves"
    log = starved.log_path.read_text()
    assert "no_files_left" in log
    assert "accept" not in log
    assert len(log) < 100_000
