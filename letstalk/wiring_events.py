"""Builds the part of the application about events for apps."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from letstalk.accounts.repository import list_addresses_of_owner
from letstalk.audit.service import AuditTrail
from letstalk.config.settings import Settings
from letstalk.core.clock import Clock
from letstalk.core.ip_addresses import read_networks
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, after_commit
from letstalk.events.delivering import WebhookDeliverer
from letstalk.events.endpoint_models import Endpoint
from letstalk.events.endpoints import EndpointService
from letstalk.events.publishing import Publisher
from letstalk.events.service import EventLog
from letstalk.events.services import AppEvents
from letstalk.events.targets import TargetPolicy
from letstalk.mail.outbox import MailService
from letstalk.mail.templates import webhook_disabled_email
from letstalk.verifications.event_objects import make_example, render_event

LOOPBACK = read_networks("127.0.0.0/8,::1")


def make_app_events(
    settings: Settings, db: Database, vault: Vault, audit: AuditTrail, clock: Clock, mails: MailService
) -> AppEvents:
    policy = _target_policy(settings)
    publisher = Publisher(db, clock, render_event)

    def tell_owner(connection: Connection, endpoint: Endpoint, reason: str) -> None:
        for address in list_addresses_of_owner(connection, endpoint.owner_id):
            mail = webhook_disabled_email(address, settings.brand_name, endpoint.url, reason)
            after_commit(connection, partial(mails.wake, mails.send_mail(connection, mail)))

    return AppEvents(
        log=EventLog(db, clock, render_event),
        endpoints=EndpointService(db, vault, clock, audit, publisher, policy),
        deliverer=WebhookDeliverer(db, vault, clock, publisher, policy, tell_owner),
        make_example=partial(make_example, clock),
    )


def _target_policy(settings: Settings) -> TargetPolicy:
    opened = settings.webhook_allowed_networks
    if opened is None:
        opened = LOOPBACK if settings.is_development else ()
    return TargetPolicy(opened, needs_https=not settings.is_development)
