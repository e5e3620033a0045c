"""Waitress's connections, made stricter in what they believe and thriftier in how they answer. Imported by the
production server alone.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import build_http_date

from letstalk.connection_loops import ConnectionLoop

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
    task_class = Task

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.number_lock = threading.Lock()
        super().__init__(*arguments, **options)

    def del_channel(self, map: Any = None) -> None:  # wasyncore's name
        with self.number_lock:
            super().del_channel(map)

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

    def service(self) -> None:
        loop = self.server.asyncore
        if isinstance(loop, ConnectionLoop):
            loop.answer(self)
        super().service()
