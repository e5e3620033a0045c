"""Receivers of webhooks: real HTTP servers that keep what they are sent and answer as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """A request. Names of headers are in lower case."""

    headers: dict[str, str]
    body: bytes
    target: str = ""
    """The method, the path and the query, as `POST /hook`."""

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Receiver:
    """`reply` makes the reply to a request; it may wait. `most_at_once` is how many requests were open together."""

    url: str
    reply: Callable[[Received], Reply] = lambda _received: Reply()
    received: list[Received] = field(default_factory=list)
    open_requests: int = 0
    most_at_once: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, request: Received) -> Reply:
        with self._changed:
            self.received.append(request)
            self.open_requests += 1
            self.most_at_once = max(self.most_at_once, self.open_requests)
            self._changed.notify_all()
        try:
            return self.reply(request)
        finally:
            with self._changed:
                self.open_requests -= 1

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests have come in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= requests, 30), len(self.received)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionError("the sender was killed in the middle of its request")
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.answer(Received(headers, body, f"{self.command} {self.path}"))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A sender that goes away in the middle is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
