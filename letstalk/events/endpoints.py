"""Webhook endpoints: making, changing and watching them. Each gets the events of its owner only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, check_owner_id
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, InvalidRequest, NotFound
from letstalk.core.ids import canonical_id, new_id
from letstalk.core.pagination import cut_page, decode_id_cursor
from letstalk.core.unset import UNSET, Unset
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.db.rotating_secrets import replace_secret, seal_secret
from letstalk.events import delivery_repository, endpoint_repository, repository
from letstalk.events.endpoint_models import MAX_DESCRIPTION_CHARACTERS, MAX_ENDPOINTS, Attempt, Delivery, Endpoint
from letstalk.events.models import AppEventType, EventFilter
from letstalk.events.publishing import Publisher, new_delivery
from letstalk.events.recording import record_all_due_events, record_due_events
from letstalk.events.signatures import new_secret
from letstalk.events.targets import TargetPolicy, ensure_target

DISABLED_BY_HAND = "It was disabled by hand."
RATE_WINDOW = timedelta(days=1)
REPLAYED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """The fields to change. `types` None means all types, `description` None means no description."""

    url: str | Unset = UNSET
    description: str | Unset | None = UNSET
    types: tuple[AppEventType, ...] | Unset | None = UNSET
    shows_phones: bool | Unset = UNSET


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """An endpoint with its secret, which is shown once."""

    endpoint: Endpoint
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SuccessRate:
    """The tries of the last day."""

    accepted: int
    tried: int


class EndpointService:
    def __init__(
        self, db: Database, vault: Vault, clock: Clock, audit: AuditTrail, publisher: Publisher, policy: TargetPolicy
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._audit = audit
        self._publisher = publisher
        self._policy = policy

    def create_endpoint(
        self,
        actor: Actor,
        url: str,
        *,
        description: str | None = None,
        types: tuple[AppEventType, ...] | None = None,
        shows_phones: bool = False,
    ) -> IssuedEndpoint:
        """A new endpoint of the actor's owner. Raises InvalidRequest, and Conflict `too_many_endpoints`."""
        check_owner_id(actor.owner_id)
        ensure_target(url, self._policy)
        secret = new_secret()
        with self._db.write() as connection:
            now = self._clock()
            record_due_events(connection)  # while nobody listens for them
            self._db.lock(connection, "webhook endpoints", actor.owner_id)
            if endpoint_repository.count_endpoints(connection, actor.owner_id) >= MAX_ENDPOINTS:
                raise Conflict(f"An owner can have {MAX_ENDPOINTS} endpoints at most.", code="too_many_endpoints")
            endpoint = Endpoint(
                endpoint_id=new_id(now),
                owner_id=actor.owner_id,
                url=url,
                description=_check_description(description),
                types=_check_types(types),
                shows_phones=shows_phones,
                secret_sealed=seal_secret(self._vault, secret),
                old_secret_sealed=None,
                old_secret_until=None,
                created_at=now,
            )
            endpoint_repository.insert_endpoint(connection, endpoint)
            self._record(connection, actor, "webhook_endpoint.created", endpoint)
        return IssuedEndpoint(endpoint, secret)

    def list_endpoints(self, actor: Actor, *, limit: int, cursor: str | None) -> tuple[list[Endpoint], str | None]:
        """The endpoints of the actor's owner, newest first, and the cursor of the next page."""
        after = decode_id_cursor(cursor)
        with self._db.read() as connection:
            found = endpoint_repository.list_endpoints(
                connection, frozenset({actor.owner_id}), after=after, limit=limit + 1
            )
        return cut_page(found, limit, lambda endpoint: endpoint.endpoint_id)

    def list_reached(self, owner_ids: frozenset[str] | None) -> list[Endpoint]:
        """The newest endpoints of these owners (None: of all), for a person who may see several owners."""
        with self._db.read() as connection:
            return endpoint_repository.list_endpoints(connection, owner_ids, limit=MAX_ENDPOINTS * 4)

    def list_troubled(self, owner_ids: frozenset[str] | None, *, limit: int) -> list[Endpoint]:
        """The newest endpoints of these owners (None: of all) that fail, or that failing has disabled."""
        with self._db.read() as connection:
            return endpoint_repository.list_troubled(connection, owner_ids, limit=limit)

    def get_endpoint(self, actor: Actor, endpoint_id: str) -> Endpoint:
        """Raises NotFound, also for one of another owner."""
        with self._db.read() as connection:
            return self._find(connection, actor, endpoint_id)

    def update_endpoint(self, actor: Actor, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
        """Raises NotFound, InvalidRequest."""
        if isinstance(changes.url, str):
            ensure_target(changes.url, self._policy)
        with self._db.write() as connection:
            endpoint = old = self._find(connection, actor, endpoint_id, for_update=True)
            if isinstance(changes.url, str):
                endpoint = replace(endpoint, url=changes.url)
            if changes.description is None or isinstance(changes.description, str):
                endpoint = replace(endpoint, description=_check_description(changes.description))
            if changes.types is None or isinstance(changes.types, tuple):
                endpoint = replace(endpoint, types=_check_types(changes.types))
            if isinstance(changes.shows_phones, bool):
                endpoint = replace(endpoint, shows_phones=changes.shows_phones)
            if endpoint != old:
                endpoint_repository.update_endpoint(connection, endpoint)
                self._record(connection, actor, "webhook_endpoint.updated", endpoint)
        return endpoint

    def rotate_secret(self, actor: Actor, endpoint_id: str, grace_seconds: int) -> IssuedEndpoint:
        """A new secret. The old one also signs until the grace period ends. Raises NotFound, InvalidRequest."""
        secret = new_secret()
        with self._db.write() as connection:
            old = self._find(connection, actor, endpoint_id, for_update=True)
            endpoint = replace(old, **replace_secret(self._vault, old, secret, grace_seconds, self._clock()))
            endpoint_repository.update_endpoint(connection, endpoint)
            self._record(connection, actor, "webhook_endpoint.rotated", endpoint)
        return IssuedEndpoint(endpoint, secret)

    def set_enabled(self, actor: Actor, endpoint_id: str, *, is_enabled: bool) -> Endpoint:
        """Enable or disable an endpoint. What waited for a disabled one is given up. Raises NotFound."""
        with self._db.write() as connection:
            old = self._find(connection, actor, endpoint_id, for_update=True)
            if is_enabled == (old.disabled_at is None):
                return old
            if is_enabled:
                record_due_events(connection)  # while nobody listens for them
                endpoint = replace(old, disabled_at=None, disabled_reason=None, failing_since=None)
            else:
                endpoint = replace(old, disabled_at=self._clock(), disabled_reason=DISABLED_BY_HAND)
                delivery_repository.give_up_all(connection, old.endpoint_id)
            endpoint_repository.update_endpoint(connection, endpoint)
            action = "webhook_endpoint.enabled" if is_enabled else "webhook_endpoint.disabled"
            self._record(connection, actor, action, endpoint)
        return endpoint

    def delete_endpoint(self, actor: Actor, endpoint_id: str) -> None:
        """Delete an endpoint with the record of its deliveries. Raises NotFound."""
        with self._db.write() as connection:
            endpoint = self._find(connection, actor, endpoint_id, for_update=True)
            delivery_repository.delete_deliveries_to(connection, endpoint.endpoint_id)
            endpoint_repository.delete_endpoint(connection, endpoint.endpoint_id)
            self._record(connection, actor, "webhook_endpoint.deleted", endpoint)

    def send_example(self, actor: Actor, endpoint_id: str, content: dict[str, Any]) -> Delivery:
        """Send an example to an enabled endpoint, once in the usual way. Raises NotFound, Conflict."""
        with self._db.write() as connection:
            now = self._clock()
            endpoint = self._find_enabled(connection, actor, endpoint_id)
            delivery = new_delivery(endpoint, content["event_id"], content["type"], None, content, now)
            delivery = replace(delivery, is_manual=True)
            delivery_repository.insert_deliveries(connection, [delivery])
        return delivery

    def list_deliveries(
        self, actor: Actor, endpoint_id: str, *, status: str | None = None, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        """The deliveries to an endpoint, newest first, and the cursor of the next page. Raises NotFound."""
        after = decode_id_cursor(cursor)
        with self._db.read() as connection:
            endpoint = self._find(connection, actor, endpoint_id)
            found = delivery_repository.list_deliveries(
                connection, endpoint.endpoint_id, status=status, after=after, limit=limit + 1
            )
        return cut_page(found, limit, lambda delivery: delivery.delivery_id)

    def get_delivery(self, actor: Actor, endpoint_id: str, delivery_id: str) -> tuple[Delivery, list[Attempt]]:
        """A delivery with its tries, oldest first. Raises NotFound."""
        with self._db.read() as connection:
            endpoint = self._find(connection, actor, endpoint_id)
            delivery = self._find_delivery(connection, endpoint, delivery_id)
            return delivery, delivery_repository.list_attempts(connection, delivery.delivery_id)

    def measure_success(self, actor: Actor, endpoint_id: str) -> SuccessRate:
        """How many tries of the last day were accepted. Raises NotFound."""
        with self._db.read() as connection:
            endpoint = self._find(connection, actor, endpoint_id)
            since = self._clock() - RATE_WINDOW
            return SuccessRate(*delivery_repository.count_attempts(connection, endpoint.endpoint_id, since))

    def redeliver(self, actor: Actor, endpoint_id: str, delivery_id: str) -> Delivery:
        """Send a delivery again now, with the whole schedule of retries. Raises NotFound, Conflict."""
        with self._db.write() as connection:
            endpoint = self._find_enabled(connection, actor, endpoint_id)
            delivery = self._find_delivery(connection, endpoint, delivery_id)
            delivery_repository.try_again_now(connection, [delivery.delivery_id], self._clock())
            return self._find_delivery(connection, endpoint, delivery_id)

    def replay_since(self, actor: Actor, endpoint_id: str, since: datetime) -> int:
        """Send all events since then that the endpoint wants, also those that it has had. Returns how many.

        Raises NotFound, Conflict.
        """
        record_all_due_events(self._db)
        replayed, after = 0, None
        while True:
            with self._db.write() as connection:
                now = self._clock()
                endpoint = self._find_enabled(connection, actor, endpoint_id)
                wanted = EventFilter(endpoint.types, since=since)
                events = repository.list_events(
                    connection, endpoint.owner_id, wanted, after=after, limit=REPLAYED_AT_ONCE
                )
                ids = [event.event_id for event in events]
                known = delivery_repository.list_events_delivered(connection, endpoint.endpoint_id, ids)
                replayed += delivery_repository.try_again_now(connection, list(known.values()), now)
                missing = (event for event in events if event.event_id not in known)
                made = [self._publisher.make_delivery(connection, event, endpoint, now) for event in missing]
                new = [delivery for delivery in made if delivery is not None]
                if new:
                    delivery_repository.insert_deliveries(connection, new)
                replayed += len(new)
            if len(events) < REPLAYED_AT_ONCE:
                return replayed
            after = ids[-1]

    def _find(self, connection: Connection, actor: Actor, endpoint_id: str, *, for_update: bool = False) -> Endpoint:
        known_id = canonical_id(endpoint_id)
        found = None
        if known_id is not None:
            found = endpoint_repository.find_endpoint(connection, known_id, for_update=for_update)
        if found is None or not actor.reaches(found.owner_id):
            raise NotFound("There is no such webhook endpoint.")
        return found

    def _find_enabled(self, connection: Connection, actor: Actor, endpoint_id: str) -> Endpoint:
        endpoint = self._find(connection, actor, endpoint_id, for_update=True)
        if endpoint.disabled_at is not None:
            raise Conflict("This endpoint is disabled. Enable it first.", code="endpoint_disabled")
        return endpoint

    def _find_delivery(self, connection: Connection, endpoint: Endpoint, delivery_id: str) -> Delivery:
        known_id = canonical_id(delivery_id)
        found = None
        if known_id is not None:
            found = delivery_repository.find_delivery(connection, endpoint.endpoint_id, known_id)
        if found is None:
            raise NotFound("There is no such delivery.")
        return found

    def _record(self, connection: Connection, actor: Actor, action: str, endpoint: Endpoint) -> None:
        detail = {"endpoint_id": endpoint.endpoint_id, "url": endpoint.url, "shows_phones": endpoint.shows_phones}
        self._audit.record(connection, actor, action, owner_id=endpoint.owner_id, detail=detail)


def _check_description(description: str | None) -> str | None:
    if description is not None and not 1 <= len(description.strip()) <= len(description) <= MAX_DESCRIPTION_CHARACTERS:
        sentence = f"description must be 1 to {MAX_DESCRIPTION_CHARACTERS} characters."
        raise InvalidRequest.in_field("description", sentence)
    return description


def _check_types(types: tuple[AppEventType, ...] | None) -> tuple[AppEventType, ...] | None:
    if types is None:
        return None
    if not types:
        raise InvalidRequest.in_field("types", "types must name at least one type. Null is all.")
    return tuple(dict.fromkeys(types))
