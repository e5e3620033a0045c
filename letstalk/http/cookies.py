"""The session cookie of a browser, and the token that protects the forms sent with it."""

from __future__ import annotations

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect

csrf = CSRFProtect()

SESSION_COOKIE = "session"


def cookie_name(name: str, *, is_secure: bool) -> str:
    """`name` for a cookie with `Path=/` and no `Domain`: with the prefix `__Host-` where it also has `Secure`.

    A browser takes such a cookie from this host alone, over TLS (RFC 6265bis, section 4.1.3.2): no neighbor of the same
    domain, and nobody on an unencrypted connection, can plant one.
    """
    return f"__Host-{name}" if is_secure else name


class SessionCookies(SecureCookieSessionInterface):
    """Flask's signed cookie, read and written only if the request has one: programs that call the API have none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        # Flask-Login looks for its cookie in each session, which would add `Vary: Cookie` to each response.
        if session or session.modified or "HTTP_COOKIE" in request.environ:
            super().save_session(app, session, response)

    def get_cookie_name(self, app: Flask) -> str:
        return cookie_name(SESSION_COOKIE, is_secure=self.get_cookie_secure(app))

    def get_cookie_secure(self, app: Flask) -> bool:
        """True over TLS, and if PUBLIC_URL is https: a proxy that is not trusted may do the TLS."""
        return request.is_secure or bool(app.config["COOKIES_ARE_SECURE"])
