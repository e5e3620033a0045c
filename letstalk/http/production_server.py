"""Waitress as production runs it: its arguments, a stricter parser, deadlines, errors in our shape, a graceful stop."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import IO, Any, cast
from uuid import uuid4

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.task import ErrorTask
from werkzeug.wsgi import ClosingIterator, FileWrapper

from letstalk.core.ip_addresses import Network
from letstalk.http.connections import Listener, OpenConnections, allow_more_files, most_connections
from letstalk.http.json_bodies import MAX_BODY_BYTES, MIMETYPE, to_body
from letstalk.http.request_threads import RequestThreads

MAX_HEADER_BYTES = 32 * 1024
IDLE_SECONDS = 75  # between two requests; longer than nginx keeps its connections to us
BACKLOG = 1024
LINGER_SECONDS = 2.0  # for a client that has been refused to finish sending: what it sends is thrown away
LINGER_BYTES = 2 * 1024 * 1024
RECEIVE_BYTES = 2048  # Waitress reads this much ahead of its responses
# A thread waits for a client that leaves more unread. Nobody can: that is SEND_BYTES and one response at most.
MAX_UNREAD_BYTES = 64 * 1024 * 1024

# A shorter response is sent in one piece, by Waitress's loop, once its request is done. Sent by the thread, the headers
# first, it had the loop ask ten times in vain whether there was something to send: a third of the processor time.
# A client that leaves so much unread waits for its next response: else one packet of requests would take megabytes.
SEND_BYTES = 18_000

DRAIN_SECONDS = 5.0  # how long a stop waits for requests that were received before it
QUIET_SECONDS = 0.3  # without a request for so long, the stop goes on
ABANDON_SECONDS = 0.5  # for threads that are still busy after that
POLL_SECONDS = 0.02
DEADLINE_POLL_SECONDS = 1.0

Environ = dict[str, Any]


class ProductionServer:
    """Serves a WSGI application until it is told to stop, and then completes every request that it has received."""

    def __init__(
        self,
        wsgi_app: Any,
        listener: socket.socket,
        *,
        threads: int,
        proxies: int | tuple[Network, ...] = 0,
        connections: int | None = None,
        **waitress_options: Any,
    ) -> None:
        """`listener` is bound already; other processes may accept from it too. The server takes it over, and closes it
        when it stops. `threads` requests are worked on at a time, beside those in slow work (`RequestThreads`).
        `connections` is how many are kept open; by default as many as there are files for.
        """
        most = most_connections(allow_more_files()) if connections is None else connections
        self._open = OpenConnections(most, proxies=proxies)
        self._listener = Listener(listener, make_room=self._open.make_room)
        self._stopping = threading.Event()
        self._drain_thread = threading.Thread(target=self._drain, name="drain", daemon=True)
        self._deadline_thread = threading.Thread(target=self._watch_deadlines, name="deadlines", daemon=True)
        self._quiet_since = self._deadline = 0.0  # by the monotonic clock, once it is stopping
        self._connections: dict[int, Any] = {}  # whatever Waitress's loop listens to, by file descriptor
        options: dict[str, Any] = {
            "ident": None,
            "threads": threads,
            "backlog": BACKLOG,
            "connection_limit": most + 2,  # Waitress counts the listener and its trigger among them
            "channel_timeout": IDLE_SECONDS,
            "asyncore_use_poll": True,  # select() knows no file descriptor above 1,023
            "max_request_header_size": MAX_HEADER_BYTES,
            # A longer one is refused at its headers, or cut where its chunks exceed it. None is ever kept in a file.
            "max_request_body_size": MAX_BODY_BYTES + 1,
            "inbuf_overflow": MAX_BODY_BYTES + RECEIVE_BYTES + 1,
            "recv_bytes": RECEIVE_BYTES,
            "send_bytes": SEND_BYTES,
            "outbuf_high_watermark": MAX_UNREAD_BYTES,
            # `ClientAddresses` decides which proxy to believe, by TRUSTED_PROXIES.
            "clear_untrusted_proxy_headers": False,
        }
        self._threads = RequestThreads(ReadShortFiles(wsgi_app), threads)
        app = CloseConnections(self._threads, self._stopping.is_set)
        options |= waitress_options
        with warnings.catch_warnings():
            # Waitress means to remove `send_bytes`, whose default is 1 for applications that send a response in parts.
            warnings.filterwarnings("ignore", "send_bytes", DeprecationWarning)
            self._server = cast("Any", create_server(app, map=self._connections, sockets=[self._listener], **options))
        self._server.channel_class = partial(Channel, self._open)
        self._threads.start(self._server.task_dispatcher.set_thread_count)

    def run(self) -> None:
        """Serve. Returns once `stop` was called and the requests received by then have their responses."""
        self._deadline_thread.start()
        self._server.run()
        self._stopping.set()
        self._threads.stop()
        dispatcher = self._server.task_dispatcher
        dispatcher.shutdown(timeout=ABANDON_SECONDS)
        for thread in (self._drain_thread, self._deadline_thread):
            if thread.is_alive():
                thread.join()
        for channel in list(self._server.active_channels.values()):
            channel.handle_write()  # the response of a request that has ended since the loop did
            channel.close()
        # A thread that is still busy will use the server's pipe, whose descriptor must not be another file's by then.
        if not dispatcher.threads:
            self._server.close()

    def stop(self) -> None:
        """Have `run` return, soon. May be called by any thread and by a signal handler, and more than once."""
        if not self._stopping.is_set():
            self._stopping.set()
            # The thread that handles a signal runs Waitress's loop and may hold its lock.
            self._drain_thread.start()

    def _watch_deadlines(self) -> None:
        while not self._stopping.wait(DEADLINE_POLL_SECONDS):
            self._in_loop(self._open.close_late)

    def _drain(self) -> None:
        self._quiet_since = time.monotonic()
        self._deadline = self._quiet_since + DRAIN_SECONDS
        self._in_loop(self._stop_accepting)
        while self._connections:
            self._in_loop(self._end_when_quiet)
            time.sleep(POLL_SECONDS)

    def _in_loop(self, action: Callable[[], None]) -> None:
        self._server.trigger.pull_trigger(action)

    def _stop_accepting(self) -> None:
        # Connections that the system has completed would be reset, so they are taken first.
        for _ in range(BACKLOG):
            if not _is_any_readable([self._listener.fileno()]):
                break
            self._server.handle_accept()
        del self._connections[self._listener.fileno()]
        self._listener.close()

    def _end_when_quiet(self) -> None:
        now = time.monotonic()
        if self._is_busy():
            self._quiet_since = now
        if now - self._quiet_since >= QUIET_SECONDS or now >= self._deadline:
            self._connections.clear()  # Waitress's loop runs for as long as there is something to listen to

    def _is_busy(self) -> bool:
        """Whether a request is being received, waits for its response or is waiting to be read."""
        channels: dict[int, Any] = self._server.active_channels
        return any(
            channel.request or channel.requests or channel.total_outbufs_len for channel in channels.values()
        ) or _is_any_readable(channels)


def _is_any_readable(descriptors: Iterable[int]) -> bool:
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


class CloseConnections:
    """Middleware that ends each connection with its next response while the server stops.

    `Connection: close` tells a client that keeps its connection not to send a request that nobody would read. An
    application must not set that header (PEP 3333), but Waitress sets it where a response does not say its length.
    """

    def __init__(self, wsgi_app: Any, is_stopping: Callable[[], bool]) -> None:
        self._app = wsgi_app
        self._is_stopping = is_stopping

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        is_closing = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal is_closing
            is_closing = self._is_stopping() and environ["REQUEST_METHOD"] != "HEAD"
            if is_closing:
                headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            return start_response(status, headers, exc_info)

        body: Iterable[bytes] = self._app(environ, start)
        # Without a length, so that Waitress does not find out the response's.
        return ClosingIterator(body) if is_closing else body


class ReadShortFiles:
    """Middleware that has a short file read and closed at once.

    Waitress keeps a file open until the client has read it. Of the long ones a connection has two at most: the rest of
    one, and the next.
    """

    def __init__(self, wsgi_app: Any) -> None:
        self._app = wsgi_app

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.file_wrapper"] = partial(_wrap_file, environ["wsgi.file_wrapper"])
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


def _wrap_file(keep_open: Callable[[IO[bytes]], Iterable[bytes]], file: IO[bytes], block_bytes: int) -> Iterable[bytes]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return keep_open(file) if size >= SEND_BYTES else FileWrapper(file, block_bytes)


class Parser(HTTPRequestParser):
    """Refuses a request that states its length twice, which Waitress takes by its chunks.

    A proxy that goes by the other length would take what lies between the two for another client's request (RFC 9112,
    section 6.1). An application can't check it: by then Waitress has replaced both headers.
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError, which becomes a 400 and ends the connection."""
        super().parse_header(header_plus)
        # A body that will be refused is not asked for.
        expected, self.expect_continue = self.expect_continue, False
        # HTTP/1.0 has no chunks: there Waitress leaves the header and does not honour it.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("A request has one length")
        self.expect_continue = expected and self.content_length < self.adj.max_request_body_size


# What Waitress answers itself, before there is a request for the application.
ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request", "The request could not be read."),
    413: ("too_large", "The body is too large: at most 64 KiB."),
    431: ("invalid_request", "The headers are too long: at most 32 KiB."),
    500: ("internal_error", "Something went wrong on our side."),
    501: ("invalid_request", "The body is in a transfer coding that is not known here."),
}


class OurError:
    """An error of Waitress as `ErrorTask` writes it, in the shape of all our errors."""

    def __init__(self, status: int, reason: str) -> None:
        self._status = status
        self._reason = reason

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        code, sentence = ERRORS.get(self._status, ERRORS[400])
        request_id = str(uuid4())
        headers = [
            ("Content-Type", MIMETYPE),
            ("X-Request-Id", request_id),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ]
        body = to_body({"error": sentence, "code": code, "request_id": request_id})
        return f"{self._status} {self._reason}", headers, body


class OurErrorTask(ErrorTask):
    def execute(self) -> None:
        channel, request = cast("Channel", self.channel), cast("Any", self.request)
        channel.is_refused = True
        request.error = OurError(request.error.code, request.error.reason)
        super().execute()


class Channel(HTTPChannel):
    """A connection that is counted, and knows since when it waits for what."""

    parser_class = Parser
    error_task_class = OurErrorTask
    is_paused = False  # whether its next request waits until the client has read earlier responses

    @property
    def is_busy(self) -> bool:
        """Whether a request is being worked on, or waits for a thread."""
        return bool(self.requests) and not self.is_paused

    def service(self) -> None:
        """Serve a request, or wait with it: until `handle_write` finds that the client has read enough."""
        self.is_paused = self.total_outbufs_len >= SEND_BYTES
        if self.is_paused:
            self.server.pull_trigger()
        else:
            super().service()

    def handle_write(self) -> None:
        super().handle_write()
        if self.is_paused and self.total_outbufs_len < SEND_BYTES:
            self.is_paused = False
            self.server.add_task(cast("Any", self))

    def writable(self) -> bool:
        """Whether the loop has something to send. Not while it would wait for the next of a client's requests to end.

        Otherwise the loop would run without a pause all the while.
        """
        if self.is_paused:
            return True
        is_ending = self.will_close or self.close_when_flushed
        if self.requests and self.total_outbufs_len < SEND_BYTES and not is_ending:
            return False
        return bool(super().writable())

    def __init__(self, connections: OpenConnections, *given: Any, **options: Any) -> None:
        self._connections = connections
        self.began_at = self.waits_since = time.monotonic()
        self.was_useful = self.is_refused = False
        self.lingers_until: float | None = None
        self._discarded_bytes = 0
        super().__init__(*given, **options)
        connections.admit(self)

    def received(self, data: bytes) -> bool:
        if self.lingers_until is not None:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > LINGER_BYTES:
                self.handle_close()
            return False
        before = self.request
        is_taken = super().received(data)
        if before is None or self.request is not before:
            self.began_at = time.monotonic()
        if self.request is None or before not in (None, self.request):
            self.was_useful = True
            self.waits_since = time.monotonic()
        return is_taken

    def handle_close(self) -> None:
        """Close it. After a refusal that the client may still be sending against, first say that this was all.

        What was not read when a connection is closed resets it, and the client would lose the response (RFC 9112,
        section 9.6).
        """
        if self.is_refused and self.connected and self.socket is not None and self.lingers_until is None:
            self.lingers_until = time.monotonic() + LINGER_SECONDS
            self.will_close = False
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                return
        super().handle_close()

    def del_channel(self, map: Any = None) -> None:
        super().del_channel(map)
        self._connections.forget(self)
