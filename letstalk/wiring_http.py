"""The part of the composition root that puts services and pages on the web."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask
from flask_openapi3 import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from letstalk.accounts.browser_sessions import BrowserSessions
from letstalk.config.settings import Settings
from letstalk.http.cors import CrossOrigin
from letstalk.http.docs import docs
from letstalk.http.errors import init_errors
from letstalk.http.extensions import csrf
from letstalk.http.guards import check_guard
from letstalk.http.json_bodies import JsonBodies
from letstalk.http.local_requests import is_loopback
from letstalk.http.openapi import write_document
from letstalk.http.requests import MAX_BODY_BYTES
from letstalk.http.security_headers import SecurityHeaders
from letstalk.observability.request_log import RequestLog
from letstalk.operations.api import health
from letstalk.services import Services
from letstalk.telephony.telnyx.api import webhooks
from letstalk.tokens.api import tokens
from letstalk.tokens.pages import dashboard
from letstalk.verifications.api import calls
from letstalk.verifications.fast_path import BusyPaths
from letstalk.wiring_accounts import make_account_apis, make_account_pages


def configure(app: Flask, settings: Settings, session_lifetime: timedelta) -> None:
    """What Flask and its extensions are told."""
    public_host = urlsplit(settings.public_url).hostname if settings.public_url else None
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=session_lifetime,
        # The guards check it, so that an API call with a token needs none.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        COOKIES_ARE_SECURE=not settings.is_development and (settings.public_url or "").startswith("https:"),
        LOOPBACK_MAY_MANAGE_TOKENS=settings.is_development and (public_host is None or is_loopback(public_host)),
        PUBLIC_URL=settings.public_url,
    )
    app.json = JsonBodies(app)


def bind_web(app: OpenAPI, settings: Settings) -> None:
    """Register every route. The services must be bound already."""
    init_errors(app)
    csrf.init_app(app)
    services = cast(Services, app.extensions["letstalk"])
    accounts, single_sign_on, owner_sessions = services.accounts, services.single_sign_on, services.owner_sessions
    browser_sessions = BrowserSessions(accounts.sessions, owner_sessions)
    # In place of its `init_app`, which also looks into the session after each request, for a cookie that we don't use.
    app.login_manager = browser_sessions.login_manager  # type: ignore[attr-defined]  # where Flask-Login looks for it
    app.before_request(check_guard)
    account_apis = make_account_apis(accounts, single_sign_on, browser_sessions)
    for api in (calls, tokens, *account_apis, webhooks, health, docs):
        app.register_api(api)
    app.register_blueprint(dashboard)
    for pages in make_account_pages(accounts, single_sign_on, owner_sessions, browser_sessions, services.audit):
        app.register_blueprint(pages)
    app.extensions["letstalk_openapi"] = write_document(app)
    _wrap(app, settings)


def _wrap(app: Flask, settings: Settings) -> None:
    """What stands around Flask, the innermost first."""
    wsgi_app: Any = BusyPaths(app, app.extensions["letstalk"], app.extensions["letstalk_limits"])
    wsgi_app = RequestLog(SecurityHeaders(wsgi_app), app.extensions["letstalk_db"].once_committed)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        # Host stays what the client sent: a proxy that does not overwrite X-Forwarded-Host would let it be forged.
        wsgi_app = ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=0)
    if settings.cors_origins:
        wsgi_app = CrossOrigin(wsgi_app, settings.cors_origins)
    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # Flask's own way
