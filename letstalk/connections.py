"""Waitress's connections, made stricter in what they believe and thriftier in how they answer. Imported by the
production server alone.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask

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
    """Sends an answer that comes in one piece together with its headers.

    Waitress sends both by themselves: twice the system calls, each of which lets the interpreter lock go to a thread
    that may keep it for a while, and two packets.
    """

    def write(self, data: bytes) -> None:
        if data and not self.wrote_header and self.complete and self.has_body and self.content_length == len(data):
            headers = self.build_response_header()
            self.wrote_header = True
            self.content_bytes_written = len(data)
            self.channel.write_soon(headers + data)
        else:
            super().write(data)


class Bell:
    """Wakes the server's loop; once, for whoever rings before it has woken.

    Each request rings when it is answered, and each time costs a system call and a turn of the interpreter lock.
    """

    def __init__(self, trigger: Any) -> None:
        """Take the place of `trigger.pull_trigger` for the threads that answer."""
        self._trigger = trigger
        self._is_ringing = False
        self._hear = trigger.handle_read
        trigger.handle_read = self._answer

    def ring(self) -> None:
        if not self._is_ringing:
            self._is_ringing = True
            self._trigger.pull_trigger()

    def _answer(self) -> None:
        self._hear()
        # Only now: a ring that came with the others would be heard with them, and none would come after it. The loop
        # looks at every channel once more before it sleeps, so that whoever did not ring meanwhile is seen as well.
        self._is_ringing = False


class Channel(HTTPChannel):
    """Closes a connection that asks again and again without waiting for answers.

    Waitress answers up to 200 such requests, and when 16 MB of answers are unread, the request's thread waits for a
    reader who may never come: eight such connections would leave no thread for anyone.
    """

    parser_class = Parser
    task_class = Task

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
