"""What a browser may do with our answers: the least that each kind needs."""

from __future__ import annotations

from flask import Flask, Response, g, request

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


def add_security_headers(response: Response) -> Response:
    """Complete `response`. A view that needs another policy puts it into `g.content_security_policy`."""
    is_page = response.mimetype == "text/html"
    policy = g.get("content_security_policy") or (PAGE_POLICY if is_page else ANSWER_POLICY)
    headers = response.headers
    headers.setdefault("Content-Security-Policy", policy)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # Not `no-referrer`: over https Flask-WTF wants to see that a form was sent from our own pages.
    headers.setdefault("Referrer-Policy", "same-origin")
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
    if g.get("is_page"):
        headers["Cache-Control"] = "no-store"
    return response


def init_security_headers(app: Flask) -> None:
    app.after_request(add_security_headers)
