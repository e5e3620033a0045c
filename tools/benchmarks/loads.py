"""The load: kept-alive connections driven by one thread on one core, as cheaply as Python can.

Each connection is used by one exchange: a generator that yields the bytes of a request and is sent the response.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

CONNECTIONS = 16
TIMEOUT_SECONDS = 20.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Response(NamedTuple):
    status: int
    body: bytes


class UnexpectedResponse(Exception):
    """A server sent a response that this load does not expect, or none at all."""


Exchange = Generator[bytes, Response, None]


@dataclass(slots=True)
class Sample:
    """The responses received within `seconds`, and how long each took."""

    seconds: float
    latencies_seconds: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies_seconds) / self.seconds


class ClientConnection:
    """A connection and the exchange that uses it."""

    __slots__ = ("connection", "exchange", "received", "started")

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        self.connection = connection
        self.exchange = exchange
        self.started = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        self.started = time.perf_counter()
        self.connection.sendall(request)

    def receive(self) -> Response | None:
        """The response; None until all of it has arrived."""
        piece = self.connection.recv(65536)
        if not piece:
            raise UnexpectedResponse("the server closed a connection that it should have kept open")
        received = self.received + piece if self.received else piece
        response = parse_response(received)
        self.received = b"" if response is not None else received
        return response


def parse_response(received: bytes) -> Response | None:
    """The one HTTP/1.1 response in `received`; None while a part of it is missing."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    length = _LENGTH.search(head)
    # Without a length the body comes in chunks, of which the last one is empty.
    is_whole = body.endswith(b"0\r\n\r\n") if length is None else len(body) >= int(length[1])
    return Response(int(head[9:12]), body) if is_whole else None


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of a request with a JSON body; `headers` are whole lines."""
    text = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
    if body:
        text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return text.encode() + b"\r\n" + body


def expect(status: int, response: Response) -> Response:
    """The response. Raises UnexpectedResponse if it has another status."""
    if response.status != status:
        raise UnexpectedResponse(f"{response.status} instead of {status}: {response.body[:300]!r}")
    return response


def send_each(requests: Iterable[bytes], status: int) -> Exchange:
    """Sends one request after the other and expects `status` each time. Exchanges may share one iterator."""
    for one in requests:
        expect(status, (yield one))


def share_requests(requests: Iterator[bytes], status: int) -> list[Exchange]:
    """An exchange for each connection; together they send all `requests`."""
    return [send_each(requests, status) for _ in range(CONNECTIONS)]


def run_load(ports: Sequence[int], exchanges: Sequence[Exchange], warm_up_seconds: float, seconds: float) -> Sample:
    """Give each exchange a connection, to the ports in turn, which sends its next request after each response.

    Raises UnexpectedResponse. Ends early if an exchange has no further request.
    """
    with _connected(ports, exchanges) as (poll, connections):
        for connection in connections.values():
            connection.send(next(connection.exchange))
        _drive(poll, connections, warm_up_seconds)
        started = time.perf_counter()
        latencies = _drive(poll, connections, seconds)
        return Sample(time.perf_counter() - started, latencies)


def _drive(poll: select.epoll, connections: dict[int, ClientConnection], seconds: float) -> list[float]:
    latencies: list[float] = []
    now = time.perf_counter
    last_received = now()
    until = last_received + seconds
    while now() < until:
        for number, _ in poll.poll(0.05):
            connection = connections[number]
            response = connection.receive()
            if response is None:
                continue
            last_received = now()
            latencies.append(last_received - connection.started)
            try:
                connection.send(connection.exchange.send(response))
            except StopIteration:
                return latencies
        if now() - last_received > TIMEOUT_SECONDS:
            raise UnexpectedResponse(f"no response for {TIMEOUT_SECONDS:g} s")
    return latencies


@contextmanager
def _connected(
    ports: Sequence[int], exchanges: Sequence[Exchange]
) -> Iterator[tuple[select.epoll, dict[int, ClientConnection]]]:
    """A connection for each exchange, by its file number.

    Garbage collection is off meanwhile, because a pause of the load would be measured as a pause of the server.
    """
    with ExitStack() as stack, select.epoll() as poll:
        connections = {}
        for number, exchange in enumerate(exchanges):
            address = ("127.0.0.1", ports[number % len(ports)])
            connection = stack.enter_context(socket.create_connection(address, timeout=TIMEOUT_SECONDS))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(connection, select.EPOLLIN)
            connections[connection.fileno()] = ClientConnection(connection, exchange)
        gc.disable()
        try:
            yield poll, connections
        finally:
            gc.enable()
