"""The table of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    or_,
    select,
    tuple_,
)

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.tokens.models import Token

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(36), primary_key=True),
    Column("lookup_id", String(12), nullable=False),
    # Fernet of the token's SHA-256: without the keys, a copy of the database can't even be used to check a guess.
    Column("secret_hash_encrypted", Text, nullable=False, info=sealed_as("tokens")),
    Column("user_id", String(128), nullable=False),
    Column("name", String(100)),
    Column("scopes", Text, nullable=False),
    Column("allowed_ips", Text, nullable=False),
    Column("rate_limit", String(100)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used", UtcDateTime),
    Column("requests_total", BigInteger, nullable=False, server_default="0"),
    Column("successor_id", String(36), ForeignKey("tokens.token_id")),
    UniqueConstraint("lookup_id"),
    # A token replaces at most one other, so its predecessors are a list and not a tree.
    UniqueConstraint("successor_id"),
    CheckConstraint("length(lookup_id) = 12", name="lookup_id_length"),
    CheckConstraint("length(user_id) BETWEEN 1 AND 128", name="user_id_length"),
    CheckConstraint("length(name) BETWEEN 1 AND 100", name="name_length"),
    CheckConstraint("scopes LIKE '[\"%\"]'", name="scopes_list"),
    CheckConstraint("allowed_ips LIKE '[%]'", name="allowed_ips_list"),
    CheckConstraint("expires_at >= created_at", name="expires_after_creation"),
    CheckConstraint("requests_total >= 0", name="requests_total_not_negative"),
    CheckConstraint("successor_id <> token_id", name="successor_is_another"),
    Index(None, "created_at", "token_id"),
    Index(None, "user_id", "created_at", "token_id"),
)

_RECORD = tuple(column for column in tokens.c if column.name != "secret_hash_encrypted")
_BY_LOOKUP = select(tokens.c.secret_hash_encrypted, *_RECORD).where(tokens.c.lookup_id == bindparam("lookup_id"))


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens to list: those of `user_ids`, or of all owners if it is None.

    `live_at` excludes tokens that are revoked or have expired by then, and `without_scopes` those with any of these
    names. `search` is a text in the name, the user_id or the lookup id.
    """

    user_ids: frozenset[str] | None = None
    live_at: datetime | None = None
    without_scopes: tuple[str, ...] = ()
    search: str | None = None


def insert_token(connection: Connection, token: Token, secret_hash_encrypted: str) -> None:
    """Raises IntegrityError if the id or the lookup id is in use."""
    connection.execute(
        tokens.insert().values(
            token_id=token.token_id,
            lookup_id=token.lookup_id,
            secret_hash_encrypted=secret_hash_encrypted,
            user_id=token.user_id,
            created_at=token.created_at,
            **_changeable(token),
        )
    )


def update_token(connection: Connection, token: Token) -> None:
    """Write the fields of `token` that can change, except its counts (`add_requests`)."""
    connection.execute(tokens.update().where(tokens.c.token_id == token.token_id).values(**_changeable(token)))


def get_token(connection: Connection, token_id: str) -> Token | None:
    row = connection.execute(select(*_RECORD).where(tokens.c.token_id == token_id)).one_or_none()
    return None if row is None else to_token(row)


def get_predecessor(connection: Connection, token_id: str) -> Token | None:
    """The token that `token_id` replaced."""
    row = connection.execute(select(*_RECORD).where(tokens.c.successor_id == token_id)).one_or_none()
    return None if row is None else to_token(row)


def find_by_lookup(connection: Connection, lookup_id: str) -> Row[Any] | None:
    """The row with `secret_hash_encrypted`. `to_token` converts the rest of it.

    It is not converted here, because the time for that would show that the row exists.
    """
    return connection.execute(_BY_LOOKUP, {"lookup_id": lookup_id}).one_or_none()


def list_tokens(
    connection: Connection, wanted: TokenFilter, *, limit: int, before: tuple[datetime, str] | None
) -> list[Token]:
    """At most `limit` tokens, newest first, that come after `before` (created_at, token_id) in that order."""
    query = select(*_RECORD).order_by(tokens.c.created_at.desc(), tokens.c.token_id.desc()).limit(limit)
    if wanted.user_ids is not None:
        query = query.where(tokens.c.user_id.in_(wanted.user_ids))
    if wanted.live_at is not None:
        unexpired = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > wanted.live_at)
        query = query.where(and_(tokens.c.revoked_at.is_(None), unexpired))
    for name in wanted.without_scopes:
        query = query.where(tokens.c.scopes.not_like(f"%{json.dumps(name)}%"))
    if wanted.search:
        columns = (tokens.c.name, tokens.c.user_id, tokens.c.lookup_id)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if before is not None:
        created_at, token_id = before
        place = tuple_(bindparam("created_before", created_at, UtcDateTime), bindparam("place_id", token_id, String))
        query = query.where(tuple_(tokens.c.created_at, tokens.c.token_id) < place)
    return [to_token(row) for row in connection.execute(query)]


def add_requests(connection: Connection, counts: Iterable[tuple[str, int, datetime]]) -> None:
    """Add to the request counts of tokens. `counts` has (token_id, requests, time of the last one) for each."""
    used_at = bindparam("used_at", type_=UtcDateTime)
    is_later = or_(tokens.c.last_used.is_(None), tokens.c.last_used < used_at)
    statement = (
        tokens.update()
        .where(tokens.c.token_id == bindparam("counted_id"))
        .values(
            requests_total=tokens.c.requests_total + bindparam("requests", type_=Integer),
            last_used=case((is_later, used_at), else_=tokens.c.last_used),
        )
    )
    connection.execute(
        statement,
        [{"counted_id": token_id, "requests": requests, "used_at": last} for token_id, requests, last in counts],
    )


def to_token(row: Row[Any]) -> Token:
    return Token(
        token_id=row.token_id,
        lookup_id=row.lookup_id,
        user_id=row.user_id,
        name=row.name,
        scopes=tuple(json.loads(row.scopes)),
        allowed_ips=tuple(json.loads(row.allowed_ips)),
        rate_limit=row.rate_limit,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used=row.last_used,
        requests_total=row.requests_total,
        successor_id=row.successor_id,
    )


def _changeable(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "scopes": json.dumps(token.scopes),
        "allowed_ips": json.dumps(token.allowed_ips),
        "rate_limit": token.rate_limit,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "successor_id": token.successor_id,
    }
