"""Builds the HTTP side of the application: configuration, blueprints and middleware."""

from __future__ import annotations

from datetime import timedelta
from functools import cache, partial
from typing import Any

from flask import Blueprint, Flask
from flask_openapi3 import OpenAPI

from letstalk.accounts.authentication import BearerAuthenticator, BrowserSessions
from letstalk.audit import api as audit_api
from letstalk.audit import pages as audit_pages
from letstalk.config.settings import Settings
from letstalk.connect import api as connections_api
from letstalk.connect import hooks as connection_hooks
from letstalk.connect import pages as connection_pages
from letstalk.connect.attention import list_connection_problems
from letstalk.core.attention import AttentionSource
from letstalk.core.clock import Clock, iso_utc
from letstalk.events import api as events_api
from letstalk.events import event_pages, webhook_pages
from letstalk.events.attention import list_webhook_problems
from letstalk.http.client_addresses import ClientAddresses
from letstalk.http.code_marks import mark_code
from letstalk.http.cookies import csrf
from letstalk.http.design import design
from letstalk.http.docs import docs, static_url
from letstalk.http.errors import init_errors, use_error_style
from letstalk.http.guards import Guards
from letstalk.http.headers import CrossOrigin, SecurityHeaders
from letstalk.http.json_bodies import MAX_BODY_BYTES, JsonBodies
from letstalk.http.navigation import init_navigation
from letstalk.http.openapi import ApiRoutes, write_document
from letstalk.http.rate_limits import FastPathLimits, RequestLimits, init_limits
from letstalk.http.themes import init_themes
from letstalk.http.timestamps import day_and_time, exact_time, in_words, time_ago
from letstalk.observability.request_log import RequestLog
from letstalk.operations import api as operations_api
from letstalk.operations import pages as operations_pages
from letstalk.operations.attention import list_health_problems
from letstalk.services import Services
from letstalk.speaking import api as speaking_api
from letstalk.statistics import api as statistics_api
from letstalk.statistics import pages as statistics_pages
from letstalk.telephony.recordings.builder import RECORDINGS_FOLDER
from letstalk.telephony.registry import list_voices, make_webhook_blueprints
from letstalk.telephony.simulator import api as simulator_api
from letstalk.telephony.simulator import pages as phone_pages
from letstalk.test_numbers import api as test_number_api
from letstalk.test_numbers import pages as test_number_pages
from letstalk.tokens import api as token_api
from letstalk.tokens import change_pages as token_change_pages
from letstalk.tokens import pages as token_pages
from letstalk.twilio import api as twilio_api
from letstalk.twilio import verification_api as twilio_verification_api
from letstalk.twilio.errors import PREFIX as TWILIO_PREFIX
from letstalk.twilio.errors import as_twilio_error
from letstalk.verifications import api as verification_api
from letstalk.verifications import language_api, language_pages, trial_pages
from letstalk.verifications import pages as verification_pages
from letstalk.verifications.event_schemas import describe_webhooks
from letstalk.verifications.fast_path import FastPath
from letstalk.wiring_accounts import make_account_apis, make_account_pages
from letstalk.wiring_search import make_search_page


def configure(app: Flask, settings: Settings, session_lifetime: timedelta) -> None:
    """Configure Flask and its extensions."""
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
        WTF_CSRF_SSL_STRICT=False,  # it wants a Referer, where Origin is enough: see form_checks
        COOKIES_ARE_SECURE=not settings.is_development and (settings.public_url or "").startswith("https:"),
        IS_ON_LOOPBACK_ONLY=settings.is_on_loopback_only,
        LOOPBACK_MAY_MANAGE_TOKENS=settings.is_on_loopback_only and settings.tokens_without_credentials,
        METRICS_ADDRESSES=settings.metrics_addresses,
        PUBLIC_URL=settings.public_url,
    )
    app.json = JsonBodies(app)


def bind_web(app: OpenAPI, services: Services, limits: RequestLimits, settings: Settings, clock: Clock) -> None:
    """Register every route and wrap the application in its middleware."""
    tokens = services.tokens.authenticator
    guards = Guards(BearerAuthenticator(tokens, services.accounts.access_tokens), services.usage.count)
    init_limits(app, limits)
    init_errors(app, services.audit.record_refusal)
    csrf.init_app(app)
    accounts, single_sign_on, owner_sessions = services.accounts, services.single_sign_on, services.owner_sessions
    browser_sessions = BrowserSessions(accounts.sessions, owner_sessions)
    # Without its context processor, which would query the database even for the page of an error.
    browser_sessions.login_manager.init_app(app, add_context_processor=False)
    guards.init_app(app)
    apis = (
        verification_api.make_blueprint(services.sends, services.verifications, services.speaking),
        speaking_api.make_blueprint(services.speaking),
        language_api.make_blueprint(),
        audit_api.make_blueprint(services.audit_search),
        token_api.make_blueprint(services.tokens, services.usage),
        statistics_api.make_blueprint(services.statistics, clock),
        test_number_api.make_blueprint(services.test_numbers),
        events_api.make_blueprint(
            services.app_events.log, services.app_events.endpoints, services.app_events.make_example
        ),
        connections_api.make_blueprint(services.connections.service, services.connections.hooks),
        *make_account_apis(accounts, single_sign_on, browser_sessions),
        *make_webhook_blueprints(settings.telephony_provider, services.events.receive_webhook),
        operations_api.make_blueprint(services.health, services.inspections, services.address),
        *_simulator_apis(services, settings),
        docs,
    )
    for api in apis:
        app.register_api(api.make_blueprint(is_described=False))
    use_error_style(app, TWILIO_PREFIX, as_twilio_error)
    for twilio in (twilio_api, twilio_verification_api):
        app.register_blueprint(twilio.make_blueprint(services.twilio))
    app.register_blueprint(
        token_pages.make_blueprint(
            services.tokens,
            services.usage,
            services.destinations.list_reached,
            owners=services.owners,
            audit=services.audit_search,
        )
    )
    app.register_blueprint(operations_pages.make_blueprint(services.inspections))
    app.register_blueprint(token_change_pages.make_blueprint(services.tokens))
    app.register_blueprint(audit_pages.make_blueprint(services.audit_search, services.owners.list_owners))
    app.register_blueprint(test_number_pages.make_blueprint(services.test_numbers, services.owners.list_owners))
    app.register_blueprint(
        webhook_pages.make_blueprint(
            services.app_events.endpoints, services.app_events.make_example, services.owners.list_owners
        )
    )
    app.register_blueprint(connection_hooks.make_blueprint(services.connections.hooks))
    app.register_blueprint(
        connection_pages.make_blueprint(
            services.connections.service, services.connections.hooks, services.owners.list_owners
        )
    )
    app.register_blueprint(event_pages.make_blueprint(services.app_events.log))
    app.register_blueprint(language_pages.make_blueprint(settings.brand_name, list_voices(), RECORDINGS_FOLDER))
    for pages in _make_verification_pages(services, guards, settings):
        app.register_blueprint(pages)
    app.register_blueprint(_make_overview(services, clock))
    for pages in make_account_pages(accounts, single_sign_on, owner_sessions, browser_sessions, services.audit):
        app.register_blueprint(pages)
    if services.phone is not None:
        app.register_blueprint(
            phone_pages.make_blueprint(
                services.phone, services.verifications.describe_calls, brand_name=settings.brand_name
            )
        )
    app.register_blueprint(make_search_page(services))
    _init_pages(app, settings, are_calls_simulated=services.phone is not None)
    app.extensions["letstalk_openapi"] = cache(
        partial(write_document, app, apis, settings.public_url, describe_webhooks())
    )
    wsgi_app: Any = app.wsgi_app
    if settings.fast_path:
        wsgi_app = FastPath(app, guards, tokens, FastPathLimits(app, limits), services.sends, services.verifications)
    app.wsgi_app = _wrap(wsgi_app, settings)  # type: ignore[method-assign]  # Flask's own way


def _make_overview(services: Services, clock: Clock) -> Blueprint:
    """The Overview, with what each feature says needs attention."""
    attention: tuple[AttentionSource, ...] = (
        partial(list_health_problems, services.health),
        services.attention.list_all,
        partial(list_webhook_problems, services.app_events.endpoints),
        partial(list_connection_problems, services.connections.service),
    )
    return statistics_pages.make_blueprint(
        services.statistics, services.tokens, services.owners.list_owners, attention, clock
    )


def _init_pages(app: Flask, settings: Settings, *, are_calls_simulated: bool) -> None:
    """What all pages share. After the other blueprints, because the navigation shows those pages that exist."""
    app.jinja_env.globals.update(static_url=static_url, calls_are_simulated=are_calls_simulated)
    for text_filter in (mark_code, iso_utc, day_and_time, exact_time, in_words, time_ago):
        app.add_template_filter(text_filter)
    init_themes(app)
    if settings.is_development:
        app.register_blueprint(design)
    init_navigation(app)


def _make_verification_pages(services: Services, guards: Guards, settings: Settings) -> tuple[Blueprint, Blueprint]:
    asked = verification_pages.Services(services.browsing, services.sends, services.verifications, services.audit)
    return (
        verification_pages.make_blueprint(asked, default_region=settings.default_region),
        trial_pages.make_blueprint(
            services.trials,
            services.sends,
            services.verifications,
            services.browsing,
            guards.admit,
            template_names=tuple(sorted(settings.message_templates)),
            phone=services.phone,
        ),
    )


def _simulator_apis(services: Services, settings: Settings) -> list[ApiRoutes]:
    """Codes are read from outside only where nobody but the developer can ask for them."""
    if services.phone is None or not settings.is_on_loopback_only:
        return []
    return [simulator_api.make_blueprint(services.phone, services.verifications.describe_calls)]


def _wrap(wsgi_app: Any, settings: Settings) -> Any:
    """The application in the middleware that every request passes, the innermost first."""
    wsgi_app = RequestLog(SecurityHeaders(wsgi_app))
    if settings.trusted_proxies or ":" in settings.host:
        wsgi_app = ClientAddresses(wsgi_app, settings.trusted_proxies)
    if settings.cors_origins:
        wsgi_app = CrossOrigin(wsgi_app, settings.cors_origins)
    return wsgi_app
