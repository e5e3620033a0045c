"""Sending webhooks in the background: one thread looks for what is due, and has it sent many at a time.

A delivery is leased in its row, so several workers share the work, and that of one that dies is done again. One slow
endpoint holds its own five places and nobody else's. The thread waits for the network only; calls have other threads.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from letstalk.core.clock import Clock
from letstalk.core.ids import new_id
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.db.rotating_secrets import open_secrets
from letstalk.events import delivery_repository, endpoint_repository, signatures
from letstalk.events.endpoint_models import (
    FAILING_FOR,
    FAILING_REASON,
    GONE_REASON,
    MAX_AT_ONCE,
    Answer,
    Attempt,
    Delivery,
    Endpoint,
    next_attempt_at,
)
from letstalk.events.pacing import REST_SECONDS, Pace
from letstalk.events.publishing import Publisher
from letstalk.events.recording import record_all_due_events
from letstalk.events.targets import TargetPolicy
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total, webhook_deliveries_total, webhook_seconds

if TYPE_CHECKING:
    from letstalk.events.webhook_client import WebhookClient

log = get_logger(__name__)

LOOK_SECONDS = 0.2
PAUSE_AFTER_ERROR_SECONDS = 2.0
MOST_AT_ONCE = 500
# From so many on, each endpoint gets one delivery at a time: a hundred that hang, with five deliveries each, would take
# all the places.
ONE_EACH_FROM = 250
STOP_SECONDS = 3.0
GONE = 410

TellOwner = Callable[[Connection, Endpoint, str], None]


class WebhookDeliverer:
    """Started with the background work of a process. `tell_owner` mails which endpoint was disabled, and why."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        publisher: Publisher,
        policy: TargetPolicy,
        tell_owner: TellOwner,
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._publisher = publisher
        self._policy = policy
        self._tell_owner = tell_owner
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
            self._thread.start()

    def begin_stop(self) -> None:
        """Send nothing more, and return at once."""
        self._stopping.set()

    def stop(self) -> None:
        """Wait for the thread. What it was sending is sent again by the next process."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def deliver_due(self) -> None:
        """Send everything that is due, and return when nothing is."""
        asyncio.run(self._deliver())

    def _run(self) -> None:
        pause_seconds = LOOK_SECONDS
        while not self._stopping.wait(pause_seconds):
            try:
                record_all_due_events(self._db)
                if self._has_work():
                    self.deliver_due()
                pause_seconds = LOOK_SECONDS
            except Exception as error:  # of any kind: nothing else would send what waits
                log.error("webhooks_failed", exc_info=error)
                pause_seconds = PAUSE_AFTER_ERROR_SECONDS

    def _has_work(self) -> bool:
        with self._db.read() as connection:
            return self._publisher.has_waiting(connection) or delivery_repository.has_due(connection, self._clock())

    async def _deliver(self) -> None:
        # Imported only where something is to be sent: it takes memory that most installations need not spend.
        from letstalk.events.webhook_client import WebhookClient

        sending: set[asyncio.Task[None]] = set()
        pace = Pace()
        try:
            async with WebhookClient(self._policy) as client:
                while not self._stopping.is_set():
                    while pace.must_rest() and not self._stopping.is_set():
                        await asyncio.sleep(REST_SECONDS)
                    published = await asyncio.to_thread(pace.run, self._publisher.publish)
                    leased = await asyncio.to_thread(pace.run, self._lease, len(sending))
                    for delivery, endpoint in leased:
                        sending.add(asyncio.create_task(self._send(client, pace, delivery, endpoint)))
                    if sending:
                        # A new event must not wait for a slow endpoint.
                        pause_seconds = 0 if leased or published else LOOK_SECONDS
                        _, sending = await asyncio.wait(sending, timeout=pause_seconds)
                    elif not published:
                        return
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    def _lease(self, under_way: int) -> list[tuple[Delivery, Endpoint]]:
        """Lease what is due. `under_way` are being sent."""
        is_one_each = under_way >= ONE_EACH_FROM
        limit = (MOST_AT_ONCE if is_one_each else ONE_EACH_FROM) - under_way
        if limit <= 0:
            return []
        with self._db.write() as connection:
            self._db.lock(connection, "webhook deliveries")
            now = self._clock()
            delivery_repository.put_back_lost(connection, now)
            most_of_one = 1 if is_one_each else MAX_AT_ONCE
            leased = delivery_repository.lease_due(connection, now, limit, most_of_one)
            endpoints = endpoint_repository.find_endpoints(connection, {delivery.endpoint_id for delivery in leased})
        return [(delivery, endpoints[delivery.endpoint_id]) for delivery in leased]

    async def _send(self, client: WebhookClient, pace: Pace, delivery: Delivery, endpoint: Endpoint) -> None:
        body = delivery.body.encode("utf-8")
        started_at = self._clock()
        try:
            secrets_in_use = open_secrets(self._vault, endpoint, started_at)
        except LostKey:
            lost_keys_total.labels("webhook").inc()
            answer = Answer(0, error="Not sent: a key is missing from ENCRYPTION_KEYS.")
        else:
            timestamp = int(started_at.timestamp())
            headers = signatures.headers_of(secrets_in_use, delivery.event_id, timestamp, body)
            answer = await client.post(endpoint.url, headers, body)
        attempt = Attempt(
            new_id(started_at),
            delivery.delivery_id,
            started_at,
            answer.duration_ms,
            answer.status,
            answer.body,
            answer.error,
            delivery.is_manual,
        )
        webhook_seconds.observe(answer.duration_ms / 1000)
        try:
            await asyncio.to_thread(pace.run, self._note, delivery, endpoint, attempt, answer.retry_after_seconds)
        except SQLAlchemyError as error:  # the lease runs out, and it is sent again
            log.warning("webhook_not_noted", delivery_id=delivery.delivery_id, error=type(error).__name__)

    def _note(
        self, delivery: Delivery, endpoint: Endpoint, attempt: Attempt, retry_after_seconds: float | None
    ) -> None:
        """Record a try, and disable an endpoint that is gone or has failed for days."""
        with self._db.write() as connection:
            now = self._clock()
            if attempt.is_accepted:
                delivery_repository.note_attempt(connection, attempt, None, now)
                endpoint_repository.note_success(connection, endpoint.endpoint_id)
            else:
                next_at = next_attempt_at(
                    delivery.attempts + 1,
                    now,
                    random.random(),  # noqa: S311  # spreads load, hides nothing
                    retry_after_seconds=retry_after_seconds,
                )
                delivery_repository.note_attempt(connection, attempt, next_at, None)
                endpoint_repository.note_failure(connection, endpoint.endpoint_id, now)
                self._disable_if_hopeless(connection, endpoint, attempt, now)
        outcome = "delivered" if attempt.is_accepted else "failed"
        webhook_deliveries_total.labels(outcome).inc()
        log.info(
            "webhook_sent",
            outcome=outcome,
            delivery_id=delivery.delivery_id,
            endpoint_id=endpoint.endpoint_id,
            type=delivery.type,
            status=attempt.response_status,
            error=attempt.error,
        )

    def _disable_if_hopeless(self, connection: Connection, endpoint: Endpoint, attempt: Attempt, now: datetime) -> None:
        failing_since = endpoint.failing_since
        if attempt.response_status == GONE:
            reason = GONE_REASON
        elif failing_since is not None and now - failing_since >= FAILING_FOR:
            reason = FAILING_REASON
        else:
            return
        if endpoint_repository.disable_endpoint(connection, endpoint.endpoint_id, reason, now):
            delivery_repository.give_up_all(connection, endpoint.endpoint_id)
            self._tell_owner(connection, endpoint, reason)
            log.warning("webhook_endpoint_disabled", endpoint_id=endpoint.endpoint_id, reason=reason)
