"""The sessions of accounts and the refresh tokens that renew them. Secrets are stored as hashes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    exists,
    insert,
    select,
    true,
    update,
)

from letstalk.accounts.models import Account, AccountSession, AccountState, SessionKind
from letstalk.accounts.repository import account_grants, accounts, to_account
from letstalk.db.schema import UtcDateTime, metadata

account_sessions = Table(
    "account_sessions",
    metadata,
    Column("session_id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("method", String(20), nullable=False),
    # SHA-256 of a browser's cookie; an API session is identified by its access and refresh tokens.
    Column("secret_hash", LargeBinary(32)),
    # Access tokens contain it; increasing it makes the existing ones invalid.
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("end_reason", String(30)),
    Column("address", String(64), nullable=False),
    # The address, or its /64, under which requests are counted.
    Column("subscriber", String(64), nullable=False),
    Column("user_agent", String(300), nullable=False),
    UniqueConstraint("secret_hash"),
    CheckConstraint("kind IN ('api', 'browser')", name="kind"),
    CheckConstraint("(kind = 'browser') = (secret_hash IS NOT NULL)", name="secret_hash"),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_reason"),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    CheckConstraint("epoch >= 0", name="epoch"),
    Index(None, "account_id", "created_at"),
    Index(None, "account_id", "subscriber"),
    Index(None, "expires_at"),
    Index(None, "ended_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("session_id", String(36), ForeignKey("account_sessions.session_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("spent_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "session_id"),
    Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class RefreshRow:
    session_id: str
    expires_at: datetime
    spent_at: datetime | None


_LISTED = tuple(column for column in account_sessions.c if column.name not in ("secret_hash", "subscriber"))
# One statement for the session, its account and the grants: one row for each grant, or one row without any.
_WITH_ACCOUNT = select(
    *(column.label(f"session_{column.name}") for column in _LISTED),
    *(column for column in accounts.c if column.name not in ("username_key", "email_key", "password_sealed")),
    accounts.c.password_sealed.is_not(None).label("has_password"),
    account_grants.c.user_id.label("granted"),
).select_from(
    account_sessions.join(accounts, accounts.c.account_id == account_sessions.c.account_id).outerjoin(
        account_grants, account_grants.c.account_id == accounts.c.account_id
    )
)
_LIVE: ColumnElement[bool] = (
    account_sessions.c.ended_at.is_(None)
    & (account_sessions.c.expires_at > bindparam("now", type_=UtcDateTime))
    & (accounts.c.state == AccountState.ACTIVE.value)
)
_LIVE_BY_ID = _WITH_ACCOUNT.where(account_sessions.c.session_id == bindparam("session_id"), _LIVE)
_LIVE_BY_SECRET = _WITH_ACCOUNT.where(account_sessions.c.secret_hash == bindparam("secret_hash"), _LIVE)


def insert_session(connection: Connection, row: AccountSession, *, subscriber: str, secret_hash: bytes | None) -> None:
    values = {column.name: getattr(row, column.name) for column in _LISTED}
    connection.execute(insert(account_sessions).values(**values, subscriber=subscriber, secret_hash=secret_hash))


def find_live(connection: Connection, session_id: str, now: datetime) -> tuple[AccountSession, Account] | None:
    """The session and its account, if it has neither ended nor expired and the account is active."""
    return _with_account(connection.execute(_LIVE_BY_ID, {"session_id": session_id, "now": now}).all())


def find_live_by_secret(
    connection: Connection, secret_hash: bytes, now: datetime
) -> tuple[AccountSession, Account] | None:
    """The same for a browser's cookie."""
    return _with_account(connection.execute(_LIVE_BY_SECRET, {"secret_hash": secret_hash, "now": now}).all())


def list_live_sessions(connection: Connection, account_id: str, now: datetime) -> list[AccountSession]:
    """The sessions of an account that have neither ended nor expired, newest first."""
    statement = select(*_LISTED).where(
        account_sessions.c.account_id == account_id,
        account_sessions.c.ended_at.is_(None),
        account_sessions.c.expires_at > now,
    )
    return [_to_session(row) for row in connection.execute(statement.order_by(account_sessions.c.created_at.desc()))]


def end_sessions(
    connection: Connection,
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
    statement = update(account_sessions).where(live).values(ended_at=now, end_reason=reason)
    return list(connection.execute(statement.returning(account_sessions.c.session_id)).scalars())


def invalidate_access_tokens(connection: Connection, account_id: str) -> None:
    """Make the access tokens of an account's sessions invalid, while the sessions continue."""
    connection.execute(
        update(account_sessions)
        .where(account_sessions.c.account_id == account_id, account_sessions.c.ended_at.is_(None))
        .values(epoch=account_sessions.c.epoch + 1)
    )


def extend_session(connection: Connection, session_id: str, now: datetime, expires_at: datetime) -> None:
    connection.execute(
        update(account_sessions)
        .where(account_sessions.c.session_id == session_id)
        .values(last_seen_at=now, expires_at=expires_at)
    )


def note_seen(connection: Connection, session_id: str, now: datetime) -> None:
    connection.execute(
        update(account_sessions).where(account_sessions.c.session_id == session_id).values(last_seen_at=now)
    )


def has_signed_in_from(connection: Connection, account_id: str, subscriber: str) -> bool:
    """Whether a stored session of the account was started from there."""
    table = account_sessions.c
    found = exists().where(table.account_id == account_id, table.subscriber == subscriber)
    return bool(connection.execute(select(true()).where(found)).scalar())


def insert_refresh_token(
    connection: Connection, token_hash: bytes, session_id: str, now: datetime, expires_at: datetime
) -> None:
    connection.execute(
        insert(refresh_tokens).values(
            token_hash=token_hash, session_id=session_id, created_at=now, expires_at=expires_at
        )
    )


def find_refresh_token(connection: Connection, token_hash: bytes) -> RefreshRow | None:
    table = refresh_tokens.c
    row = connection.execute(
        select(table.session_id, table.expires_at, table.spent_at).where(table.token_hash == token_hash)
    ).one_or_none()
    return None if row is None else RefreshRow(row.session_id, row.expires_at, row.spent_at)


def spend_refresh_token(connection: Connection, token_hash: bytes, now: datetime) -> bool:
    """Whether this call spent the token. Of many concurrent calls, one returns True."""
    unspent = (refresh_tokens.c.token_hash == token_hash) & refresh_tokens.c.spent_at.is_(None)
    return connection.execute(update(refresh_tokens).where(unspent).values(spent_at=now)).rowcount == 1


def spend_all_refresh_tokens(connection: Connection, session_id: str, now: datetime) -> None:
    unspent = (refresh_tokens.c.session_id == session_id) & refresh_tokens.c.spent_at.is_(None)
    connection.execute(update(refresh_tokens).where(unspent).values(spent_at=now))


def _with_account(rows: Sequence[Any]) -> tuple[AccountSession, Account] | None:
    if not rows:
        return None
    first = rows[0]
    granted = sorted(row.granted for row in rows if row.granted is not None)
    return _to_session(first, prefix="session_"), to_account(first, granted)


def _to_session(row: Any, prefix: str = "") -> AccountSession:
    values = {column.name: getattr(row, prefix + column.name) for column in _LISTED}
    return AccountSession(**{**values, "kind": SessionKind(values["kind"])})
