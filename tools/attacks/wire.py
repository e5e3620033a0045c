"""Raw HTTP: request smuggling, malformed requests, slow clients, and very large requests."""

from __future__ import annotations

import re
import secrets
import socket
import time
from contextlib import ExitStack, suppress

from tools.attacks.targets import Target
from tools.attacks.trials import Attack, Trial, attack

INNER = b"GET /health HTTP/1.1\r\nHost: hidden\r\n\r\n"
LENGTH = b"Content-Length: %d" % len(INNER)
CHUNKED = b"Transfer-Encoding: chunked"
HEALTHY_SECONDS = 2.0
SLOW_SENDERS = 120
UNREADING = 20

# (headers, body): requests whose end two parsers may see at different places. Each may get one response or none.
HIDING: dict[str, tuple[bytes, bytes]] = {
    "length and chunks": (b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + INNER),
    "chunks and length": (CHUNKED + b"\r\n" + LENGTH, b"0\r\n\r\n" + INNER),
    "two lengths": (b"Content-Length: 0\r\n" + LENGTH, INNER),
    "a list of lengths": (b"Content-Length: 0, %d" % len(INNER), INNER),
    "a length with a sign": (b"Content-Length: +0", INNER),
    "a negative length": (b"Content-Length: -1", INNER),
    "a length in hex": (b"Content-Length: 0x0", INNER),
    "a length of words": (b"Content-Length: zero", INNER),
    "a space before the colon": (b"Content-Length : 0", INNER),
    "chunks, a space before": (b"Transfer-Encoding : chunked", b"0\r\n\r\n" + INNER),
    "unknown coding": (b"Transfer-Encoding: xchunked", INNER),
    "identity, then chunks": (b"Transfer-Encoding: identity, chunked", b"0\r\n\r\n" + INNER),
    "chunks, then identity": (CHUNKED + b", identity\r\n" + LENGTH, INNER),
    "chunks twice": (CHUNKED + b"\r\nTransfer-Encoding: x", b"0\r\n\r\n" + INNER),
    "chunks after a tab": (b"Transfer-Encoding:\x0bchunked", b"0\r\n\r\n" + INNER),
    "a chunk's odd size": (CHUNKED, b"0x0\r\n\r\n" + INNER),
    "a negative chunk": (CHUNKED, b"-1\r\n\r\n" + INNER),
    "a chunk without an end": (CHUNKED, b"1\r\nXX\r\n0\r\n\r\n" + INNER),
    "a chunk's odd extension": (CHUNKED, b"0;a=\n\r\n\r\n" + INNER),
    "a folded header": (b"X: a\r\n Content-Length: 0\r\n" + LENGTH, INNER),
    "a bare line feed": (b"X: a\nContent-Length: 0\r\n" + LENGTH, INNER),
    "a NUL": (b"X: a\0b\r\nContent-Length: 0", INNER),
    "no name": (b": a\r\nContent-Length: 0", INNER),
    "an underscore": (b"Content_Length: 0\r\n" + LENGTH, INNER),
}


@attack("one response, the rest is not read as a request")
def hide(target: Target, trial: Trial) -> None:
    """Hide a request in the body of another one"""
    for version in (b"1.1", b"1.0"):
        for name, (headers, body) in HIDING.items():
            start = b"POST /calls/otp HTTP/" + version + b"\r\nHost: x\r\nConnection: keep-alive\r\n"
            answers = _statuses(target.exchange(start + headers + b"\r\n\r\n" + body, seconds=0.5))
            # If the length is clearly zero, what follows is a second request.
            allowed = 2 if name in ("a space before the colon", "no name", "a NUL") else 1
            hidden = len(answers) > allowed or (len(answers) > 1 and answers[1] == 200)
            trial.see(
                f"{name}: {' '.join(map(str, answers))}" if hidden else f"{len(answers)} answers", holds=not hidden
            )
            trial.see("no 5xx" if 500 not in answers else f"{name}: 500", holds=500 not in answers)


@attack("4xx or a closed connection, and the next request is served")
def babble(target: Target, trial: Trial) -> None:
    """Send data that is not HTTP, very long lines, too many headers"""
    noise: dict[str, bytes] = {
        "noise": secrets.token_bytes(5000),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + secrets.token_bytes(500),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/9.9": _asking(b"GET / HTTP/9.9"),
        "no version": b"GET /calls\r\n\r\n",
        "blank lines": b"\r\n" * 5000,
        "a long path": _asking(b"GET /" + b"a" * 200_000 + b" HTTP/1.1"),
        "a long header": _asking(b"GET /calls HTTP/1.1\r\nX: " + b"a" * 300_000),
        "many headers": _asking(b"GET /calls HTTP/1.1\r\n" + b"\r\n".join(b"X-%d: a" % n for n in range(20_000))),
        "an absolute address": _asking(b"GET http://evil.example/calls HTTP/1.1"),
        "a star": _asking(b"OPTIONS * HTTP/1.1"),
        "CONNECT": _asking(b"CONNECT evil.example:443 HTTP/1.1"),
        "TRACE": _asking(b"TRACE /calls HTTP/1.1\r\nX-Echo: mirror"),
        "an odd method": _asking(b"G@T /calls HTTP/1.1"),
        "a long method": _asking(b"G" * 5000 + b" /calls HTTP/1.1"),
        "expecting": _asking(b"POST /calls/otp HTTP/1.1\r\nExpect: 200-ok"),
        "bytes in the path": _asking(b"GET /\xff\x00\x1b HTTP/1.1"),
        "up and away": _asking(b"GET /static/../../.env HTTP/1.1"),
        "encoded up and away": _asking(b"GET /static/%2e%2e/%2e%2e/.env HTTP/1.1"),
        "a backslash": _asking(b"GET /static/..\\.env HTTP/1.1"),
        "assets, up and away": _asking(b"GET /docs/assets/..%2f..%2f__init__.py HTTP/1.1"),
    }
    for name, data in noise.items():
        received = target.exchange(data, seconds=1.0)
        statuses = _statuses(received)
        fine = all(200 <= status < 500 or status in (501, 505) for status in statuses) and b"mirror" not in received
        fine = fine and b"SECRET_KEY" not in received and not (name != "a star" and 200 in statuses)
        trial.see(f"{name}: {statuses}" if not fine else f"{statuses}", holds=fine)
    seconds = target.seconds_to_health(HEALTHY_SECONDS)
    trial.see("then healthy" if seconds is not None else "then no health", holds=seconds is not None)


@attack("413 or 4xx, without reading all of it")
def overload(target: Target, trial: Trial) -> None:
    """Announce and send very large bodies"""
    bearer = b"Authorization: Bearer " + target.owner("a").token.encode()
    start = b"POST /calls/otp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + bearer + b"\r\n"
    for announced in (b"100000000000", b"9" * 30, b"1073741824"):
        statuses = _statuses(target.exchange(start + b"Content-Length: " + announced + b"\r\n\r\n{", seconds=3.0))
        trial.see(f"{announced.decode()} bytes announced: {statuses}", holds=statuses[:1] in ([413], [400]))
    chunk = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    statuses = _statuses(target.exchange(start + CHUNKED + b"\r\n\r\n" + chunk * 5 + b"0\r\n\r\n", seconds=3.0))
    trial.see(f"500 kB in chunks: {statuses}", holds=statuses[:1] == [413])
    sent = _sent_before_closing(target, start + CHUNKED + b"\r\n\r\n", chunk, 40_000_000)
    trial.see(f"{sent // 1_000_000} MB of endless chunks taken", holds=sent < 40_000_000)


@attack(f"others are served within {HEALTHY_SECONDS:.0f} s")
def dawdle(target: Target, trial: Trial) -> None:
    """Hold many connections with unfinished headers, bodies and chunks, and unread responses"""
    bearer = b"Authorization: Bearer " + target.owner("a").token.encode()
    beginnings = (
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /calls/otp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n"
        + bearer
        + b"\r\n\r\n{",
        b"POST /calls/otp HTTP/1.1\r\nHost: x\r\n" + CHUNKED + b"\r\n\r\nffff\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
        b"",
    )
    with ExitStack() as stack:
        wires = [stack.enter_context(target.connection()) for _ in range(600 if target.thorough else SLOW_SENDERS)]
        for number, wire in enumerate(wires):
            wire.sendall(beginnings[number % len(beginnings)])
        for _ in range(10 if target.thorough else 3):
            _drip(wires)
            seconds = target.seconds_to_health(HEALTHY_SECONDS)
            late = seconds is None or seconds > HEALTHY_SECONDS
            words = "no answer" if seconds is None else "answered" if not late else f"{seconds:.1f} s"
            trial.see(f"{len(wires)} slow ones: {words}", holds=not late)
            time.sleep(0.2)


@attack(f"others are served within {HEALTHY_SECONDS:.0f} s")
def never_read(target: Target, trial: Trial) -> None:
    """Request much data repeatedly, and read none of it"""
    page = target.client().get("/docs").text
    largest = max(
        re.findall(r'(?:src|href)="(/[^"]+)"', page) or ["/openapi.json"], key=lambda path: _size(target, path)
    )
    for path in (largest, "/openapi.json"):
        with ExitStack() as stack:
            for _ in range(UNREADING):
                wire = stack.enter_context(target.connection())
                with suppress(OSError):  # closed by the server
                    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 150)
            time.sleep(0.5)
            for _ in range(3):
                seconds = target.seconds_to_health(HEALTHY_SECONDS)
                words = "no answer" if seconds is None else "answered"
                trial.see(f"{UNREADING} that never read: {words}", holds=seconds is not None)


def _asking(start: bytes) -> bytes:
    """A request without a body, from its first line and perhaps a header."""
    return start + b"\r\nHost: x\r\nConnection: close\r\n\r\n"


def _drip(wires: list[socket.socket]) -> None:
    for wire in wires:
        with suppress(OSError):  # closed by the server, as it should be at some time
            wire.send(b"a")


def _size(target: Target, path: str) -> int:
    return len(target.client().get(path).content)


def _statuses(received: bytes) -> list[int]:
    """The status of each response in `received`."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


def _sent_before_closing(target: Target, start: bytes, chunk: bytes, limit_bytes: int) -> int:
    sent = 0
    with target.connection(3.0) as wire:
        try:
            wire.sendall(start)
            while sent < limit_bytes:
                wire.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass  # closed by the server, as it should be
    return sent


ATTACKS: tuple[Attack, ...] = (hide, babble, overload, dawdle, never_read)
