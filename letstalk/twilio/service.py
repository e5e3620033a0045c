"""Twilio's services: making, showing, changing and deleting those of an owner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, NotFound
from letstalk.core.ids import new_id
from letstalk.core.pagination import cut_page, decode_id_cursor
from letstalk.db.database import Database
from letstalk.twilio import repository
from letstalk.twilio.models import MAX_SERVICES, Sid, VerifyService, check_code_length, check_friendly_name
from letstalk.verifications.models import DEFAULT_CODE_LENGTH


@dataclass(frozen=True, slots=True)
class ServiceChanges:
    """The fields to change. None leaves a field as it is."""

    friendly_name: str | None = None
    code_length: int | None = None
    custom_code_enabled: bool | None = None

    def applied_to(self, service: VerifyService) -> VerifyService:
        """Raises InvalidRequest."""
        if self.friendly_name is not None:
            service = replace(service, friendly_name=check_friendly_name(self.friendly_name))
        if self.code_length is not None:
            service = replace(service, code_length=check_code_length(self.code_length))
        if self.custom_code_enabled is not None:
            service = replace(service, custom_code_enabled=self.custom_code_enabled)
        return service


class ServiceDirectory:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock

    def create_service(self, actor: Actor, friendly_name: str, changes: ServiceChanges) -> VerifyService:
        """A new service with `changes` to what is usual. Raises InvalidRequest, and Conflict for one too many."""
        with self._db.write() as connection:
            now = self._clock()
            name = check_friendly_name(friendly_name)
            usual = VerifyService(new_id(now), actor.owner_id, name, DEFAULT_CODE_LENGTH, False, now, now)
            service = changes.applied_to(usual)
            self._db.lock(connection, "twilio services", actor.owner_id)
            if repository.count_services(connection, actor.owner_id) >= MAX_SERVICES:
                raise Conflict(f"An owner can have {MAX_SERVICES} services at most.")
            repository.insert_row(connection, repository.twilio_services, service)
            self._record(connection, actor, "verify_service.created", service)
        return service

    def list_services(self, actor: Actor, *, limit: int, cursor: str | None) -> tuple[list[VerifyService], str | None]:
        """The owner's services, newest first, and the cursor of the next page. Raises InvalidRequest."""
        after = decode_id_cursor(cursor)
        with self._db.read() as connection:
            found = repository.list_services(connection, actor.owner_id, after=after, limit=limit + 1)
        return cut_page(found, limit, lambda service: service.service_id)

    def get_service(self, actor: Actor, sid: str) -> VerifyService:
        """Raises NotFound, also for a service of another owner."""
        with self._db.read() as connection:
            return find_service(connection, actor, sid)

    def update_service(self, actor: Actor, sid: str, changes: ServiceChanges) -> VerifyService:
        """Raises NotFound, InvalidRequest."""
        with self._db.write() as connection:
            self._db.lock(connection, "twilio services", actor.owner_id)
            old = find_service(connection, actor, sid)
            new = changes.applied_to(old)
            if new != old:
                new = replace(new, updated_at=self._clock())
                repository.update_row(connection, repository.twilio_services, new)
                self._record(connection, actor, "verify_service.updated", new)
        return new

    def delete_service(self, actor: Actor, sid: str) -> None:
        """Delete it with its rate limits. Codes that were sent by it can't be checked any more. Raises NotFound."""
        with self._db.write() as connection:
            self._db.lock(connection, "twilio services", actor.owner_id)
            service = find_service(connection, actor, sid)
            repository.delete_service(connection, service.service_id)
            self._record(connection, actor, "verify_service.deleted", service)

    def _record(self, connection: Connection, actor: Actor, action: str, service: VerifyService) -> None:
        detail = {
            "service_sid": Sid.SERVICE.of(service.service_id),
            "friendly_name": service.friendly_name,
            "code_length": service.code_length,
            "custom_code_enabled": service.custom_code_enabled,
        }
        self._audit.record(connection, actor, action, owner_id=service.owner_id, detail=detail)


def find_service(connection: Connection, actor: Actor, sid: str) -> VerifyService:
    service_id = Sid.SERVICE.read(sid)
    found = None if service_id is None else repository.find_service(connection, actor.owner_id, service_id)
    if found is None:
        raise NotFound("There is no such service.")
    return found
