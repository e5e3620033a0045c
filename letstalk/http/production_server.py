"""Waitress as production runs it: its arguments, a stricter request parser, and a graceful stop."""

from __future__ import annotations

import select
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, cast

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from werkzeug.wsgi import ClosingIterator

MAX_BODY_BYTES_RECEIVED = 16 * 1024 * 1024  # over 64 KiB our own 413 is sent; over this, Waitress's
MAX_BODY_BYTES_IN_MEMORY = 64 * 1024  # the rest of a longer body is kept in a file
MAX_HEADER_BYTES = 32 * 1024
# A client that sends slowly takes no thread, only one of these places: with Waitress's own 100, and 256 KiB of headers
# each, one slow client could keep everyone else out. A process may usually have 1,024 files open.
MAX_CONNECTIONS = 800
BACKLOG = 1024
# Waitress reads this much ahead of its responses, and a thread waits for a client that leaves MAX_UNREAD_BYTES of
# responses unread. So few requests fit into it that their responses are never that long: no client can hold a thread.
RECEIVE_BYTES = 2048
MAX_UNREAD_BYTES = 64 * 1024 * 1024  # beyond 1 MB they are kept in a file

# A shorter response is sent in one piece, by Waitress's loop, once its request is done. Sent by the thread, the headers
# first, it had the loop ask ten times in vain whether there was something to send: a third of the processor time.
SEND_BYTES = 18_000

DRAIN_SECONDS = 5.0  # how long a stop waits for requests that were received before it
QUIET_SECONDS = 0.3  # without a request for so long, the stop goes on
ABANDON_SECONDS = 0.5  # for threads that are still busy after that
POLL_SECONDS = 0.02

Environ = dict[str, Any]


class ProductionServer:
    """Serves a WSGI application until it is told to stop, and then completes every request that it has received."""

    def __init__(self, wsgi_app: Any, listener: socket.socket, *, threads: int, **waitress_options: Any) -> None:
        """`listener` is bound already; other processes may accept from it too. The server closes it when it stops."""
        self._listener = listener
        self._stopping = threading.Event()
        self._drain_thread = threading.Thread(target=self._drain, name="drain", daemon=True)
        self._quiet_since = self._deadline = 0.0  # by the monotonic clock, once it is stopping
        self._connections: dict[int, Any] = {}  # whatever Waitress's loop listens to, by file descriptor
        options: dict[str, Any] = {
            "ident": None,
            "threads": threads,
            "backlog": BACKLOG,
            "connection_limit": MAX_CONNECTIONS,
            "asyncore_use_poll": True,  # select() knows no file descriptor above 1,023
            "max_request_header_size": MAX_HEADER_BYTES,
            "max_request_body_size": MAX_BODY_BYTES_RECEIVED,
            "inbuf_overflow": MAX_BODY_BYTES_IN_MEMORY,
            "recv_bytes": RECEIVE_BYTES,
            "send_bytes": SEND_BYTES,
            "outbuf_high_watermark": MAX_UNREAD_BYTES,
            # `ClientAddresses` decides which proxy to believe, by TRUSTED_PROXIES.
            "clear_untrusted_proxy_headers": False,
        }
        app = CloseConnections(wsgi_app, self._stopping.is_set)
        options |= waitress_options
        with warnings.catch_warnings():
            # Waitress means to remove `send_bytes`, whose default is 1 for applications that send a response in parts.
            warnings.filterwarnings("ignore", "send_bytes", DeprecationWarning)
            self._server = cast("Any", create_server(app, map=self._connections, sockets=[listener], **options))
        self._server.channel_class = Channel

    def run(self) -> None:
        """Serve. Returns once `stop` was called and the requests received by then have their responses."""
        self._server.run()
        self._stopping.set()
        dispatcher = self._server.task_dispatcher
        dispatcher.shutdown(timeout=ABANDON_SECONDS)
        if self._drain_thread.is_alive():
            self._drain_thread.join()
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


class Parser(HTTPRequestParser):
    """Refuses a request that states its length twice, which Waitress takes by its chunks.

    A proxy that goes by the other length would take what lies between the two for another client's request (RFC 9112,
    section 6.1). An application can't check it: by then Waitress has replaced both headers.
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError, which becomes a 400 and ends the connection."""
        super().parse_header(header_plus)
        # HTTP/1.0 has no chunks: there Waitress leaves the header and does not honour it.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("A request has one length")


class Channel(HTTPChannel):
    parser_class = Parser

    def writable(self) -> bool:
        """Whether the loop has something to send. Not while it would wait for the next of a client's requests to end.

        Otherwise the loop would run without a pause all the while.
        """
        is_ending = self.will_close or self.close_when_flushed
        if self.requests and self.total_outbufs_len < SEND_BYTES and not is_ending:
            return False
        return bool(super().writable())
