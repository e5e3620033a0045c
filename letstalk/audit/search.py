"""Reads the audit trail, within what the one who asks may see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from letstalk.audit import repository as events
from letstalk.audit.models import AuditEntry, AuditEvent, AuditFilter, AuditPage, RefusalCount, describe, name_actor
from letstalk.audit.repository import EventQuery
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind, check_owner_id
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.core.ids import canonical_id
from letstalk.core.ip_addresses import read_address
from letstalk.core.name_keys import name_key
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.core.scopes import Scope
from letstalk.core.search import Hit
from letstalk.db.database import Database
from letstalk.http.timestamps import exact_time

MAX_PAGE = 100
MAX_EXPORTED = 50_000  # lines of one download
EXPORT_BATCH = 500
MAX_TEXT_LENGTH = 254  # of an e-mail address
REFUSALS_FOR = timedelta(days=14)
TOKEN_PREFIX = "lt_"


class AuditSearch:
    """Finds entries: an admin all of them, others those about what belongs to the owners that they can see.

    An API token that is no admin's also sees nothing about tokens with a scope that it lacks, as in the list of tokens.
    """

    def __init__(self, db: Database, trail: AuditTrail, clock: Clock) -> None:
        self._db = db
        self._trail = trail
        self._clock = clock

    def list_entries(
        self, actor: Actor, wanted: AuditFilter, *, limit: int = 50, cursor: str | None = None
    ) -> AuditPage:
        """The entries that `actor` may see, newest first. Raises InvalidRequest for a wrong filter, limit or cursor."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest.in_field("limit", f"limit must be 1 to {MAX_PAGE}.")
        before = None if cursor is None else decode_cursor(cursor)
        check_filter(wanted)
        self._trail.flush()
        found = self._find(actor, wanted, limit + 1, before)
        page, next_cursor = cut_page(found, limit, lambda entry: encode_cursor(entry.event.at, entry.event.event_id))
        return AuditPage(tuple(page), next_cursor)

    def export(self, actor: Actor, wanted: AuditFilter) -> Iterator[AuditEntry]:
        """The newest MAX_EXPORTED of the entries that `actor` may see, read in batches while they are consumed.

        Raises InvalidRequest for a wrong filter, at the first entry.
        """
        check_filter(wanted)
        self._trail.flush()
        before: tuple[datetime, str] | None = None
        for _ in range(MAX_EXPORTED // EXPORT_BATCH):
            batch = self._find(actor, wanted, EXPORT_BATCH, before)
            yield from batch
            if len(batch) < EXPORT_BATCH:
                return
            before = batch[-1].event.at, batch[-1].event.event_id

    def count_refusals(self, token_id: str) -> list[RefusalCount]:
        """How often the token was refused in the last 14 days, by reason. The caller has checked who may see it."""
        self._trail.flush()
        with self._db.read() as connection:
            return events.count_refusals(connection, token_id, self._clock() - REFUSALS_FOR)

    def _find(
        self, actor: Actor, wanted: AuditFilter, limit: int, before: tuple[datetime, str] | None
    ) -> list[AuditEntry]:
        with self._db.read() as connection:
            query = _query_of(connection, actor, wanted)
            found = [] if query is None else events.list_events(connection, query, limit=limit, before=before)
            seen = [_as_seen_by(actor, event) for event in found]
            token_ids = {id_ for event in seen for id_ in (event.token_id, event.actor_token_id) if id_}
            account_ids = {id_ for event in seen for id_ in (event.account_id, event.actor_account_id) if id_}
            names = events.get_names(connection, token_ids, account_ids)
        return [AuditEntry(event, name_actor(event, names), describe(event, names)) for event in seen]


def find_request(search: AuditSearch, actor: Actor, text: str) -> Sequence[Hit]:
    """What is on record of the request with that id, for the dashboard's search."""
    request_id = canonical_id(text)
    if request_id is None or not actor.holds(Scope.TOKENS_READ):
        return ()
    found = search.list_entries(actor, AuditFilter(request_id=request_id), limit=1).entries
    path = f"/dashboard/audit?request_id={request_id}"
    return [Hit("Request", entry.sentence, exact_time(entry.event.at), path) for entry in found]


def check_filter(wanted: AuditFilter) -> None:
    """Raises InvalidRequest for a value that nothing could have, with every field that has one."""
    wrong = FieldErrors()
    for field in ("action", "actor", "token", "account"):
        text = getattr(wanted, field)
        if text is not None and (len(text) > MAX_TEXT_LENGTH or not text.isprintable()):
            wrong.add(field, f"{field} must have at most {MAX_TEXT_LENGTH} printable characters.")
    if wanted.owner_id is not None:
        with wrong.collected():
            check_owner_id(wanted.owner_id)
    if wanted.address is not None and read_address(wanted.address) is None:
        wrong.add("address", "address must be an IP address.")
    if wanted.request_id is not None and canonical_id(wanted.request_id) is None:
        wrong.add("request_id", "request_id must be a UUID, as the header X-Request-Id has it.")
    wrong.raise_found()


def public_start(text: str) -> str:
    """`text` without the secret, if it is a whole token: its prefix."""
    return "_".join(text.split("_")[:2]) if text.startswith(TOKEN_PREFIX) else text


def _query_of(connection: Connection, actor: Actor, wanted: AuditFilter) -> EventQuery | None:
    """The query for `wanted`; None if nothing can match, such as the name of nobody."""
    owner_ids = actor.visible_owners
    if wanted.owner_id is not None:
        if not actor.reaches(wanted.owner_id):
            return None
        owner_ids = frozenset({wanted.owner_id})
    query = EventQuery(
        owner_ids=owner_ids,
        without_scopes=actor.hidden_scopes,
        since=wanted.since,
        until=wanted.until,
        action=wanted.action,
    )
    if wanted.request_id is not None:
        query = replace(query, request_id=canonical_id(wanted.request_id))
    if wanted.address is not None:
        query = replace(query, address=str(read_address(wanted.address)))
    if wanted.token is not None:
        token_id = canonical_id(wanted.token) or _find_token_id(connection, wanted.token)
        if token_id is None:
            return None
        query = replace(query, token_id=token_id)
    if wanted.account is not None:
        account_id = canonical_id(wanted.account) or events.find_account_id(connection, name_key(wanted.account))
        if account_id is None:
            return None
        query = replace(query, account_id=account_id)
    return query if wanted.actor is None else _by_actor(connection, query, wanted.actor)


def _by_actor(connection: Connection, query: EventQuery, actor: str) -> EventQuery | None:
    if actor in set(ActorKind) - {ActorKind.TOKEN, ActorKind.PERSON}:
        return replace(query, actor_kind=actor)
    found = canonical_id(actor)
    token_id = _find_token_id(connection, actor) if found is None else found
    if token_id is not None and events.has_token(connection, token_id):
        return replace(query, actor_token_id=token_id)
    account_id = found or events.find_account_id(connection, name_key(actor))
    return None if account_id is None else replace(query, actor_account_id=account_id)


def _find_token_id(connection: Connection, text: str) -> str | None:
    is_prefix = text.startswith(TOKEN_PREFIX)
    return events.find_token_id(connection, public_start(text).removeprefix(TOKEN_PREFIX)) if is_prefix else None


def _as_seen_by(actor: Actor, event: AuditEvent) -> AuditEvent:
    """The event without the token or the owner with which somebody else acted, unless `actor` can see that owner."""
    if event.actor_owner_id is None or actor.reaches(event.actor_owner_id):
        return event
    return replace(event, actor_owner_id=None, actor_token_id=None)
