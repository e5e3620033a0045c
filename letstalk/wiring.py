"""The composition root: builds everything from the settings. The only module that may import every layer."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import timedelta
from typing import Any

import click
from flask import Flask
from sqlalchemy.exc import OperationalError

from letstalk.accounts.owner_sessions import SessionService
from letstalk.accounts.services import PeopleParts
from letstalk.audit.service import AuditTrail
from letstalk.calls.commands import CommandService
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.events import EventService
from letstalk.calls.policy import CallPolicy
from letstalk.calls.sweeper import SweepService
from letstalk.commands import GROUPS
from letstalk.config.settings import PROJECT_ROOT, Settings, SettingsError, load_settings
from letstalk.core.clock import Clock, utc_now
from letstalk.core.rate_parsing import parse_rates
from letstalk.db import migrations
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.http.cookies import SessionCookies
from letstalk.http.errors import raise_invalid_request
from letstalk.http.extensions import make_limiter
from letstalk.http.limit_windows import Windows
from letstalk.http.local_requests import is_loopback
from letstalk.http.openapi_texts import INFO, SECURITY_SCHEMES
from letstalk.http.rate_limits import RequestLimits, init_limits
from letstalk.http.requests import ApiRequest, App
from letstalk.http.server import ServerOptions
from letstalk.observability.logs import configure_logs
from letstalk.operations.health import HealthService
from letstalk.operations.key_rotation import KeyRotation
from letstalk.operations.privacy import PrivacyService
from letstalk.operations.retention import RetentionService
from letstalk.services import Services
from letstalk.telephony.provider import LateSink
from letstalk.telephony.registry import TelephonyOptions, build_telephony
from letstalk.telephony.simulator.terminal import print_what_a_phone_hears
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.verifications.digest_keys import DigestKeys
from letstalk.verifications.fast_path import BUSY_PATHS
from letstalk.verifications.sends import SendPolicy, SendService
from letstalk.verifications.service import VerificationService
from letstalk.wiring_accounts import build_carrier_of, build_people_of
from letstalk.wiring_http import bind_web, configure
from letstalk.worker.background_work import Process
from letstalk.worker.pool import Worker, WorkQueue

SESSION_LIFETIME = timedelta(hours=12)


def create_app(settings: Settings | None = None, *, clock: Clock = utc_now) -> Flask:
    """The application, its database migrated, nothing running in the background yet.

    Without `settings` they are read from the environment and `.env`. Raises SettingsError where they are wrong, and
    where they name a database that can't be used now.
    """
    try:
        return _build_app(load_settings() if settings is None else settings, clock)
    except OperationalError as error:
        reason = str(error.orig).strip().split("\n")[0]
        raise SettingsError(f"DATABASE_URL names a database that can't be used now: {reason}") from error


def create_command_app() -> Flask:
    """The commands of `flask`, in an application that has nothing else.

    The whole application is built when a command first asks for a part of it: `flask keys generate` must work before
    there are settings. Where that fails, the command ends with one line.
    """
    app = Flask("letstalk", root_path=str(PROJECT_ROOT))
    app.extensions["letstalk_build"] = _build_for_command
    _add_commands(app)
    return app


def _build_for_command() -> Flask:
    try:
        return create_app()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _build_app(settings: Settings, clock: Clock) -> Flask:
    configure_logs(as_json=not settings.is_development, level=settings.log_level)
    app = App(
        "letstalk",
        root_path=str(PROJECT_ROOT),
        info=INFO,
        security_schemes=SECURITY_SCHEMES,
        doc_ui=False,
        validation_error_status=400,
        validation_error_callback=raise_invalid_request,
    )
    app.request_class = ApiRequest
    app.session_interface = SessionCookies()
    configure(app, settings, SESSION_LIFETIME)
    _bind_services(app, settings, clock)
    bind_web(app, settings)
    _add_commands(app)
    return app


def _bind_services(app: Flask, settings: Settings, clock: Clock) -> None:
    is_simulated = settings.telephony_provider == "simulator"
    speed = settings.simulator_speed if is_simulated else 1.0
    db = Database(settings.database_url.get_secret_value(), sqlite_synchronous=settings.sqlite_synchronous)
    migrations.upgrade(db)
    vault = Vault(tuple(key.get_secret_value() for key in settings.encryption_keys))
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    queue = WorkQueue(redis_url)
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    key_rotation = KeyRotation(db, vault)
    lost = key_rotation.check_keys()
    if lost is not None:
        raise SettingsError(lost)
    keys = DigestKeys(db, vault, clock)
    audit = AuditTrail(db, clock=clock)
    usage = UsageCounter(db, clock=clock, audit=audit)
    sink = LateSink()
    is_own_terminal = settings.is_development and is_loopback(settings.host)
    telephony = build_telephony(
        settings.telephony_provider,
        TelephonyOptions(
            sink=sink,
            clock=clock,
            brand_name=settings.brand_name,
            state_key=keys.derive("client_state"),
            public_url=settings.public_url,
            telnyx_api_key=None if settings.telnyx_api_key is None else settings.telnyx_api_key.get_secret_value(),
            telnyx_connection_id=settings.telnyx_connection_id,
            telnyx_from_number=settings.telnyx_from_number,
            telnyx_public_key=settings.telnyx_public_key,
            telnyx_base_url=settings.telnyx_base_url,
            simulator_speed=speed,
            phone_speaker=print_what_a_phone_hears if is_own_terminal else None,
        ),
    )
    provider = telephony.provider
    call_policy = CallPolicy(
        channels=settings.max_concurrent_calls,
        detect_machines=settings.answering_machine == "hang_up",
        speed=speed,
    )
    send_policy = SendPolicy(
        brand_name=settings.brand_name,
        default_region=settings.default_region,
        allowed_countries=settings.allowed_countries,
        blocked_countries=settings.blocked_countries,
        owner_rates=_rates(settings.rate_limit_phone),
        phone_rates=_rates(settings.rate_limit_phone_all),
        channels=settings.max_concurrent_calls,
        simulator_speed=speed,
    )
    retention = RetentionService(
        db, audit, usage, clock, days=settings.retention_days, audit_days=settings.audit_retention_days
    )
    commands = CommandService(db, vault, provider, queue, clock, brand_name=settings.brand_name)
    dispatch = DispatchService(db, provider, queue, clock, call_policy)
    sends = SendService(db, vault, keys, queue, clock, send_policy)
    verifications = VerificationService(db, keys, queue, clock, default_region=settings.default_region)
    people = build_people_of(
        PeopleParts(
            db, vault, keys, audit, sends, verifications, clock, build_carrier_of(settings), queue.deliver_mail
        ),
        settings,
    )
    services = Services(
        tokens=TokenService(
            db, vault=vault, clock=clock, usage=usage, audit=audit, default_rate=settings.rate_limit_token
        ),
        usage=usage,
        audit=audit,
        sends=sends,
        verifications=verifications,
        dispatch=dispatch,
        commands=commands,
        events=EventService(db, commands, queue, clock, call_policy, telephony.webhooks),
        sweeps=SweepService(
            db, dispatch, provider, retention, queue, clock, call_policy, people.mails, worker_id=worker_id
        ),
        sessions=SessionService(
            db,
            settings.dashboard_password.get_secret_value(),
            clock,
            int(SESSION_LIFETIME.total_seconds()),
            is_open=settings.owner_sign_in,
        ),
        people=people,
        health=HealthService(db, clock, channels=settings.max_concurrent_calls, ping_queue=queue.ping),
        keys=keys,
        retention=retention,
        privacy=PrivacyService(db, clock, default_region=settings.default_region),
        key_rotation=key_rotation,
    )
    sink.bind(services.events.receive_event)
    queue.bind(services)
    worker = Worker(queue, services, threads=settings.worker_threads)
    app.extensions |= {
        "letstalk": services,
        "letstalk_server": ServerOptions(
            host=settings.host,
            port=settings.port,
            threads=settings.web_threads,
            processes=settings.web_processes,
            is_development=settings.is_development,
            is_simulated=is_simulated,
            # Within a commit that others wait for, nothing else may be waited for.
            shared_paths=BUSY_PATHS if db.is_sqlite and redis_url is None else frozenset(),
            share_commit=db.share_commit,
            dashboard_password=settings.dashboard_password.get_secret_value(),
        ),
        "letstalk_db": db,
        "letstalk_worker_metrics": settings.worker_metrics,
        "letstalk_process": Process(db=db, provider=provider, services=services, worker=worker),
    }
    limiter = make_limiter(app, redis_url)
    init_limits(
        app, RequestLimits(limiter, Windows(), token=settings.rate_limit_token, address=settings.rate_limit_address)
    )


def _add_commands(app: Flask) -> None:
    for command in GROUPS:
        app.cli.add_command(command)


def _rates(words: str | None) -> tuple[Any, ...]:
    return () if words is None or words == "off" else parse_rates(words)
