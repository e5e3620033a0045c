"""Connections: making, changing and watching them. Each has calls placed for its owner only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.connect import repository
from letstalk.connect.kinds import KINDS
from letstalk.connect.kinds.base import Kind
from letstalk.connect.models import (
    DEFAULT_RATE_LIMIT,
    DELIVERIES_KEPT_FOR,
    MAX_CONNECTIONS,
    DeliveryWithCall,
    Pointers,
    SystemConnection,
    check_name,
    check_pointer,
    check_rate_limit,
    check_region,
    new_address_key,
)
from letstalk.core.actors import Actor, check_owner_id
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, InvalidRequest, NotFound
from letstalk.core.ids import canonical_id, new_id
from letstalk.core.pagination import cut_page, decode_id_cursor
from letstalk.core.unset import UNSET, Unset
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, delete_in_batches
from letstalk.db.rotating_secrets import replace_secret, seal_secret
from letstalk.telephony.speech.languages import choose_language


@dataclass(frozen=True, slots=True)
class NewConnection:
    """A connection to be made. Without a `secret`, one is made, unless the other system makes it (None then)."""

    kind: str
    name: str | None = None
    secret: str | None = field(default=None, repr=False)
    default_region: str | None = None
    locale: str | None = None
    rate_limit: str | None = None
    message_types: tuple[str, ...] | None = None
    pointers: Pointers | None = None


@dataclass(frozen=True, slots=True)
class ConnectionChanges:
    """The fields to change. None clears one, or brings its default back."""

    name: str | Unset | None = UNSET
    default_region: str | Unset | None = UNSET
    locale: str | Unset | None = UNSET
    rate_limit: str | Unset | None = UNSET
    message_types: tuple[str, ...] | Unset | None = UNSET
    pointers: Pointers | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class IssuedConnection:
    """A connection with its secret as the other system wants it, which is shown once. None: the other makes it."""

    connection: SystemConnection
    secret: str | None = field(repr=False)


class ConnectionService:
    def __init__(self, db: Database, vault: Vault, clock: Clock, audit: AuditTrail, public_url: str | None) -> None:
        """`public_url` is where this service is reached; None where that is not known."""
        self._db = db
        self._vault = vault
        self._clock = clock
        self._audit = audit
        self._public_url = public_url

    def url_of(self, connection: SystemConnection, base: str = "") -> str:
        """The address that the other system calls: below PUBLIC_URL, and without that below `base`."""
        return (self._public_url or base).rstrip("/") + connection.path

    def create_connection(self, actor: Actor, wanted: NewConnection) -> IssuedConnection:
        """A new connection of the actor's owner. Raises InvalidRequest, and Conflict `too_many_connections`."""
        kind, owner_id = find_kind(wanted.kind), check_owner_id(actor.owner_id)
        secret = _choose_secret(kind, wanted.secret)
        with self._db.write() as db:
            now = self._clock()
            self._db.lock(db, "connections", owner_id)
            if repository.count_connections(db, owner_id) >= MAX_CONNECTIONS:
                raise Conflict(f"An owner can have {MAX_CONNECTIONS} connections at most.", code="too_many_connections")
            connection = SystemConnection(
                connection_id=new_id(now),
                owner_id=owner_id,
                kind=kind.name,
                name=check_name(wanted.name),
                address_key=new_address_key(),
                secret_sealed=None if secret is None else seal_secret(self._vault, secret),
                old_secret_sealed=None,
                old_secret_until=None,
                default_region=_check_region(kind, wanted.default_region),
                locale=_check_locale(wanted.locale),
                rate_limit=check_rate_limit(wanted.rate_limit or DEFAULT_RATE_LIMIT),
                message_types=_check_types(kind, wanted.message_types),
                pointers=_check_pointers(kind, wanted.pointers),
                created_at=now,
            )
            repository.insert_connection(db, connection)
            self._record(db, actor, "connection.created", connection)
        return IssuedConnection(connection, None if secret is None else kind.scheme.show_secret(secret))

    def list_connections(
        self, actor: Actor, *, limit: int, cursor: str | None
    ) -> tuple[list[SystemConnection], str | None]:
        """The connections of the actor's owner, newest first, and the cursor of the next page."""
        after = decode_id_cursor(cursor)
        with self._db.read() as db:
            found = repository.list_connections(db, frozenset({actor.owner_id}), after=after, limit=limit + 1)
        return cut_page(found, limit, lambda connection: connection.connection_id)

    def list_reached(self, owner_ids: frozenset[str] | None) -> list[SystemConnection]:
        """The newest connections of these owners (None: of all), for a person who may see several owners."""
        with self._db.read() as db:
            return repository.list_connections(db, owner_ids, limit=MAX_CONNECTIONS * 4)

    def list_failing(self, owner_ids: frozenset[str] | None, *, limit: int) -> list[SystemConnection]:
        """The newest connections of these owners (None: of all) that fail."""
        with self._db.read() as db:
            return repository.list_failing(db, owner_ids, limit=limit)

    def get_connection(self, actor: Actor, connection_id: str) -> SystemConnection:
        """Raises NotFound, also for one of another owner."""
        with self._db.read() as db:
            return self._find(db, actor, connection_id)

    def update_connection(self, actor: Actor, connection_id: str, changes: ConnectionChanges) -> SystemConnection:
        """Raises NotFound, InvalidRequest."""
        with self._db.write() as db:
            old = self._find(db, actor, connection_id, for_update=True)
            connection = replace(old, **_changed(find_kind(old.kind), changes))
            if connection != old:
                repository.update_connection(db, connection)
                self._record(db, actor, "connection.updated", connection)
        return connection

    def rotate_secret(
        self, actor: Actor, connection_id: str, grace_seconds: int, secret: str | None = None
    ) -> IssuedConnection:
        """A new secret, or the one that the other system made. The old one counts until the grace period ends.

        Raises NotFound, and InvalidRequest, also where the other system makes the secret and none is given.
        """
        with self._db.write() as db:
            old = self._find(db, actor, connection_id, for_update=True)
            kind = find_kind(old.kind)
            new = _choose_secret(kind, secret)
            if new is None:
                raise InvalidRequest.in_field("secret", f"Give the secret that {kind.title} has made.")
            fields = replace_secret(self._vault, old, new, grace_seconds, self._clock())
            connection = replace(old, **fields)
            repository.update_connection(db, connection)
            self._record(db, actor, "connection.rotated", connection)
        return IssuedConnection(connection, kind.scheme.show_secret(new))

    def delete_connection(self, actor: Actor, connection_id: str) -> None:
        """Delete a connection with the record of its deliveries. Raises NotFound."""
        with self._db.write() as db:
            connection = self._find(db, actor, connection_id, for_update=True)
            repository.delete_connection(db, connection.connection_id)
            self._record(db, actor, "connection.deleted", connection)

    def list_deliveries(
        self, actor: Actor, connection_id: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[DeliveryWithCall], str | None]:
        """What a connection received, newest first, and the cursor of the next page. Raises NotFound."""
        after = decode_id_cursor(cursor)
        with self._db.read() as db:
            connection = self._find(db, actor, connection_id)
            found = repository.list_deliveries(db, connection.connection_id, after=after, limit=limit + 1)
        return cut_page(found, limit, lambda received: received.delivery.delivery_id)

    def forget_old(self) -> None:
        """Every minute: delete the deliveries that are older than 30 days, and refused ones beyond the newest 100."""
        before = self._clock() - DELIVERIES_KEPT_FOR
        delete_in_batches(self._db, lambda db: repository.delete_old_deliveries(db, before))
        delete_in_batches(self._db, repository.delete_surplus_refusals)

    def _find(self, db: Connection, actor: Actor, connection_id: str, *, for_update: bool = False) -> SystemConnection:
        known_id = canonical_id(connection_id)
        found = None
        if known_id is not None:
            found = repository.find_connection(db, known_id, for_update=for_update)
        if found is None or not actor.reaches(found.owner_id):
            raise NotFound("There is no such connection.")
        return found

    def _record(self, db: Connection, actor: Actor, action: str, connection: SystemConnection) -> None:
        detail = {"connection_id": connection.connection_id, "kind": connection.kind, "name": connection.name}
        self._audit.record(db, actor, action, owner_id=connection.owner_id, detail=detail)


def find_kind(name: str) -> Kind:
    """Raises InvalidRequest for a kind that there is not."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidRequest.in_field("kind", f"kind must be one of {', '.join(KINDS)}.")
    return kind


def _choose_secret(kind: Kind, given: str | None) -> str | None:
    """The given secret as it is kept, else a new one; None where the other system makes it."""
    if given is not None:
        return kind.scheme.read_secret(given)
    return None if kind.scheme.made_by_other else kind.scheme.new_secret()


def _changed(kind: Kind, changes: ConnectionChanges) -> dict[str, Any]:
    """The new values of the fields that change. Raises InvalidRequest."""
    changed: dict[str, Any] = {}
    if not isinstance(changes.name, Unset):
        changed["name"] = check_name(changes.name)
    if not isinstance(changes.default_region, Unset):
        changed["default_region"] = _check_region(kind, changes.default_region)
    if not isinstance(changes.locale, Unset):
        changed["locale"] = _check_locale(changes.locale)
    if not isinstance(changes.rate_limit, Unset):
        changed["rate_limit"] = check_rate_limit(changes.rate_limit or DEFAULT_RATE_LIMIT)
    if not isinstance(changes.message_types, Unset):
        changed["message_types"] = _check_types(kind, changes.message_types)
    if not isinstance(changes.pointers, Unset):
        changed["pointers"] = _check_pointers(kind, changes.pointers)
    return changed


def _check_region(kind: Kind, region: str | None) -> str | None:
    if region is not None and kind.is_international:
        raise InvalidRequest.in_field("default_region", f"{kind.title} always sends international numbers.")
    return check_region(region)


def _check_locale(locale: str | None) -> str | None:
    if locale is not None:
        choose_language(locale, None, may_fall_back=False)
    return locale


def _check_types(kind: Kind, types: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Raises InvalidRequest for a type that the kind's messages do not have."""
    if types is None:
        return kind.message_types[:1] or None
    if not kind.message_types:
        raise InvalidRequest.in_field("message_types", f"message_types is not for {kind.title}.")
    if not types or not set(types) <= set(kind.message_types):
        sentence = f"message_types must be some of {', '.join(kind.message_types)}."
        raise InvalidRequest.in_field("message_types", sentence)
    return tuple(name for name in kind.message_types if name in types)


def _check_pointers(kind: Kind, pointers: Pointers | None) -> Pointers | None:
    if not kind.has_pointers:
        if pointers is not None:
            raise InvalidRequest.in_field("pointers", f"pointers are not for {kind.title}: it always sends the same.")
        return None
    chosen = pointers or Pointers()
    check_pointer("pointers.phone", chosen.phone)
    check_pointer("pointers.code", chosen.code)
    if chosen.locale is not None:
        check_pointer("pointers.locale", chosen.locale)
    return chosen
