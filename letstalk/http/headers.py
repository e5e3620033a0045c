"""What a browser may do with our answers: the least that each kind needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
ANSWER_POLICY = "default-src 'none'; frame-ancestors 'none'"

HSTS_SECONDS = 365 * 24 * 3600
HSTS = ("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
NO_STORE = ("Cache-Control", "no-store")
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    # Not `no-referrer`: over https Flask-WTF wants to see that a form was sent from our own pages.
    ("Referrer-Policy", "same-origin"),
)

# What answers leaves here what else the headers should say.
POLICY = "letstalk.content_security_policy"
IS_PAGE = "letstalk.is_page"
MORE_HEADERS = "letstalk.more_headers"


class SecurityHeaders:
    """Middleware that completes each answer's headers, at the WSGI level as `RequestLog` does and for its reasons."""

    def __init__(self, wsgi_app: Any) -> None:
        self._app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        more = environ[MORE_HEADERS] = {}

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.extend(more.items())
            headers.extend(ALWAYS)
            if environ["wsgi.url_scheme"] == "https":
                headers.append(HSTS)
            given = dict(headers)
            is_page = given.get("Content-Type", "").startswith("text/html")
            policy = environ.get(POLICY) or (PAGE_POLICY if is_page else ANSWER_POLICY)
            headers.append(("Content-Security-Policy", policy))
            is_private = environ.get(IS_PAGE) or environ["PATH_INFO"].startswith(("/calls", "/api/"))
            if is_private and "Cache-Control" not in given:
                headers.append(NO_STORE)
            return start_response(status, headers, exc_info)

        answer: Iterable[bytes] = self._app(environ, start)
        return answer


# Never tokens, accounts or pages: what is done there needs no page of somebody else's.
CORS_PATHS = ("/calls", "/api/auth")
CORS_METHODS = "GET, POST, PUT, DELETE"
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-AUTH-TOKEN, X-User-Id"
EXPOSED_HEADERS = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
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
                ("Access-Control-Allow-Methods", CORS_METHODS),
                ("Access-Control-Allow-Headers", CORS_HEADERS),
                ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
            ]
        elif allowed:
            allowed.append(("Access-Control-Expose-Headers", EXPOSED_HEADERS))

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
    return any(path == opened or path.startswith(f"{opened}/") for opened in CORS_PATHS)


def _varying(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`headers` with `Origin` among what the answer varies by."""
    varied = [value for name, value in headers if name.lower() == "vary"]
    return [*(pair for pair in headers if pair[0].lower() != "vary"), ("Vary", ", ".join([*varied, "Origin"]))]
