"""The table of audit events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Connection, Index, String, Table, Text, select

from letstalk.audit.models import REFUSED, AuditEvent, Names, RefusalCount, TokenName
from letstalk.db.database import delete_oldest
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import insert_into

audit_events = Table(
    "audit_events",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor_kind", String(32)),
    Column("actor_user_id", String(128), key="actor_owner_id"),
    Column("actor_token_id", String(36)),
    # No foreign key: an event outlives its token.
    Column("token_id", String(36)),
    Column("actor_account_id", String(36)),
    Column("account_id", String(36)),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("detail", Text, nullable=False),
    Column("user_id", String(128), key="owner_id"),
    CheckConstraint("length(action) BETWEEN 1 AND 64", name="action_length"),
    CheckConstraint("detail LIKE '{%}'", name="detail_object"),
    # One for each filter, in the order of the list: the newest of any of them are found without a sort.
    Index(None, "at", "event_id"),
    Index(None, "action", "at", "event_id"),
)

for _name in ("owner_id", "token_id", "account_id", "actor_token_id", "actor_account_id", "address", "request_id"):
    _column = audit_events.c[_name]
    partial_index(
        f"ix_audit_events_{_column.name}_at",
        f"{_column.name} IS NOT NULL",
        _column,
        audit_events.c.at,
        audit_events.c.event_id,
    )
_BUILT_IN = "actor_token_id IS NULL AND actor_account_id IS NULL AND actor_kind IS NOT NULL"
partial_index(
    "ix_audit_events_actor_kind_at", _BUILT_IN, audit_events.c.actor_kind, audit_events.c.at, audit_events.c.event_id
)

# Of tables that other packages own, what names a token and an account, and what hides a token.
_tokens = sa.table("tokens", *map(sa.column, ("token_id", "lookup_id", "name", "scopes")))
_accounts = sa.table("accounts", *map(sa.column, ("account_id", "username", "email", "username_key", "email_key")))
_FIELDS = tuple(column.key for column in audit_events.c)
# The columns that a query compares with one value.
_EQUAL = (
    *("action", "token_id", "account_id", "actor_token_id", "actor_account_id", "actor_kind", "address"),
    "request_id",
)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list; None is all. `owner_ids` are those that may be seen.

    `without_scopes` leaves out events about tokens that have any of these names. `actor_kind` finds only actors that
    are neither a token nor a person.
    """

    owner_ids: frozenset[str] | None = None
    without_scopes: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    token_id: str | None = None
    account_id: str | None = None
    actor_token_id: str | None = None
    actor_account_id: str | None = None
    actor_kind: str | None = None
    address: str | None = None
    request_id: str | None = None


def insert_events(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Write `events`, at least one. Skips those that exist: a commit whose result was lost is repeated."""
    connection.execute(
        insert_into(audit_events, connection.dialect.name).on_conflict_do_nothing(index_elements=["event_id"]),
        [{**asdict(event), "detail": json.dumps(event.detail)} for event in events],
    )


def put_counts(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Write `events`, at least one, or replace the `detail` of those that exist."""
    statement = insert_into(audit_events, connection.dialect.name)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["event_id"], set_={"detail": statement.excluded.detail}),
        [{**asdict(event), "detail": json.dumps(event.detail)} for event in events],
    )


def list_events(
    connection: Connection, wanted: EventQuery, *, limit: int = 100, before: tuple[datetime, str] | None = None
) -> list[AuditEvent]:
    """At most `limit` events, newest first, that come after `before` (at, event_id) in that order."""
    if wanted.owner_ids is None:
        return _list_of(connection, _select(wanted, limit, before))
    # One list for each owner, each in the order of its index: together they would have to be sorted whole.
    query = _select(wanted, limit, before)
    found = [
        event
        for owner_id in sorted(wanted.owner_ids)
        for event in _list_of(connection, query.where(audit_events.c.owner_id == owner_id))
    ]
    return sorted(found, key=lambda event: (event.at, event.event_id), reverse=True)[:limit]


def count_refusals(connection: Connection, token_id: str, since: datetime) -> list[RefusalCount]:
    """How often the token was refused since then, by reason, the most frequent first."""
    table = audit_events.c
    if connection.dialect.name == "sqlite":
        code, count = (sa.func.json_extract(table.detail, path) for path in ("$.code", "$.count"))
    else:
        code, count = (sa.func.json_extract_path_text(sa.cast(table.detail, sa.JSON), key) for key in ("code", "count"))
    total = sa.func.sum(sa.cast(count, sa.BigInteger))
    query = (
        select(code.label("code"), total.label("total"), sa.func.max(table.at, type_=UtcDateTime).label("last_at"))
        .where(table.token_id == token_id, table.at >= since, table.action == REFUSED)
        .group_by(code)
        .order_by(total.desc(), code)
    )
    return [RefusalCount(str(row.code), int(row.total), row.last_at) for row in connection.execute(query)]


def get_names(connection: Connection, token_ids: Iterable[str], account_ids: Iterable[str]) -> Names:
    """The names of those tokens and accounts that exist."""
    of_tokens = select(_tokens.c.token_id, _tokens.c.name, _tokens.c.lookup_id)
    name = sa.func.coalesce(_accounts.c.username, _accounts.c.email).label("called")
    of_accounts = select(_accounts.c.account_id, name)
    tokens = connection.execute(of_tokens.where(_tokens.c.token_id.in_(list(token_ids))))
    accounts = connection.execute(of_accounts.where(_accounts.c.account_id.in_(list(account_ids))))
    return Names(
        {row.token_id: TokenName(row.name, f"lt_{row.lookup_id}") for row in tokens},
        {row.account_id: row.called for row in accounts},
    )


def find_token_id(connection: Connection, lookup_id: str) -> str | None:
    """The token whose prefix has this lookup id."""
    query = select(_tokens.c.token_id).where(_tokens.c.lookup_id == lookup_id)
    return connection.execute(query).scalar_one_or_none()


def find_account_id(connection: Connection, name_key: str) -> str | None:
    """The account whose username or e-mail address has this key (`core.name_keys`)."""
    for column in (_accounts.c.username_key, _accounts.c.email_key):
        found = connection.execute(select(_accounts.c.account_id).where(column == name_key)).scalar()
        if found is not None:
            return str(found)
    return None


def has_token(connection: Connection, token_id: str) -> bool:
    query = select(_tokens.c.token_id).where(_tokens.c.token_id == token_id)
    return connection.execute(query).first() is not None


def erase_events(connection: Connection, before: datetime) -> int:
    """Delete some of the events before `before`, oldest first. Returns how many it deleted."""
    return delete_oldest(connection, audit_events.c.at, before)


def _select(wanted: EventQuery, limit: int, before: tuple[datetime, str] | None) -> sa.Select[Any]:
    table = audit_events.c
    query = select(audit_events).order_by(table.at.desc(), table.event_id.desc()).limit(limit)
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table[name] == value)
    if wanted.actor_kind is not None:
        query = query.where(table.actor_token_id.is_(None), table.actor_account_id.is_(None))
    if wanted.since is not None:
        query = query.where(table.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.at < wanted.until)
    if wanted.without_scopes:
        named = sa.or_(*(_tokens.c.scopes.like(f"%{json.dumps(name)}%") for name in wanted.without_scopes))
        query = query.where(~sa.exists().where(_tokens.c.token_id == table.token_id, named))
    if before is not None:
        at, event_id = before
        place = sa.tuple_(sa.bindparam("before_at", at, UtcDateTime), sa.bindparam("before_id", event_id, String))
        query = query.where(sa.tuple_(table.at, table.event_id) < place)
    return query


def _list_of(connection: Connection, query: sa.Select[Any]) -> list[AuditEvent]:
    rows = (dict(zip(_FIELDS, row, strict=True)) for row in connection.execute(query))
    return [AuditEvent(**{**row, "detail": json.loads(row["detail"])}) for row in rows]
