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
