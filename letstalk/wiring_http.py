"""The part of the composition root that puts services and pages on the web."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask_openapi3 import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from letstalk.accounts.api import accounts
from letstalk.accounts.auth_api import auth
from letstalk.accounts.invitation_api import invitations
from letstalk.accounts.invitation_pages import invitation_pages
from letstalk.accounts.link_pages import link_pages
from letstalk.accounts.mail_pages import mail_pages
from letstalk.accounts.pages import people as people_pages
from letstalk.accounts.profile_pages import profile
from letstalk.accounts.registration_api import registrations
from letstalk.accounts.role_pages import role_pages
from letstalk.accounts.session_pages import session_pages
from letstalk.accounts.sign_in_code_pages import sign_in_codes
from letstalk.accounts.sign_in_pages import sign_in
from letstalk.config.settings import Settings
from letstalk.http.cors import CrossOrigin
from letstalk.http.docs import docs
from letstalk.http.errors import init_errors
from letstalk.http.extensions import csrf, login_manager
from letstalk.http.guards import check_guard
from letstalk.http.json_bodies import JsonBodies
from letstalk.http.local_requests import is_loopback
from letstalk.http.openapi import write_document
from letstalk.http.rate_limits import FastPathLimits
from letstalk.http.requests import MAX_BODY_BYTES
from letstalk.http.security_headers import SecurityHeaders
from letstalk.observability.request_log import RequestLog
from letstalk.operations.api import health
from letstalk.sso.api import single_sign_on
from letstalk.telephony.telnyx.api import webhooks
from letstalk.tokens.api import tokens
from letstalk.tokens.pages import dashboard
from letstalk.verifications.api import calls
from letstalk.verifications.fast_path import FastPath

PAGES = (
    *(sign_in, sign_in_codes, link_pages, mail_pages),
    *(dashboard, people_pages, invitation_pages, role_pages, profile, session_pages),
)


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
    # Without its context processor, which would load the user, and so ask the database, for each page of an error too.
    login_manager.init_app(app, add_context_processor=False)
    app.before_request(check_guard)
    for api in (calls, tokens, auth, single_sign_on, registrations, invitations, accounts, webhooks, health, docs):
        app.register_api(api)
    for pages in PAGES:
        app.register_blueprint(pages)
    app.extensions["letstalk_openapi"] = write_document(app)
    _wrap(app, settings)


def _wrap(app: Flask, settings: Settings) -> None:
    """Wrap Flask in the middleware, the innermost first."""
    wsgi_app: Any = app.wsgi_app
    if settings.fast_path:
        wsgi_app = FastPath(app, app.extensions["letstalk"], FastPathLimits(app, app.extensions["letstalk_limits"]))
    wsgi_app = RequestLog(SecurityHeaders(wsgi_app))
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        # Host stays what the client sent: a proxy that does not overwrite X-Forwarded-Host would let it be forged.
        wsgi_app = ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=0)
    if settings.cors_origins:
        wsgi_app = CrossOrigin(wsgi_app, settings.cors_origins)
    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # Flask's own way
