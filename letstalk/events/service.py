"""Reading events: those of one owner, with their objects as the API returns them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.pagination import cut_page, decode_id_cursor
from letstalk.db.database import Database, delete_in_batches
from letstalk.events import delivery_repository, repository
from letstalk.events.models import EVENTS_KEPT_FOR, AppEvent, AppEventType, EventFilter
from letstalk.events.publishing import EventRenderer, content_of
from letstalk.events.recording import try_to_record_all_due_events


class EventLog:
    def __init__(self, db: Database, clock: Clock, render: EventRenderer) -> None:
        self._db = db
        self._clock = clock
        self._render = render

    def list_events(
        self, actor: Actor, wanted: EventFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The events of the actor's owner, newest first, and the cursor of the next page. Raises InvalidRequest."""
        after = decode_id_cursor(cursor)
        with self._read_events() as connection:
            found = repository.list_events(connection, actor.owner_id, wanted, after=after, limit=limit + 1)
            page, next_cursor = cut_page(found, limit, lambda event: event.event_id)
            contents = [content_of(event, self._render(connection, event, shows_phone=True)) for event in page]
        return contents, next_cursor

    def list_newest(
        self, owner_ids: frozenset[str] | None, *, after: str | None, limit: int, type_: AppEventType | None = None
    ) -> list[AppEvent]:
        """The newest events of these owners (None: of all) that came after the event `after`, newest first.

        With `type_`, those of that type among the newest `repository.MOST_SEARCHED`.
        """
        with self._read_events() as connection:
            return repository.list_newest(connection, owner_ids, after=after, limit=limit, type_=type_)

    def describe(self, events: list[AppEvent]) -> list[dict[str, Any]]:
        """What webhooks carry of these events, with masked phones."""
        with self._db.read() as connection:
            return [content_of(event, self._render(connection, event, shows_phone=False)) for event in events]

    def get_event(self, actor: Actor, event_id: str) -> dict[str, Any]:
        """Raises NotFound, also for an event of another owner."""
        known_id = canonical_id(event_id)
        with self._read_events() as connection:
            event = None if known_id is None else repository.find_event(connection, actor.owner_id, known_id)
            if event is None:
                raise NotFound("There is no such event.")
            return content_of(event, self._render(connection, event, shows_phone=True))

    def find_for(self, actor: Actor, event_id: str) -> AppEvent | None:
        """The event with that id, of an owner that the actor may see."""
        with self._read_events() as connection:
            event = repository.find_any_event(connection, event_id)
        return event if event is not None and actor.reaches(event.owner_id) else None

    @contextmanager
    def _read_events(self) -> Iterator[Connection]:
        """A transaction for reading that sees all events, also those that were due."""
        try_to_record_all_due_events(self._db)
        with self._db.read() as connection:
            yield connection

    def forget_old(self) -> None:
        """Delete the events and the deliveries that are older than 30 days."""
        before = self._clock() - EVENTS_KEPT_FOR
        delete_in_batches(self._db, lambda connection: delivery_repository.delete_old_deliveries(connection, before))
        delete_in_batches(self._db, lambda connection: repository.delete_old_events(connection, before))
