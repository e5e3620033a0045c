"""What Waitress believes of a connection, made stricter. Imported by the production server alone."""

from __future__ import annotations

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError

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


class Channel(HTTPChannel):
    """Closes a connection that asks again and again without waiting for answers.

    Waitress answers up to 200 such requests, and when 16 MB of answers are unread, the request's thread waits for a
    reader who may never come: eight such connections would leave no thread for anyone.
    """

    parser_class = Parser

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
