"""The audit trail: every change of a token, an account or a session, and every refusal."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import get_contextvars

from letstalk.audit import repository as audit_events
from letstalk.audit.models import DROPPED, REFUSED, AuditEvent
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.ip_addresses import subscriber_of
from letstalk.db.database import Database, delete_in_batches
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

MAX_BUFFERED = 10_000
MAX_STRANGERS = 100  # rows a minute for strangers' addresses: 40 MB a day at most, however many take part


class About(TypedDict, total=False):
    """What an event is about. By default `address` is the actor's, and `request_id` that of the log context.

    `owner_id` is the owner of the token, the verification or whatever else it is about.
    """

    token_id: str | None
    account_id: str | None
    owner_id: str | None
    detail: Mapping[str, Any] | None
    address: str | None
    request_id: str | None


@dataclass(slots=True)
class CountedRefusal:
    """Refusals of one kind, to one client, within one minute. `event` is the first of them."""

    event: AuditEvent
    minute: datetime
    count: int = 0
    written: int = 0

    def counted(self) -> AuditEvent:
        return replace(self.event, detail={**self.event.detail, "count": self.count})


class AuditTrail:
    """Changes are recorded in their own transaction. Refusals are counted in memory, and written by `flush`: one row
    for each kind, client (a /64 of IPv6 is one) and minute, with how many there were.

    Otherwise anyone could cause disk writes with wrong tokens, and the time of a response would show a write. A process
    that is killed loses the refusals of its last half second, and no change.

    No event contains a token or a secret: callers pass ids.
    """

    def __init__(self, db: Database, *, clock: Clock, max_buffered: int = MAX_BUFFERED) -> None:
        self._db = db
        self._clock = clock
        self._max_buffered = max_buffered
        self._waiting: deque[AuditEvent] = deque()
        self._refusals: dict[tuple[object, ...], CountedRefusal] = {}
        self._strangers: Counter[datetime] = Counter()
        self._dropped = 0
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()

    def record(self, connection: Connection, actor: Actor | None, action: str, **about: Unpack[About]) -> None:
        """Write an event in the transaction of its change."""
        audit_events.insert_events(connection, [self._event(action, actor, **about)])

    def note(self, action: str, *, actor: Actor | None = None, **about: Unpack[About]) -> None:
        """Keep an event for the next `flush`. Returns at once and raises nothing."""
        event = self._event(action, actor, **about)
        with self._lock:
            if len(self._waiting) < self._max_buffered:
                self._waiting.append(event)
            else:
                self._dropped += 1

    def record_refusal(self, code: str, *, actor: Actor | None = None, **about: Unpack[About]) -> None:
        """Count the refusal `code` (an error's stable code, in the event's `detail`) for the next `flush`.

        Without a `token_id` it is about the token of the actor, if it has one.

        Strangers from more than `MAX_STRANGERS` clients in a minute are counted together, without their addresses.
        """
        about["detail"] = {"code": code}
        if actor is not None and actor.kind is ActorKind.TOKEN and about.get("token_id") is None:
            about |= {"token_id": actor.token_id, "owner_id": actor.owner_id}
        event = self._event(REFUSED, actor, **about)
        minute = event.at.replace(second=0, microsecond=0)
        client = None if event.address is None else subscriber_of(event.address)
        is_stranger = actor is None and event.token_id is None
        whose = (event.actor_token_id, event.actor_account_id, event.token_id, event.account_id)
        key: tuple[object, ...] = (minute, code, client, *whose)
        with self._lock:
            if key not in self._refusals and is_stranger:
                if self._strangers[minute] >= MAX_STRANGERS:
                    key, event = (minute, code), replace(event, address=None, request_id=None)
                self._strangers[minute] += 1
            if key not in self._refusals and len(self._refusals) >= self._max_buffered:
                self._dropped += 1
            else:
                self._refusals.setdefault(key, CountedRefusal(event, minute)).count += 1

    def flush(self) -> bool:
        """Write what waits, in one transaction. Returns False if the database failed: the events keep waiting."""
        with self._flush_lock:
            with self._lock:
                batch, dropped = list(self._waiting), self._dropped
                self._waiting.clear()
                self._dropped = 0
                counted = [
                    (one, one.counted(), one.count) for one in self._refusals.values() if one.count > one.written
                ]
            events = [*batch, self._event(DROPPED, None, detail={"count": dropped})] if dropped else batch
            if not events and not counted:
                return True
            try:
                with self._db.write() as connection:
                    if events:
                        audit_events.insert_events(connection, events)
                    if counted:
                        audit_events.put_counts(connection, [event for _, event, _ in counted])
            except SQLAlchemyError as error:
                log.warning("audit_not_flushed", error=type(error).__name__, events=len(events) + len(counted))
                self._put_back(batch, dropped)
                return False
            for one, _, count in counted:
                one.written = count
            self._forget_past_minutes()
            return True

    def erase_before(self, before: datetime) -> int:
        """Delete the events before `before` (for the retention sweep). Returns how many it deleted."""
        return delete_in_batches(self._db, lambda connection: audit_events.erase_events(connection, before))

    def _put_back(self, batch: list[AuditEvent], dropped: int) -> None:
        with self._lock:
            newer = list(self._waiting)
            kept = [*batch, *newer][: self._max_buffered]
            self._waiting = deque(kept)
            self._dropped += dropped + len(batch) + len(newer) - len(kept)

    def _forget_past_minutes(self) -> None:
        minute = self._clock().replace(second=0, microsecond=0)
        with self._lock:
            self._refusals = {
                key: one for key, one in self._refusals.items() if one.minute >= minute or one.count > one.written
            }
            self._strangers = Counter({key: count for key, count in self._strangers.items() if key >= minute})

    def _event(self, action: str, actor: Actor | None, **about: Unpack[About]) -> AuditEvent:
        address = about.get("address") or (actor.address if actor else None)
        request_id = about.get("request_id") or get_contextvars().get("request_id")
        return AuditEvent(
            event_id=str(uuid4()),
            at=self._clock(),
            action=action,
            actor_kind=actor.kind.value if actor else None,
            actor_owner_id=actor.owner_id if actor else None,
            actor_token_id=actor.token_id if actor else None,
            token_id=about.get("token_id"),
            actor_account_id=actor.account_id if actor else None,
            account_id=about.get("account_id"),
            owner_id=about.get("owner_id"),
            address=address[:64] if address else None,
            request_id=request_id[:64] if request_id else None,
            detail=about.get("detail") or {},
        )
