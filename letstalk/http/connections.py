"""Waitress's connections, made stricter in what they believe and thriftier in how they answer. Imported by the
production server alone.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import build_http_date

from letstalk.http.connection_loops import ConnectionLoop

# Browsers, proxies and HTTP libraries wait for an answer before they ask again.
MAX_REQUESTS_AHEAD = 4


class Parser(HTTPRequestParser):
    """Refuses a request that says twice how long it is.

    Waitress believes the chunks and goes on; a proxy in front that believes the length instead would take what stands
    between the two for another client's request (RFC 9112, 6.1).
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError, which becomes a 400 and the end of the connection."""
        super().parse_header(header_plus)
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("A request has one length")


class Task(WSGITask):
    """Sends an answer that comes in one piece together with its headers, which it writes as they were given.

    Waitress sends both by themselves: twice the system calls, each of which lets the interpreter lock go to a thread
    that may keep it for a while, and two packets. To capitalise and to sort a dozen headers took it a tenth of a check.
    """

    _held: _Held | None = None

    def prepare(self) -> None:
        """Make the answer, and send it only when `service` is called."""
        channel: Any = self.channel
        held: Any = _Held(channel)  # has all that a task needs of a channel
        self.channel = held
        try:
            super().service()
        finally:
            self.channel = channel
        self._held = held

    def service(self) -> None:
        if self._held is None:
            super().service()
        else:
            self.channel.write_soon(b"".join(self._held.pieces))

    def write(self, data: bytes) -> None:
        if data and not self.wrote_header and self.complete and self.has_body and self.content_length == len(data):
            headers = self.build_response_header()
            self.wrote_header = True
            self.content_bytes_written = len(data)
            self.channel.write_soon(headers + data)
        else:
            super().write(data)

    def build_response_header(self) -> bytes:
        names = [name for name, _ in self.response_headers]
        asked: dict[str, str] = self.request.headers  # type: ignore[attr-defined]  # what is no request has another task
        is_kept = self.version == "1.1" and "CONNECTION" not in asked and not self.close_on_finish
        is_usual = is_kept and self.has_body  # of an answer without one Waitress drops the length (RFC 9110, 8.6)
        if not is_usual or "Content-Length" not in names or not _WAITRESS_SETS.isdisjoint(names):
            return super().build_response_header()
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.response_headers])
        return f"HTTP/1.1 {self.status}\r\n{lines}Date: {_date_of(int(self.start_time))}\r\n\r\n".encode("latin-1")


class _Held:
    """Stands for a channel where an answer is made that must not be sent yet."""

    def __init__(self, channel: HTTPChannel) -> None:
        self.server, self.addr, self.adj = channel.server, channel.addr, channel.adj
        self.check_client_disconnected = channel.check_client_disconnected
        self.pieces: list[bytes] = []

    def write_soon(self, data: bytes) -> int:
        self.pieces.append(data)
        return len(data)


# What an answer has only where the application is a proxy, or sends a file.
_WAITRESS_SETS = frozenset({"Connection", "Date", "Server", "Transfer-Encoding"})


@lru_cache(maxsize=4)
def _date_of(unix_seconds: int) -> str:
    return build_http_date(unix_seconds)


class Channel(HTTPChannel):
    """Closes a connection that asks again and again without waiting for answers.

    Waitress answers up to 200 such requests, and when 16 MB of answers are unread, the request's thread waits for a
    reader who may never come: eight such connections would leave no thread for anyone.
    """

    parser_class = Parser

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.number_lock = threading.Lock()
        self._prepared: Task | None = None
        super().__init__(*arguments, **options)

    def del_channel(self, map: Any = None) -> None:  # wasyncore's name
        with self.number_lock:
            super().del_channel(map)

    def write_soon(self, data: Any) -> int:
        """Hand an answer to the system at once where none waits before it, past Waitress's buffers, a new one for each
        request. What is not taken now goes there.
        """
        with self.outbuf_lock:
            if not isinstance(data, bytes) or not self.connected or self.total_outbufs_len:
                return super().write_soon(data)
            try:
                taken = self.send(data, do_close=False)
            except OSError:  # which comes again below, where it is dealt with
                taken = 0
            self.last_activity = int(time.time())
            if taken < len(data):
                super().write_soon(data[taken:])
            return len(data)

    def received(self, data: bytes) -> bool:
        is_taken = super().received(data)
        if len(self.requests) > MAX_REQUESTS_AHEAD:
            self.will_close = True
            with self.requests_lock:  # type: ignore[attr-defined]  # the type stubs leave it out
                # The thread that answers may be faster than the loop that closes.
                unanswered = self.requests[MAX_REQUESTS_AHEAD:]
                self.requests = list(self.requests[:MAX_REQUESTS_AHEAD])
            for request in unanswered:
                request.close()
        return is_taken

    def prepare(self) -> None:
        """Make the answer that `service` will send."""
        request: Any = self.requests[0]
        task = Task(self, request)
        task.prepare()
        self._prepared = task

    def forget_prepared(self) -> None:
        """Have `service` make the answer anew, since what was changed with the other one is lost."""
        self._prepared = None
        for request in self.requests[:1]:  # none where the server stops
            request.get_body_stream().seek(0)

    def task_class(self, channel: Channel, request: Any) -> Task:  # type: ignore[override]  # Waitress calls it, no more
        prepared, self._prepared = self._prepared, None
        return prepared or Task(channel, request)

    def service(self) -> None:
        loop = self.server.asyncore
        if isinstance(loop, ConnectionLoop):
            loop.answer(self)
        super().service()
