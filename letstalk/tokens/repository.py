"""The table of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.core.actors import CustomMessage
from letstalk.core.scopes import Scope
from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.tokens.models import Token

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_id", sa.String(36), primary_key=True),
    sa.Column("lookup_id", sa.String(12), nullable=False),
    # Fernet of the token's SHA-256: without the keys, a copy of the database can't even be used to check a guess.
    sa.Column("secret_hash_encrypted", sa.Text, nullable=False, info=sealed_as("tokens")),
    sa.Column("user_id", sa.String(128), key="owner_id", nullable=False),
    sa.Column("name", sa.String(100)),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("allowed_ips", sa.Text, nullable=False),
    sa.Column("rate_limit", sa.String(100)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("last_used", UtcDateTime),
    sa.Column("requests_total", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("successor_id", sa.String(36), sa.ForeignKey("tokens.token_id")),
    sa.Column("custom_message", sa.String(10)),
    # No foreign key: SQLite adds none to a table without making it anew, and no token is deleted.
    sa.Column("parent_id", sa.String(36)),
    sa.Column("bucket_id", sa.String(36)),
    # Neither for this: an account can be deleted, and its tokens tell who made them.
    sa.Column("created_by", sa.String(36)),
    sa.UniqueConstraint("lookup_id"),
    # A token replaces at most one other, so its predecessors are a list and not a tree.
    sa.UniqueConstraint("successor_id"),
    sa.CheckConstraint("length(lookup_id) = 12", name="lookup_id_length"),
    sa.CheckConstraint("length(user_id) BETWEEN 1 AND 128", name="user_id_length"),
    sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name="name_length"),
    sa.CheckConstraint("scopes LIKE '[\"%\"]'", name="scopes_list"),
    sa.CheckConstraint("allowed_ips LIKE '[%]'", name="allowed_ips_list"),
    sa.CheckConstraint("expires_at >= created_at", name="expires_after_creation"),
    sa.CheckConstraint("requests_total >= 0", name="requests_total_not_negative"),
    sa.CheckConstraint("successor_id <> token_id", name="successor_is_another"),
    sa.Index(None, "created_at", "token_id"),
    sa.Index(None, "owner_id", "created_at", "token_id"),
)

partial_index("ix_tokens_parent_id", "parent_id IS NOT NULL", tokens.c.parent_id)
partial_index("ix_tokens_expires_at", "expires_at IS NOT NULL", tokens.c.expires_at)
partial_index("ix_tokens_created_by", "created_by IS NOT NULL", tokens.c.created_by)

# Of the accounts' table, which the package of that name owns, only what says whether a token is suspended and by whom
# it was made. Read with each token, so that no order of two requests leaves a token of a disabled account in force.
_makers = sa.table(
    "accounts", sa.column("account_id"), sa.column("state"), sa.column("username"), sa.column("email")
).alias("makers")

_IS_SUSPENDED = _makers.c.state == "disabled"
_RECORD = tuple(column for column in tokens.c if column.name != "secret_hash_encrypted")
_TOKEN = sa.select(
    *_RECORD,
    sa.func.coalesce(_makers.c.username, _makers.c.email).label("maker_name"),
    sa.func.coalesce(_IS_SUSPENDED, sa.false()).label("is_suspended"),
).select_from(tokens.outerjoin(_makers, _makers.c.account_id == tokens.c.created_by))
_BY_LOOKUP = _TOKEN.add_columns(tokens.c.secret_hash_encrypted).where(tokens.c.lookup_id == sa.bindparam("lookup_id"))


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens to list: those of `owner_ids`, or of all owners if it is None.

    `live_at` excludes tokens that are revoked or have expired by then, and `without_scopes` those with any of these
    names. `search` is a text in the name, the owner_id or the lookup id. `created_by` is an account. `never_used_since`
    finds tokens that were created before that and never used, or last used before `unused_since`; `expires_by` those
    that expire until then. `is_suspended` finds those whose maker's account is disabled.
    """

    owner_ids: frozenset[str] | None = None
    live_at: datetime | None = None
    without_scopes: tuple[str, ...] = ()
    search: str | None = None
    created_by: str | None = None
    never_used_since: datetime | None = None
    unused_since: datetime | None = None
    expires_by: datetime | None = None
    is_suspended: bool = False


def insert_token(connection: sa.Connection, token: Token, secret_hash_encrypted: str) -> None:
    """Raises IntegrityError if the id or the lookup id is in use."""
    connection.execute(
        tokens.insert().values(
            token_id=token.token_id,
            lookup_id=token.lookup_id,
            secret_hash_encrypted=secret_hash_encrypted,
            owner_id=token.owner_id,
            created_at=token.created_at,
            parent_id=token.parent_id,
            bucket_id=token.bucket_id,
            created_by=token.created_by,
            **_changeable(token),
        )
    )


def update_token(connection: sa.Connection, token: Token) -> None:
    """Write the fields of `token` that can change, except its counts (`add_requests`)."""
    connection.execute(tokens.update().where(tokens.c.token_id == token.token_id).values(**_changeable(token)))


def get_token(connection: sa.Connection, token_id: str) -> Token | None:
    return _get(connection, tokens.c.token_id == token_id)


def list_by_id(connection: sa.Connection, token_ids: Iterable[str]) -> dict[str, Token]:
    """The tokens with these ids, by id."""
    rows = connection.execute(_TOKEN.where(tokens.c.token_id.in_(list(token_ids))))
    return {row.token_id: to_token(row) for row in rows}


def get_predecessor(connection: sa.Connection, token_id: str) -> Token | None:
    """The token that `token_id` replaced."""
    return _get(connection, tokens.c.successor_id == token_id)


def list_bounds(connection: sa.Connection, token: Token) -> list[Token]:
    """`token`, and those above it whose limits bind it: not an admin's, which may give a higher rate."""
    found = [token]
    while found[-1].parent_id is not None:
        parent = get_token(connection, found[-1].parent_id)
        if parent is None or Scope.ADMIN in parent.granted:
            break
        found.append(parent)
    return found


def list_descendants(connection: sa.Connection, token_id: str) -> list[Token]:
    """The tokens that `token_id`, or one that it replaced, has created, or that replaced it, what came of these, and so
    on.
    """
    replaced = {token_id}
    predecessor = get_predecessor(connection, token_id)
    while predecessor is not None:
        replaced.add(predecessor.token_id)
        predecessor = get_predecessor(connection, predecessor.token_id)
    found: dict[str, Token] = {}
    ids = replaced
    while ids:
        replaced_by = sa.select(tokens.c.successor_id).where(tokens.c.token_id.in_(ids))
        came_of = sa.or_(tokens.c.parent_id.in_(ids), tokens.c.token_id.in_(replaced_by))
        rows = connection.execute(_TOKEN.where(came_of)).all()
        newer = {row.token_id: to_token(row) for row in rows if row.token_id not in replaced | found.keys()}
        found |= newer
        ids = set(newer)
    return list(found.values())


def list_tokens_of_maker(connection: sa.Connection, account_id: str, now: datetime) -> list[Token]:
    """The tokens that the account has created, or a token of its own has, newest first, unless revoked or expired."""
    unexpired = sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    query = _TOKEN.where(tokens.c.created_by == account_id, tokens.c.revoked_at.is_(None), unexpired)
    return [to_token(row) for row in connection.execute(query.order_by(tokens.c.created_at.desc()))]


def move_children(connection: sa.Connection, from_id: str, to_id: str) -> None:
    """Make the tokens that `from_id` created those of `to_id`."""
    connection.execute(tokens.update().where(tokens.c.parent_id == from_id).values(parent_id=to_id))


def find_by_lookup(connection: sa.Connection, lookup_id: str) -> sa.Row[Any] | None:
    """The row with `secret_hash_encrypted`, for `to_token`: the time to convert it here would show that it exists."""
    return connection.execute(_BY_LOOKUP, {"lookup_id": lookup_id}).one_or_none()


def list_tokens(
    connection: sa.Connection, wanted: TokenFilter, *, limit: int, before: tuple[datetime, str] | None
) -> list[Token]:
    """At most `limit` tokens, newest first, that come after `before` (created_at, token_id) in that order."""
    query = _TOKEN.order_by(tokens.c.created_at.desc(), tokens.c.token_id.desc()).limit(limit)
    if wanted.owner_ids is not None:
        query = query.where(tokens.c.owner_id.in_(wanted.owner_ids))
    if wanted.live_at is not None:
        unexpired = sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > wanted.live_at)
        query = query.where(sa.and_(tokens.c.revoked_at.is_(None), unexpired))
    if wanted.created_by is not None:
        query = query.where(tokens.c.created_by == wanted.created_by)
    if wanted.never_used_since is not None:
        was_never = tokens.c.last_used.is_(None) & (tokens.c.created_at < wanted.never_used_since)
        query = query.where(sa.or_(was_never, tokens.c.last_used < wanted.unused_since))
    if wanted.expires_by is not None:
        query = query.where(tokens.c.expires_at <= wanted.expires_by)
    if wanted.is_suspended:
        query = query.where(_IS_SUSPENDED)
    for name in wanted.without_scopes:
        query = query.where(tokens.c.scopes.not_like(f"%{json.dumps(name)}%"))
    if wanted.search:
        columns = (tokens.c.name, tokens.c.owner_id, tokens.c.lookup_id)
        query = query.where(sa.or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if before is not None:
        created_at, token_id = before
        created_before = sa.bindparam("created_before", created_at, UtcDateTime)
        place = sa.tuple_(created_before, sa.bindparam("place_id", token_id, sa.String))
        query = query.where(sa.tuple_(tokens.c.created_at, tokens.c.token_id) < place)
    return [to_token(row) for row in connection.execute(query)]


def list_expiring(
    connection: sa.Connection,
    owner_ids: frozenset[str] | None,
    after: datetime,
    until: datetime,
    *,
    limit: int,
    unless: sa.Exists | None = None,
) -> list[Token]:
    """Tokens in use that expire between two times, the next one first. Those that were rotated are meant to.

    `unless` is a condition on a token that leaves it out.
    """
    in_time = tokens.c.expires_at > after, tokens.c.expires_at <= until
    query = _TOKEN.where(*in_time, tokens.c.revoked_at.is_(None), tokens.c.successor_id.is_(None))
    if owner_ids is not None:
        query = query.where(tokens.c.owner_id.in_(owner_ids))
    if unless is not None:
        query = query.where(~unless)
    return [to_token(row) for row in connection.execute(query.order_by(tokens.c.expires_at).limit(limit))]


def list_suspended(
    connection: sa.Connection, owner_ids: frozenset[str] | None, now: datetime, *, limit: int
) -> list[Token]:
    """The newest tokens of these owners (None: of all) that would work if their maker's account were not disabled."""
    unexpired = sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    query = _TOKEN.where(_IS_SUSPENDED, tokens.c.revoked_at.is_(None), unexpired)
    if owner_ids is not None:
        query = query.where(tokens.c.owner_id.in_(owner_ids))
    return [to_token(row) for row in connection.execute(query.order_by(tokens.c.created_at.desc()).limit(limit))]


def add_requests(connection: sa.Connection, counts: Iterable[tuple[str, int, datetime]]) -> None:
    """Add to the request counts of tokens. `counts` has (token_id, requests, time of the last one) for each."""
    used_at = sa.bindparam("used_at", type_=UtcDateTime)
    is_later = sa.or_(tokens.c.last_used.is_(None), tokens.c.last_used < used_at)
    statement = tokens.update().where(tokens.c.token_id == sa.bindparam("counted_id"))
    statement = statement.values(
        requests_total=tokens.c.requests_total + sa.bindparam("requests", type_=sa.Integer),
        last_used=sa.case((is_later, used_at), else_=tokens.c.last_used),
    )
    rows = [{"counted_id": token_id, "requests": requests, "used_at": last} for token_id, requests, last in counts]
    connection.execute(statement, rows)


def to_token(row: Any) -> Token:
    values = {column.key: getattr(row, column.key) for column in _RECORD}
    lists = {name: tuple(json.loads(values[name])) for name in ("scopes", "allowed_ips")}
    if values["custom_message"] is not None:
        values["custom_message"] = CustomMessage(values["custom_message"])
    derived = {"maker_name": row.maker_name, "is_suspended": bool(row.is_suspended)}
    return Token(**{**values, **lists, **derived})


def _get(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Token | None:
    row = connection.execute(_TOKEN.where(condition)).one_or_none()
    return None if row is None else to_token(row)


def _changeable(token: Token) -> dict[str, Any]:
    names = ("name", "rate_limit", "expires_at", "revoked_at", "successor_id", "custom_message")
    values = {name: getattr(token, name) for name in names}
    return {**values, "scopes": json.dumps(token.scopes), "allowed_ips": json.dumps(token.allowed_ips)}
