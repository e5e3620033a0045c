"""The load: kept-alive connections driven by one thread on one core, as cheap as Python can be.

Who speaks over a connection is a generator: it yields the bytes of a request and is sent the answer.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

CONNECTIONS = 16
PATIENCE_SECONDS = 20.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    status: int
    body: bytes


class WrongAnswer(Exception):
    """A server answered what this load does not expect, or not at all."""


Talk = Generator[bytes, Answer, None]


@dataclass(slots=True)
class Sample:
    """Answers within `seconds`, and how long each took."""

    seconds: float
    latencies_seconds: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies_seconds) / self.seconds


class Line:
    """A connection."""

    __slots__ = ("connection", "received", "started", "talk")

    def __init__(self, connection: socket.socket, talk: Talk) -> None:
        self.connection = connection
        self.talk = talk
        self.started = 0.0
        self.received = b""

    def say(self, request: bytes, since: float | None = None) -> None:
        self.started = time.perf_counter() if since is None else since
        self.connection.sendall(request)

    def hear(self) -> Answer | None:
        """The answer, once all of it is here."""
        piece = self.connection.recv(65536)
        if not piece:
            raise WrongAnswer("the server closed a connection that it should have kept")
        received = self.received + piece if self.received else piece
        answer = parse_answer(received)
        self.received = b"" if answer is not None else received
        return answer


def parse_answer(received: bytes) -> Answer | None:
    """The one HTTP/1.1 answer in `received`; None while a part of it is missing."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    length = _LENGTH.search(head)
    # Without a length it comes in chunks, of which the last one is empty.
    is_whole = body.endswith(b"0\r\n\r\n") if length is None else len(body) >= int(length[1])
    return Answer(int(head[9:12]), body) if is_whole else None


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of a request with a JSON body; `headers` are whole lines."""
    text = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
    if body:
        text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return text.encode() + b"\r\n" + body


def expect(status: int, answer: Answer) -> Answer:
    if answer.status != status:
        raise WrongAnswer(f"{answer.status} instead of {status}: {answer.body[:300]!r}")
    return answer


def ask_each(requests: Iterable[bytes], status: int) -> Talk:
    """Asks one after the other; each answer must have `status`. Several may take their requests from one iterator."""
    for one in requests:
        expect(status, (yield one))


def run_closed(ports: Sequence[int], talks: Sequence[Talk], warm_up_seconds: float, seconds: float) -> Sample:
    """Each talk has a connection, to the ports in turn, and asks again as soon as it was answered.

    Raises WrongAnswer. Ends before its time where the first talk has nothing more to say.
    """
    with _connected(ports, talks) as (poll, lines):
        for line in lines.values():
            line.say(next(line.talk))
        _drive(poll, lines, warm_up_seconds)
        started = time.perf_counter()
        latencies = _drive(poll, lines, seconds)
        return Sample(time.perf_counter() - started, latencies)


def run_open(
    port: int, requests: Iterator[bytes], status: int, per_second: float, warm_up_seconds: float, seconds: float
) -> Sample:
    """A request is due every 1/`per_second`, whether or not earlier ones were answered; its time counts from then.

    What is due while every connection waits for its answer waits for a connection; what is not answered in the end
    is missing from the sample. Raises WrongAnswer.
    """
    now = time.perf_counter
    with _connected([port], [ask_each(requests, status) for _ in range(CONNECTIONS)]) as (poll, lines):
        idle = deque(lines.values())
        begun = due = now()
        latencies: list[float] = []
        asked = 0
        while now() - begun < warm_up_seconds + seconds:
            # Awake all the time: to sleep would be to come late.
            while idle and due <= now():
                line = idle.popleft()
                line.say(next(requests), due)
                asked += 1
                due = begun + asked / per_second
            for number, _ in poll.poll(0):
                line = lines[number]
                answer = line.hear()
                if answer is not None:
                    expect(status, answer)
                    if line.started - begun >= warm_up_seconds:
                        latencies.append(now() - line.started)
                    idle.append(line)
        return Sample(seconds, latencies)


def _drive(poll: select.epoll, lines: dict[int, Line], seconds: float) -> list[float]:
    latencies: list[float] = []
    now = time.perf_counter
    last_heard = now()
    until = last_heard + seconds
    while now() < until:
        for number, _ in poll.poll(0.05):
            line = lines[number]
            answer = line.hear()
            if answer is None:
                continue
            last_heard = now()
            latencies.append(last_heard - line.started)
            try:
                line.say(line.talk.send(answer))
            except StopIteration:
                return latencies
        if now() - last_heard > PATIENCE_SECONDS:
            raise WrongAnswer(f"no answer for {PATIENCE_SECONDS:g} s")
    return latencies


@contextmanager
def _connected(ports: Sequence[int], talks: Sequence[Talk]) -> Iterator[tuple[select.epoll, dict[int, Line]]]:
    """A line for each talk by its file number. No garbage is collected meanwhile: it would count as the server's."""
    with ExitStack() as stack, select.epoll() as poll:
        lines = {}
        for number, talk in enumerate(talks):
            address = ("127.0.0.1", ports[number % len(ports)])
            connection = stack.enter_context(socket.create_connection(address, timeout=PATIENCE_SECONDS))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(connection, select.EPOLLIN)
            lines[connection.fileno()] = Line(connection, talk)
        gc.disable()
        try:
            yield poll, lines
        finally:
            gc.enable()
