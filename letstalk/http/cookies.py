"""The session cookie of a browser, and the token that protects the forms sent with it."""

from __future__ import annotations

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect

csrf = CSRFProtect()


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

    def get_cookie_secure(self, app: Flask) -> bool:
        """True over TLS, and if PUBLIC_URL is https: a proxy that is not trusted may do the TLS."""
        return request.is_secure or bool(app.config["COOKIES_ARE_SECURE"])
