"""Which other sites' pages may call us from a browser (the Fetch standard, section 3.3: CORS).

Outside everything else at the WSGI level, so that a refusal, and an answer that never reached Flask, can be read by
the page as well. No credentials: a page brings a token of its own, and never the dashboard's cookie.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Never tokens, accounts or pages: what is done there needs no page of somebody else's.
OPEN_PATHS = ("/calls", "/api/auth")
METHODS = "GET, POST, PUT, DELETE"
HEADERS = "Authorization, Content-Type, Idempotency-Key, X-AUTH-TOKEN, X-User-Id"
EXPOSED = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
PREFLIGHT_SECONDS = 600  # how long a browser need not ask again; within it, a site that was taken off the list goes on


class CrossOrigin:
    """Middleware that lets the pages of `origins` read the answers of `/calls` and `/api/auth`."""

    def __init__(self, wsgi_app: Any, origins: frozenset[str]) -> None:
        """`origins` as browsers write them: scheme, host, and the port where it is not the scheme's own."""
        self._app = wsgi_app
        self._origins = origins

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes]
        if not is_open(environ.get("PATH_INFO", "")):
            answer = self._app(environ, start_response)
            return answer
        origin = environ.get("HTTP_ORIGIN")
        allowed = [("Access-Control-Allow-Origin", origin)] if origin in self._origins else []
        is_preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        if allowed and is_preflight:
            allowed += [
                ("Access-Control-Allow-Methods", METHODS),
                ("Access-Control-Allow-Headers", HEADERS),
                ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
            ]
        elif allowed:
            allowed.append(("Access-Control-Expose-Headers", EXPOSED))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if allowed and is_preflight and status.startswith("200"):
                # RFC 9110, section 8.6: a 204 carries no length.
                headers = [pair for pair in headers if pair[0].lower() not in ("content-length", "content-type")]
                status = "204 NO CONTENT"
            # Also to who is not allowed: a cache must not hand one site's answer to another.
            return start_response(status, [*_varying(headers), *allowed], exc_info)

        answer = self._app(environ, start)
        return answer


def is_open(path: str) -> bool:
    return any(path == opened or path.startswith(f"{opened}/") for opened in OPEN_PATHS)


def _varying(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`headers` with `Origin` among what the answer varies by."""
    varied = [value for name, value in headers if name.lower() == "vary"]
    return [*(pair for pair in headers if pair[0].lower() != "vary"), ("Vary", ", ".join([*varied, "Origin"]))]
