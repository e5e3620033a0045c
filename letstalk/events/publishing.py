"""Making deliveries of recorded events: one for each endpoint of the owner that wants the type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from letstalk.core.clock import Clock, iso_utc
from letstalk.core.ids import new_id
from letstalk.db.database import Database
from letstalk.events import delivery_repository, endpoint_repository
from letstalk.events.endpoint_models import Delivery, Endpoint
from letstalk.events.models import AppEvent
from letstalk.events.recording import record_due_events
from letstalk.events.repository import IS_WAITING, app_events, event_from, list_waiting

AT_ONCE = 50  # events in a transaction: other writers wait for some 10 ms


class EventRenderer(Protocol):
    """Makes the object of an event, as the API returns it. None where what it was about is deleted."""

    def __call__(self, connection: Connection, event: AppEvent, *, shows_phone: bool) -> dict[str, Any] | None: ...


def content_of(event: AppEvent, data: dict[str, Any] | None) -> dict[str, Any]:
    """What a webhook carries and the API returns of an event."""
    return {
        "event_id": event.event_id,
        "type": event.type.value,
        "timestamp": iso_utc(event.created_at),
        "user_id": event.owner_id,
        "sequence": event.sequence,
        "data": data,
    }


class Publisher:
    def __init__(self, db: Database, clock: Clock, render: EventRenderer) -> None:
        self._db = db
        self._clock = clock
        self._render = render

    def has_waiting(self, connection: Connection) -> bool:
        """Whether events wait that somebody listens for."""
        return connection.execute(sa.select(app_events.c.event_id).where(IS_WAITING).limit(1)).first() is not None

    def publish(self) -> int:
        """Make the deliveries of some waiting events, in one transaction. Returns how many events these were."""
        with self._db.write() as connection:
            record_due_events(connection)
            waiting = [event_from(row) for row in list_waiting(connection, AT_ONCE)]
            if waiting:
                self._publish(connection, waiting)
            return len(waiting)

    def make_delivery(
        self, connection: Connection, event: AppEvent, endpoint: Endpoint, now: datetime
    ) -> Delivery | None:
        """A delivery that is due, not stored yet. None where what the event was about is deleted."""
        data = self._render(connection, event, shows_phone=endpoint.shows_phones)
        if data is None:
            return None
        return new_delivery(endpoint, event.event_id, event.type.value, event.subject_id, content_of(event, data), now)

    def _publish(self, connection: Connection, events: list[AppEvent]) -> None:
        listening = endpoint_repository.list_listening(connection, {event.owner_id for event in events})
        deliveries = list(self._deliveries(connection, events, listening))
        if deliveries:
            delivery_repository.insert_deliveries(connection, deliveries)
        ids = [event.event_id for event in events]
        connection.execute(sa.update(app_events).where(app_events.c.event_id.in_(ids)).values(is_waiting=False))

    def _deliveries(
        self, connection: Connection, events: list[AppEvent], listening: list[Endpoint]
    ) -> Iterator[Delivery]:
        now = self._clock()
        for event in events:
            for endpoint in listening:
                if endpoint.owner_id == event.owner_id and endpoint.wants(event.type):
                    delivery = self.make_delivery(connection, event, endpoint, now)
                    if delivery is not None:
                        yield delivery


def body_of(content: dict[str, Any]) -> str:
    """What is signed and sent."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def new_delivery(
    endpoint: Endpoint, event_id: str, type_: str, subject_id: str | None, content: dict[str, Any], now: datetime
) -> Delivery:
    """A delivery of `content` to `endpoint` that is due now."""
    body = body_of(content)
    return Delivery(
        new_id(now), endpoint.endpoint_id, event_id, subject_id, type_, body, created_at=now, next_attempt_at=now
    )
