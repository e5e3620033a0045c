"""Builds the application from the settings. Only this module and those beside it import every feature."""

from __future__ import annotations

import importlib
import os
import socket
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import click
from flask import Flask
from sqlalchemy.exc import OperationalError

from letstalk.accounts.account_sessions import REPEATABLE_FOR
from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.accounts.services import AccountsDependencies
from letstalk.audit.search import AuditSearch
from letstalk.audit.service import AuditTrail
from letstalk.calls.commands import CommandService
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.events import EventService
from letstalk.calls.limits import CallLimits, LimitPolicy
from letstalk.calls.models import Topic
from letstalk.calls.scheduling import CallPolicy
from letstalk.calls.sweeper import SweepService
from letstalk.commands import GROUPS
from letstalk.config.settings import PROJECT_ROOT, Settings, SettingsError, ensure_password_is_uncommon, load_settings
from letstalk.config.values import read_encryption_keys
from letstalk.connect.receiving import Connections, HookService
from letstalk.connect.service import ConnectionService
from letstalk.core.actors import CustomMessage
from letstalk.core.clock import Clock, utc_now
from letstalk.core.errors import InvalidRequest
from letstalk.core.rates import Rate, parse_rates
from letstalk.db import migrations
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.http.cookies import SessionCookies
from letstalk.http.errors import raise_invalid_request
from letstalk.http.idempotency import delete_expired_keys
from letstalk.http.json_bodies import ApiRequest, App
from letstalk.http.rate_limits import RequestLimits, make_limiter
from letstalk.http.server import ServerOptions
from letstalk.mail.outbox import DELIVER_MAIL
from letstalk.observability.logs import configure_logs
from letstalk.operations.health import HealthService
from letstalk.operations.inspection import InspectionOptions, InspectionService
from letstalk.operations.key_rotation import KeyRotation
from letstalk.operations.privacy import PrivacyService
from letstalk.operations.public_address import PublicAddress
from letstalk.operations.retention import RetentionService
from letstalk.services import Services
from letstalk.speaking.service import SpeakPolicy, SpeakService
from letstalk.statistics.attention import OwnAttention
from letstalk.statistics.rollups import RollupService
from letstalk.statistics.service import StatisticsService
from letstalk.telephony.provider import Parts
from letstalk.telephony.registry import build_telephony
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.speech.scripts import ensure_message
from letstalk.test_numbers.destinations import DestinationRules, Destinations
from letstalk.test_numbers.service import TestNumberService
from letstalk.tokens.app_events import ExpiryNotices
from letstalk.tokens.owners import OwnerDirectory
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.twilio.attempts import AttemptService
from letstalk.twilio.rate_limits import RateLimitService
from letstalk.twilio.service import ServiceDirectory
from letstalk.twilio.services import TwilioVerify
from letstalk.twilio.verifications import OurServices, TwilioVerifications
from letstalk.verifications.browsing import BrowsingService
from letstalk.verifications.codes import DigestKeys
from letstalk.verifications.destinations import DestinationLimits, DestinationPolicy
from letstalk.verifications.search import VerificationSearch
from letstalk.verifications.sends import SendPolicy, SendService
from letstalk.verifications.service import VerificationService, cancel_test_verifications
from letstalk.verifications.trials import TrialService
from letstalk.wiring_accounts import make_accounts, make_mails, make_single_sign_on
from letstalk.wiring_events import make_app_events
from letstalk.wiring_http import bind_web, configure
from letstalk.worker.background_work import BackgroundWork
from letstalk.worker.heartbeat import BEAT_SECONDS, Heartbeat
from letstalk.worker.pool import SharedQueue, Worker

SESSION_LIFETIME = timedelta(hours=12)
SWEEP_SECONDS = 2.0
SLOW_SWEEP_SECONDS = 60.0
ROLLUP_SECONDS = 10.0
CALL_EVENTS = ("verification_started", "replay_accepted", "call_placed", "event_applied", "call_ended")


def create_app(settings: Settings | None = None, *, clock: Clock = utc_now) -> Flask:
    """The application, with a migrated database, and nothing running in the background yet.

    Without `settings`, reads them from the environment and `.env`. Raises SettingsError if they are wrong, or if the
    database can't be used now.
    """
    try:
        if settings is None:
            settings = load_settings()
            ensure_password_is_uncommon(settings)
        return _build_app(settings, clock)
    except OperationalError as error:
        reason = str(error.orig).strip().split("\n")[0]
        raise SettingsError(f"DATABASE_URL names a database that can't be used now: {reason}") from error


def create_command_app() -> Flask:
    """An application with nothing but the commands of `flask`.

    The whole application is built when a command first needs a part of it: `flask keys generate` must work before there
    are settings. If that fails, the command ends with one line.
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
    # The simulator tells each call in three lines of its own.
    unshown = CALL_EVENTS if _is_simulated(settings) else ()
    configure_logs(as_json=not settings.is_development, level=settings.log_level, unshown=unshown)
    app = App(
        "letstalk",
        root_path=str(PROJECT_ROOT),
        static_folder=None,  # `http/docs.py` serves it
        doc_ui=False,
        validation_error_status=400,
        validation_error_callback=raise_invalid_request,
    )
    app.request_class = ApiRequest
    app.session_interface = SessionCookies()
    configure(app, settings, SESSION_LIFETIME)
    services = _bind_services(app, settings, clock)
    limiter = make_limiter(app, _redis_url(settings))
    limits = RequestLimits(
        limiter,
        token=settings.rate_limit_token,
        address=settings.rate_limit_address,
        token_creation=settings.rate_limit_token_creation,
    )
    bind_web(app, services, limits, settings, clock)
    app.cli.commands.pop("openapi", None)  # flask-openapi3's writes another document than /openapi.json
    _add_commands(app)
    return app


def _bind_services(app: Flask, settings: Settings, clock: Clock) -> Services:
    """Build the services, and register what the worker does with them."""
    db = Database(settings.database_url.get_secret_value(), sqlite_synchronous=settings.sqlite_synchronous)
    migrations.upgrade(db)
    vault = Vault(tuple(key.get_secret_value() for key in settings.encryption_keys))
    worker = Worker(threads=settings.worker_threads, shared=_connect_queue(_redis_url(settings)))
    key_rotation = KeyRotation(db, vault)
    lost = key_rotation.check_keys()
    if lost is not None:
        raise SettingsError(lost + _find_lost_key(settings, db))
    keys = DigestKeys(db, vault, clock)
    audit = AuditTrail(db, clock=clock)
    usage = UsageCounter(db, clock=clock, audit=audit)
    telephony = build_telephony(settings, Parts(clock, keys.derive("client_state"), db, vault))
    provider = telephony.provider
    phone = provider.phone if isinstance(provider, SimulatorProvider) else None
    call_policy = _call_policy(settings)
    retention = RetentionService(
        db, audit, usage, clock, days=settings.retention_days, audit_days=settings.audit_retention_days
    )
    commands = CommandService(db, vault, provider, worker, clock, brand_name=settings.brand_name)
    destinations = DestinationLimits(db, audit, clock, _destination_policy(settings))
    limits = CallLimits(_limit_policy(settings), destinations)
    allowed = Destinations(db, _destination_rules(settings))
    sends = SendService(db, vault, keys, worker, clock, _send_policy(settings), limits, allowed)
    speaking = SpeakService(db, vault, keys.digest, worker, clock, _speak_policy(settings), limits, allowed)
    verifications = VerificationService(db, keys, worker, clock, default_region=settings.default_region)
    dispatch = DispatchService(db, provider, worker, clock, call_policy, verifications)
    mails = make_mails(settings, db, vault, clock, partial(worker.wake, DELIVER_MAIL))
    accounts = make_accounts(AccountsDependencies(db, vault, keys, audit, sends, verifications, clock, mails), settings)
    health = HealthService(db, clock, channels=settings.max_concurrent_calls, ping_queue=worker.ping)
    address = PublicAddress(settings.public_url, keys.derive("public_address"))
    inspections = InspectionService(
        db,
        health,
        provider,
        mails,
        address,
        clock,
        InspectionOptions(
            provider_name=settings.telephony_provider,
            is_simulated=_is_simulated(settings),
            is_development=settings.is_development,
            owner_may_sign_in=settings.owner_sign_in,
        ),
        has_admin=accounts.service.has_active_admin,
    )
    tokens = TokenService(
        db, vault=vault, clock=clock, usage=usage, audit=audit, default_rate=settings.rate_limit_token
    )
    app_events = make_app_events(settings, db, vault, audit, clock, mails)
    rate_limits = RateLimitService(db, audit, clock, keys.digest)
    ours = OurServices(sends, verifications, speaking, rate_limits)
    connections = ConnectionService(db, vault, clock, audit, settings.public_url)
    owners = OwnerDirectory(db)
    services = Services(
        tokens=tokens,
        usage=usage,
        expiry_notices=ExpiryNotices(db, clock),
        test_numbers=TestNumberService(
            db,
            vault,
            audit,
            clock,
            cancel_test_verifications,
            default_region=settings.default_region,
            may_be_endless=settings.is_development,
        ),
        audit=audit,
        audit_search=AuditSearch(db, audit, clock),
        owners=owners,
        sends=sends,
        speaking=speaking,
        verifications=verifications,
        browsing=BrowsingService(db, audit, clock),
        twilio=TwilioVerify(
            directory=ServiceDirectory(db, audit, clock),
            verifications=TwilioVerifications(ours, audit, clock, settings.brand_names | {settings.brand_name}),
            rate_limits=rate_limits,
            attempts=AttemptService(db, clock, keys.digest_session),
            digest=keys.digest,
            takes_sms=settings.twilio_sms == "call",
        ),
        verification_search=VerificationSearch(db, clock, owners.list_owners, default_region=settings.default_region),
        trials=TrialService(db, tokens, audit, clock),
        destinations=destinations,
        dispatch=dispatch,
        commands=commands,
        events=EventService(db, commands, worker, clock, call_policy, verifications, telephony.webhooks),
        app_events=app_events,
        connections=Connections(connections, HookService(db, vault, clock, connections, speaking)),
        sweeps=SweepService(db, dispatch, provider, worker, clock, call_policy),
        owner_sessions=OwnerSessionService(
            db,
            settings.dashboard_password.get_secret_value(),
            clock,
            int(SESSION_LIFETIME.total_seconds()),
            key=keys.derive("owner"),
            is_open=settings.owner_sign_in,
        ),
        accounts=accounts,
        single_sign_on=make_single_sign_on(settings, db, vault, audit, clock, accounts),
        health=health,
        inspections=inspections,
        address=address,
        statistics=StatisticsService(db, clock, channels=settings.max_concurrent_calls),
        attention=OwnAttention(db, clock, destinations),
        rollups=RollupService(db, clock, retention_days=settings.retention_days),
        keys=keys,
        retention=retention,
        privacy=PrivacyService(db, clock, default_region=settings.default_region),
        key_rotation=key_rotation,
        phone=phone,
    )
    provider.connect_events(services.events.receive_event)
    if phone is not None:
        phone.connect(services.events)
    _register_handlers(worker, services)
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _register_sweeps(worker, services, Heartbeat(db, worker_id, clock), partial(delete_expired_keys, db, clock))
    app.extensions |= {
        "letstalk": services,
        "letstalk_server": _server_options(settings),
        "letstalk_db": db,
        "letstalk_worker_metrics": settings.worker_metrics,
        "letstalk_background_work": BackgroundWork(
            db=db, worker=worker, provider=provider, usage=usage, webhooks=app_events.deliverer
        ),
    }
    return services


def _find_lost_key(settings: Settings, db: Database) -> str:
    """What to add to the error about a lost key: where it is, if development made it."""
    try:
        made = (PROJECT_ROOT / "instance" / "encryption_keys").read_text(encoding="utf-8").strip()
        vault = Vault((*(key.get_secret_value() for key in settings.encryption_keys), *read_encryption_keys(made)))
    except (OSError, ValueError):
        return ""
    if KeyRotation(db, vault).check_keys() is not None:
        return ""
    return (
        ". Development made it, in instance/encryption_keys: put it behind the new one (ENCRYPTION_KEYS=new,old), or "
        "keep using it (ENCRYPTION_KEYS_FILE=instance/encryption_keys)"
    )


def _is_simulated(settings: Settings) -> bool:
    return settings.telephony_provider == "simulator"


def _speed(settings: Settings) -> float:
    return settings.simulator_speed if _is_simulated(settings) else 1.0


def _call_policy(settings: Settings) -> CallPolicy:
    return CallPolicy(
        channels=settings.max_concurrent_calls,
        detect_machines=settings.answering_machine == "hang_up",
        speed=_speed(settings),
    )


def _send_policy(settings: Settings) -> SendPolicy:
    return SendPolicy(
        brand_name=settings.brand_name,
        default_region=settings.default_region,
        custom_message=CustomMessage(settings.custom_message),
        message_templates=_speakable_templates(settings),
        brand_names=settings.brand_names,
    )


def _speak_policy(settings: Settings) -> SpeakPolicy:
    return SpeakPolicy(settings.brand_name, settings.brand_names, settings.default_region)


def _limit_policy(settings: Settings) -> LimitPolicy:
    return LimitPolicy(
        owner_rates=_rates(settings.rate_limit_phone),
        phone_rates=_rates(settings.rate_limit_phone_all),
        channels=settings.max_concurrent_calls,
        simulator_speed=_speed(settings),
    )


def _destination_rules(settings: Settings) -> DestinationRules:
    return DestinationRules(
        allowed_countries=settings.allowed_countries,
        blocked_countries=settings.blocked_countries,
        number_types=settings.number_types,
        endless_test_numbers=settings.is_development,
    )


def _speakable_templates(settings: Settings) -> dict[str, str]:
    for name, text in settings.message_templates.items():
        try:
            ensure_message(text)
        except InvalidRequest as error:
            raise SettingsError(f"MESSAGE_TEMPLATES has a text that can't be spoken, {name}: {error.message}") from None
    return settings.message_templates


def _destination_policy(settings: Settings) -> DestinationPolicy:
    return DestinationPolicy(
        owner_rates=_rates(settings.rate_limit_owner),
        country_rates=_rates(settings.rate_limit_country),
        block_rates=_rates(settings.rate_limit_block),
        has_breaker=settings.block_breaker,
    )


def _server_options(settings: Settings) -> ServerOptions:
    return ServerOptions(
        host=settings.host,
        port=settings.port,
        threads=settings.web_threads,
        processes=settings.web_processes,
        is_development=settings.is_development,
        is_simulated=_is_simulated(settings),
        needs_credentials=not (settings.is_on_loopback_only and settings.tokens_without_credentials),
        proxies=settings.trusted_proxies,
        dashboard_password=settings.dashboard_password.get_secret_value(),
        call_limits=_call_limits(settings),
    )


def _call_limits(settings: Settings) -> str:
    """The limits of calls in words, for the start."""
    limits = (
        ("in all", settings.rate_limit_owner),
        ("to a country", settings.rate_limit_country),
        ("to a block of numbers", settings.rate_limit_block),
    )
    return ", ".join(f"{limit or 'no limit'} {where}" for where, limit in limits)


def _redis_url(settings: Settings) -> str | None:
    return None if settings.redis_url is None else settings.redis_url.get_secret_value()


def _connect_queue(redis_url: str | None) -> SharedQueue | None:
    if redis_url is None:
        return None
    # Imported only here: the client takes memory and time, which is needless without Redis.
    queue: SharedQueue = importlib.import_module("letstalk.worker.redis_queue").RedisQueue(redis_url)
    return queue


def _register_handlers(worker: Worker, services: Services) -> None:
    # A person on the phone waits for an event and then for a command; an email can wait.
    dispatch, commands, events = services.dispatch, services.commands, services.events
    worker.handle(Topic.APPLY_EVENT, events.apply_event, priority=2)
    worker.handle(Topic.CARRY_OUT, commands.carry_out, priority=1)
    worker.handle(Topic.HANG_UP_STRAY, commands.hang_up_stray, priority=1)
    worker.handle(Topic.OFFER_CODE, events.offer_code, priority=1)
    worker.handle(Topic.OFFER_CODES, lambda _: services.sweeps.offer_codes(), priority=1)
    worker.handle(Topic.DISPATCH, lambda _: dispatch.dispatch())
    worker.handle(Topic.PUT_BACK, lambda _: dispatch.dispatch())
    worker.handle(Topic.CHANNEL_FREE, lambda _: dispatch.dispatch(is_channel_free=True))
    worker.handle(Topic.DIAL, dispatch.dial)
    worker.handle(DELIVER_MAIL, services.accounts.mails.deliver, priority=-1)


def _register_sweeps(
    worker: Worker, services: Services, heartbeat: Heartbeat, delete_keys: Callable[[], object]
) -> None:
    worker.every(BEAT_SECONDS, "heartbeat", heartbeat.beat)
    worker.every(SWEEP_SECONDS, "fast", services.sweeps.sweep)
    worker.every(SWEEP_SECONDS, "mail", services.accounts.mails.wake_due)
    worker.every(REPEATABLE_FOR.total_seconds(), "refresh_tokens", services.accounts.sessions.forget_successors)
    worker.every(SLOW_SWEEP_SECONDS, "slow", services.sweeps.sweep_slowly)
    worker.every(SLOW_SWEEP_SECONDS, "verifications", services.verifications.sweep)
    worker.every(SLOW_SWEEP_SECONDS, "spoken_codes", services.speaking.sweep)
    worker.every(ROLLUP_SECONDS, "statistics", services.rollups.roll_up)
    worker.every(SLOW_SWEEP_SECONDS, "old_statistics", services.rollups.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "destinations", services.destinations.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "twilio_rate_limits", services.twilio.rate_limits.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "app_events", services.app_events.log.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "connections", services.connections.service.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "expiring_tokens", services.expiry_notices.record_expiring)
    worker.every(SLOW_SWEEP_SECONDS, "retention", services.retention.forget_old)
    worker.every(SLOW_SWEEP_SECONDS, "idempotency_keys", delete_keys)
    worker.every(SLOW_SWEEP_SECONDS, "silent_workers", heartbeat.forget_silent)
    if services.phone is not None:
        worker.every(SWEEP_SECONDS, "phone", services.phone.settle)
        worker.every(SLOW_SWEEP_SECONDS, "phone_calls", services.phone.forget_old)


def _add_commands(app: Flask) -> None:
    for command in GROUPS:
        app.cli.add_command(command)


def _rates(words: str | None) -> tuple[Rate, ...]:
    return () if words is None or words == "off" else parse_rates(words)
