"""Headers for browsers: what a page may do, and which other sites may call the API (CORS)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

HSTS_SECONDS = 365 * 24 * 3600
HSTS = ("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
NO_STORE = ("Cache-Control", "no-store")
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    # Not `no-referrer`: over https Flask-WTF checks that a form was sent from our own pages.
    ("Referrer-Policy", "same-origin"),
)

# Never tokens, accounts or pages: no other site's page needs them.
CORS_PATHS = ("/calls", "/api/auth")
CORS_METHODS = "GET, POST, PUT, DELETE"
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-AUTH-TOKEN, X-User-Id"
EXPOSED_HEADERS = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
PREFLIGHT_SECONDS = 600  # how long a browser keeps the permission, even of a site that was removed from the list

# Keys of the WSGI environment by which a view changes the headers of its response.
POLICY = "letstalk.content_security_policy"
IS_PAGE = "letstalk.is_page"
MORE_HEADERS = "letstalk.more_headers"


class SecurityHeaders:
    """Middleware that completes the headers of each response, at the WSGI level for the reasons of `RequestLog`."""

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
            policy = environ.get(POLICY) or (PAGE_POLICY if is_page else API_POLICY)
            headers.append(("Content-Security-Policy", policy))
            is_private = environ.get(IS_PAGE) or environ["PATH_INFO"].startswith(("/calls", "/api/", "/twilio/"))
            is_error = status[0] in "45"  # a cache may keep a 404 that does not forbid it (RFC 9111, section 4.2.2)
            if (is_private or is_error) and "Cache-Control" not in given:
                headers.append(NO_STORE)
            return start_response(status, headers, exc_info)

        body: Iterable[bytes] = self._app(environ, start)
        return body


class CrossOrigin:
    """Middleware that lets the pages of `origins` read the responses of `/calls` and `/api/auth` (Fetch, section 3.3).

    It is outside everything else, so that the page can read errors from any layer too. It allows no credentials: a page
    uses its own token, never the dashboard's cookie.
    """

    def __init__(self, wsgi_app: Any, origins: frozenset[str]) -> None:
        """`origins` as browsers write them: scheme, host, and the port unless it is the default."""
        self._app = wsgi_app
        self._origins = origins

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body: Iterable[bytes]
        if not is_open(environ.get("PATH_INFO", "")):
            body = self._app(environ, start_response)
            return body
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
            # Also without permission: a cache must not give one site's response to another.
            return start_response(status, [*_vary_by_origin(headers), *allowed], exc_info)

        body = self._app(environ, start)
        return body


def is_open(path: str) -> bool:
    return any(path == opened or path.startswith(f"{opened}/") for opened in CORS_PATHS)


def _vary_by_origin(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    varied = [value for name, value in headers if name.lower() == "vary"]
    return [*(pair for pair in headers if pair[0].lower() != "vary"), ("Vary", ", ".join([*varied, "Origin"]))]
