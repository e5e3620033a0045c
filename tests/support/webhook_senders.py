"""The services about webhooks on a real database, with a time that tests move by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.ip_addresses import read_networks
from letstalk.core.scopes import Scope
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.events.delivering import WebhookDeliverer
from letstalk.events.endpoint_models import Attempt, Delivery, Endpoint
from letstalk.events.endpoints import EndpointService, IssuedEndpoint
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.publishing import Publisher
from letstalk.events.recording import record_event
from letstalk.events.targets import TargetPolicy
from letstalk.verifications.event_objects import render_event
from tests.support.world import StandingClock, an_actor

ACME, GLOBEX = (replace(an_actor(owner), scopes=frozenset({Scope.WEBHOOKS_WRITE})) for owner in ("acme", "globex"))
LOOPBACK_OPENED = TargetPolicy(read_networks("127.0.0.0/8"))


@dataclass
class Sender:
    """Endpoints of the owner `acme`, unless a test says another. `told` are the owners that were mailed, with why."""

    db: Database
    policy: TargetPolicy = LOOPBACK_OPENED
    # The libraries refuse timestamps that are far from the present.
    clock: StandingClock = field(default_factory=lambda: StandingClock(datetime.now(UTC)))
    told: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vault = Vault((make_encryption_key(),))
        self.publisher = Publisher(self.db, self.clock, render_event)
        audit = AuditTrail(self.db, clock=self.clock)
        self.endpoints = EndpointService(self.db, self.vault, self.clock, audit, self.publisher, self.policy)
        self.deliverer = self.make_deliverer()

    def make_deliverer(self) -> WebhookDeliverer:
        """What another worker of the same installation has."""

        def tell_owner(_connection: Connection, endpoint: Endpoint, reason: str) -> None:
            self.told.append((endpoint.owner_id, reason))

        return WebhookDeliverer(self.db, self.vault, self.clock, self.publisher, self.policy, tell_owner)

    def create(self, url: str, *types: AppEventType, actor: Actor = ACME) -> IssuedEndpoint:
        return self.endpoints.create_endpoint(actor, url, types=types or None)

    def record(self, type_: AppEventType = AppEventType.TOKEN_CREATED, *, owner: str = "acme", **detail: Any) -> str:
        """Record an event, and return its id."""
        with self.db.write() as connection:
            return record_event(connection, NewEvent(type_, owner, detail=detail or {"user_id": owner}), self.clock())

    def deliver(self) -> None:
        """Send all that is due."""
        self.deliverer.deliver_due()

    def endpoint(self, issued: IssuedEndpoint, actor: Actor = ACME) -> Endpoint:
        return self.endpoints.get_endpoint(actor, issued.endpoint.endpoint_id)

    def deliveries(self, issued: IssuedEndpoint, status: str | None = None) -> list[Delivery]:
        """Newest first."""
        found, _ = self.endpoints.list_deliveries(
            ACME, issued.endpoint.endpoint_id, status=status, limit=100, cursor=None
        )
        return found

    def tries(self, issued: IssuedEndpoint) -> list[Attempt]:
        """Those of the newest delivery, oldest first."""
        newest = self.deliveries(issued)[0]
        return self.endpoints.get_delivery(ACME, issued.endpoint.endpoint_id, newest.delivery_id)[1]
