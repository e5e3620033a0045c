"""The sessions of accounts and the refresh tokens that renew them. Secrets are stored as hashes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.accounts.models import Account, AccountSession, AccountState, SessionKind
from letstalk.accounts.repository import ACCOUNT_COLUMNS, account_grants, accounts, to_account
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata, partial_index

SEEN_AGAIN_SECONDS = 300

account_sessions = sa.Table(
    "account_sessions",
    metadata,
    sa.Column("session_id", sa.String(36), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("method", sa.String(20), nullable=False),
    # SHA-256 of a browser's cookie; an API session is identified by its access and refresh tokens.
    sa.Column("secret_hash", sa.LargeBinary(32)),
    # Access tokens contain it; increasing it makes the existing ones invalid.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("end_reason", sa.String(30)),
    sa.Column("address", sa.String(64), nullable=False),
    # The address, or its /64, under which requests are counted.
    sa.Column("subscriber", sa.String(64), nullable=False),
    sa.Column("user_agent", sa.String(300), nullable=False),
    sa.UniqueConstraint("secret_hash"),
    sa.CheckConstraint("kind IN ('api', 'browser')", name="kind"),
    sa.CheckConstraint("(kind = 'browser') = (secret_hash IS NOT NULL)", name="secret_hash"),
    sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_reason"),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.CheckConstraint("epoch >= 0", name="epoch"),
    sa.Index(None, "account_id", "created_at"),
    sa.Index(None, "account_id", "subscriber"),
    sa.Index(None, "expires_at"),
    sa.Index(None, "ended_at"),
)

refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column(
        "session_id", sa.String(36), sa.ForeignKey("account_sessions.session_id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("spent_at", UtcDateTime),
    # Random. The next token comes of it together with the token itself, which is not stored.
    sa.Column("successor_salt", sa.LargeBinary(32)),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.Index(None, "session_id"),
    sa.Index(None, "expires_at"),
)
partial_index("ix_refresh_tokens_salted", "successor_salt IS NOT NULL", refresh_tokens.c.spent_at)


@dataclass(frozen=True, slots=True)
class RefreshRow:
    session_id: str
    expires_at: datetime
    spent_at: datetime | None
    successor_salt: bytes | None


_LISTED = tuple(column for column in account_sessions.c if column.name not in ("secret_hash", "subscriber"))
# One statement for the session, its account and the grants: one row for each grant, or one row without any.
_WITH_ACCOUNT = sa.select(
    *(column.label(f"session_{column.name}") for column in _LISTED),
    *ACCOUNT_COLUMNS,
    account_grants.c.owner_id.label("granted"),
).select_from(
    account_sessions.join(accounts, accounts.c.account_id == account_sessions.c.account_id).outerjoin(
        account_grants, account_grants.c.account_id == accounts.c.account_id
    )
)
_LIVE: sa.ColumnElement[bool] = (
    account_sessions.c.ended_at.is_(None)
    & (account_sessions.c.expires_at > sa.bindparam("now", type_=UtcDateTime))
    & (accounts.c.state == AccountState.ACTIVE.value)
)
_LIVE_BY_ID = _WITH_ACCOUNT.where(account_sessions.c.session_id == sa.bindparam("session_id"), _LIVE)
_LIVE_BY_SECRET = _WITH_ACCOUNT.where(account_sessions.c.secret_hash == sa.bindparam("secret_hash"), _LIVE)


def insert_session(
    connection: sa.Connection, row: AccountSession, *, subscriber: str, secret_hash: bytes | None
) -> None:
    values = {column.name: getattr(row, column.name) for column in _LISTED}
    connection.execute(sa.insert(account_sessions).values(**values, subscriber=subscriber, secret_hash=secret_hash))


def find_live(connection: sa.Connection, session_id: str, now: datetime) -> tuple[AccountSession, Account] | None:
    """The session and its account, if it has neither ended nor expired and the account is active."""
    return _with_account(connection.execute(_LIVE_BY_ID, {"session_id": session_id, "now": now}).all())


def find_live_by_secret(
    connection: sa.Connection, secret_hash: bytes, now: datetime
) -> tuple[AccountSession, Account] | None:
    """The same for a browser's cookie."""
    return _with_account(connection.execute(_LIVE_BY_SECRET, {"secret_hash": secret_hash, "now": now}).all())


def list_live_sessions(
    connection: sa.Connection,
    account_id: str,
    now: datetime,
    *,
    limit: int | None = None,
    offset: int = 0,
    before: tuple[datetime, str] | None = None,
) -> list[AccountSession]:
    """The sessions of an account that have neither ended nor expired, newest first: `limit` of them after `offset`, or
    after the one with the time and the id of `before`.
    """
    table = account_sessions.c
    statement = sa.select(*_LISTED).where(
        table.account_id == account_id, table.ended_at.is_(None), table.expires_at > now
    )
    if before is not None:
        moment, session_id = before
        statement = statement.where(
            (table.created_at < moment) | ((table.created_at == moment) & (table.session_id < session_id))
        )
    statement = statement.order_by(table.created_at.desc(), table.session_id.desc()).limit(limit).offset(offset)
    return [_to_session(row) for row in connection.execute(statement)]


def end_sessions(
    connection: sa.Connection,
    account_id: str,
    reason: str,
    now: datetime,
    *,
    session_id: str | None = None,
    keep: str | None = None,
) -> list[str]:
    """End the sessions of an account, or only `session_id`, except `keep`. Returns the ids of those that were live."""
    live = account_sessions.c.ended_at.is_(None) & (account_sessions.c.account_id == account_id)
    if session_id is not None:
        live &= account_sessions.c.session_id == session_id
    if keep is not None:
        live &= account_sessions.c.session_id != keep
    statement = sa.update(account_sessions).where(live).values(ended_at=now, end_reason=reason)
    return list(connection.execute(statement.returning(account_sessions.c.session_id)).scalars())


def invalidate_access_tokens(connection: sa.Connection, account_id: str) -> None:
    """Make the access tokens of an account's sessions invalid, while the sessions continue."""
    live = (account_sessions.c.account_id == account_id) & account_sessions.c.ended_at.is_(None)
    connection.execute(sa.update(account_sessions).where(live).values(epoch=account_sessions.c.epoch + 1))


def extend_session(connection: sa.Connection, session_id: str, now: datetime, expires_at: datetime) -> None:
    _set_columns(connection, session_id, last_seen_at=now, expires_at=expires_at)


def note_seen(db: Database, row: AccountSession, now: datetime) -> None:
    """Write the time of this request, at most once in five minutes."""
    if (now - row.last_seen_at).total_seconds() > SEEN_AGAIN_SECONDS:
        with db.write() as connection:
            _set_columns(connection, row.session_id, last_seen_at=now)


def has_signed_in_from(connection: sa.Connection, account_id: str, subscriber: str) -> bool:
    """Whether a stored session of the account was started from there since the password was last set."""
    table = account_sessions.c
    is_recent = (accounts.c.account_id == table.account_id) & (table.created_at >= accounts.c.password_changed_at)
    found = sa.exists().where(table.account_id == account_id, table.subscriber == subscriber, is_recent)
    return bool(connection.execute(sa.select(sa.true()).where(found)).scalar())


def insert_refresh_token(
    connection: sa.Connection, token_hash: bytes, session_id: str, now: datetime, expires_at: datetime
) -> None:
    values = {"token_hash": token_hash, "session_id": session_id, "created_at": now, "expires_at": expires_at}
    connection.execute(sa.insert(refresh_tokens).values(**values))


def find_refresh_token(connection: sa.Connection, token_hash: bytes) -> RefreshRow | None:
    table = refresh_tokens.c
    statement = sa.select(*(table[each.name] for each in fields(RefreshRow))).where(table.token_hash == token_hash)
    row = connection.execute(statement).one_or_none()
    return None if row is None else RefreshRow(*row)


def spend_refresh_token(connection: sa.Connection, token_hash: bytes, now: datetime, successor_salt: bytes) -> bool:
    """Whether this call spent the token. Of many concurrent calls, one returns True."""
    unspent = (refresh_tokens.c.token_hash == token_hash) & refresh_tokens.c.spent_at.is_(None)
    statement = sa.update(refresh_tokens).where(unspent).values(spent_at=now, successor_salt=successor_salt)
    return connection.execute(statement).rowcount == 1


def erase_successor_salts(connection: sa.Connection, spent_before: datetime) -> int:
    """Returns how many there were."""
    table = refresh_tokens.c
    old = table.successor_salt.is_not(None) & (table.spent_at < spent_before)
    return connection.execute(sa.update(refresh_tokens).where(old).values(successor_salt=None)).rowcount


def spend_all_refresh_tokens(connection: sa.Connection, session_id: str, now: datetime) -> None:
    unspent = (refresh_tokens.c.session_id == session_id) & refresh_tokens.c.spent_at.is_(None)
    connection.execute(sa.update(refresh_tokens).where(unspent).values(spent_at=now))


def _with_account(rows: Sequence[Any]) -> tuple[AccountSession, Account] | None:
    if not rows:
        return None
    granted = sorted(row.granted for row in rows if row.granted is not None)
    return _to_session(rows[0], "session_"), to_account(rows[0], granted)


def _to_session(row: Any, prefix: str = "") -> AccountSession:
    values = {column.name: getattr(row, prefix + column.name) for column in _LISTED}
    return AccountSession(**{**values, "kind": SessionKind(values["kind"])})


def _set_columns(connection: sa.Connection, session_id: str, **values: datetime) -> None:
    statement = sa.update(account_sessions).where(account_sessions.c.session_id == session_id)
    connection.execute(statement.values(**values))
