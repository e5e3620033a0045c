"""Attempts, as Twilio calls the calls of verifications: listing, showing and counting those of an owner's services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import NotFound
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.db.database import Database
from letstalk.twilio import attempt_repository
from letstalk.twilio.models import DEFAULT_SPAN, Attempt, AttemptFilter, AttemptSummary, Sid
from letstalk.twilio.repository import list_services

DigestSession = Callable[[str, str], str]  # what stands for a session of an owner in the database


class AttemptService:
    def __init__(self, db: Database, clock: Clock, digest_session: DigestSession) -> None:
        self._db = db
        self._clock = clock
        self._digest_session = digest_session

    def list_attempts(
        self, actor: Actor, wanted: AttemptFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[Attempt], str | None]:
        """Those of the newest verifications first, and the cursor of the next page. Raises InvalidRequest."""
        before = None if cursor is None else decode_cursor(cursor)
        with self._db.read() as connection:
            services = self._services(connection, actor, wanted.service_id)
            found = attempt_repository.list_attempts(
                connection, actor.owner_id, services, self._bounded(wanted), before=before, limit=limit + 1
            )
        return cut_page(found, limit, lambda attempt: encode_cursor(attempt.verification_at, attempt.call_id))

    def get_attempt(self, actor: Actor, sid: str) -> Attempt:
        """Raises NotFound, also for an attempt of another owner, or of a service that was deleted."""
        call_id = Sid.ATTEMPT.read(sid)
        found = None
        if call_id is not None:
            with self._db.read() as connection:
                services = self._services(connection, actor, None)
                found = attempt_repository.find_attempt(connection, actor.owner_id, services, call_id)
        if found is None:
            raise NotFound("There is no such attempt.")
        return found

    def summarize(self, actor: Actor, wanted: AttemptFilter) -> AttemptSummary:
        with self._db.read() as connection:
            services = self._services(connection, actor, wanted.service_id)
            return AttemptSummary(
                *attempt_repository.count_attempts(connection, actor.owner_id, services, self._bounded(wanted))
            )

    def _bounded(self, wanted: AttemptFilter) -> AttemptFilter:
        """Of the last 30 days, where no time is given: nobody means all there ever were."""
        return wanted if wanted.since is not None else replace(wanted, since=self._clock() - DEFAULT_SPAN)

    def _services(self, connection: Connection, actor: Actor, service_id: str | None) -> dict[str, str]:
        """The ids of the owner's services, or of the one that is asked for, by the digests of their sessions."""
        return {
            self._digest_session(actor.owner_id, service.session): service.service_id
            for service in list_services(connection, actor.owner_id)
            if service_id in (None, service.service_id)
        }
