"""Accounts, the owners granted to them, and their former passwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from letstalk.accounts.models import Account, AccountState, Role, usernames_for
from letstalk.core.actors import DEFAULT_OWNER_ID
from letstalk.core.errors import NotFound
from letstalk.core.name_keys import name_key, similar_keys
from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.tokens.repository import tokens
from letstalk.verifications.repository import verifications

ROLES = "role IN ({})".format(", ".join(f"'{role.value}'" for role in Role))

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account_id", sa.String(36), primary_key=True),
    sa.Column("username", sa.String(64)),
    # Compared by their keys. A domain in A-labels can be longer than as it is written.
    sa.Column("username_key", sa.String(64)),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("email_key", sa.String(1024), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("phone", sa.String(16)),
    sa.Column("pending_phone", sa.String(16)),
    sa.Column("second_factor", sa.Boolean, nullable=False),
    # Fernet over the scrypt hash: without the keys, a copy of the database cannot be used to guess passwords.
    sa.Column("password_sealed", sa.Text, info=sealed_as("passwords")),
    sa.Column("password_changed_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_signed_in_at", UtcDateTime),
    sa.Column("credentials_epoch", sa.Integer, nullable=False, server_default="0"),
    sa.Column("email_verified_at", UtcDateTime),
    sa.UniqueConstraint("username_key"),
    sa.UniqueConstraint("email_key"),
    sa.CheckConstraint(ROLES, name="role"),
    sa.CheckConstraint("state IN ({})".format(", ".join(f"'{state.value}'" for state in AccountState)), name="state"),
    sa.CheckConstraint("length(username) BETWEEN 2 AND 64", name="username_length"),
    sa.CheckConstraint("length(email) BETWEEN 3 AND 254", name="email_length"),
    sa.CheckConstraint("(username IS NULL) = (username_key IS NULL)", name="username_key"),
    sa.CheckConstraint("state IN ('invited', 'disabled') OR username IS NOT NULL", name="username_known"),
    sa.CheckConstraint("(password_sealed IS NULL) = (password_changed_at IS NULL)", name="password_changed_at"),
    sa.CheckConstraint("phone IS NOT NULL OR NOT second_factor", name="second_factor_has_phone"),
    sa.Index(None, "created_at", "account_id"),
    sa.Index(None, "phone"),
    sa.Index(None, "pending_phone"),
)

account_grants = sa.Table(
    "account_grants",
    metadata,
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", primary_key=True),
    sa.CheckConstraint("length(user_id) BETWEEN 1 AND 128", name="user_id_length"),
    sa.Index(None, "owner_id"),
)

password_history = sa.Table(
    "password_history",
    metadata,
    sa.Column("entry_id", sa.String(36), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    sa.Column("password_sealed", sa.Text, nullable=False, info=sealed_as("old passwords")),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id", "created_at"),
)

_NOT_SHOWN = ("username_key", "email_key", "password_sealed", "password_changed_at")
# The columns of an `Account`, except its grants.
ACCOUNT_COLUMNS = (
    *(column for column in accounts.c if column.name not in _NOT_SHOWN),
    accounts.c.password_sealed.is_not(None).label("has_password"),
)
_ACCOUNT = sa.select(*ACCOUNT_COLUMNS)
_GRANTS = sa.select(account_grants.c.account_id, account_grants.c.owner_id).order_by(account_grants.c.owner_id)
_BY_NAME = sa.select(accounts.c.account_id, accounts.c.password_sealed, accounts.c.credentials_epoch).where(
    sa.or_(accounts.c.username_key == sa.bindparam("key"), accounts.c.email_key == sa.bindparam("key"))
)


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """The accounts that a list shows; `search` is a text in the username or the e-mail address."""

    role: Role | None = None
    state: AccountState | None = None
    search: str | None = None


def insert_account(connection: sa.Connection, account: Account, password_sealed: str | None) -> None:
    """With its grants. Raises IntegrityError if the id, the username or the address is taken."""
    connection.execute(
        sa.insert(accounts).values(
            account_id=account.account_id,
            created_at=account.created_at,
            password_sealed=password_sealed,
            password_changed_at=None if password_sealed is None else account.created_at,
            **_changeable(account),
        )
    )
    _insert_grants(connection, account.account_id, account.owner_ids)


def update_account(connection: sa.Connection, account: Account) -> None:
    """Write all but the password and the last sign-in. Raises IntegrityError if the username or address is taken."""
    # An address that does not change keeps its key, which migration 0009 may have left as it was.
    key = sa.case((accounts.c.email == account.email, accounts.c.email_key), else_=name_key(account.email))
    _set_columns(connection, account.account_id, **{**_changeable(account), "email_key": key})
    connection.execute(sa.delete(account_grants).where(account_grants.c.account_id == account.account_id))
    _insert_grants(connection, account.account_id, account.owner_ids)


def get_account(connection: sa.Connection, account_id: str, *, for_update: bool = False) -> Account | None:
    """With `for_update` no other transaction can change it until this one ends."""
    statement = _ACCOUNT.where(accounts.c.account_id == account_id)
    return _one(connection, statement.with_for_update() if for_update else statement)


def lock_account(connection: sa.Connection, account_id: str) -> Account:
    """The account, which no other transaction can change until this one ends. Raises NotFound."""
    account = get_account(connection, account_id, for_update=True)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def find_by_email(connection: sa.Connection, email: str) -> Account | None:
    return _one(connection, _ACCOUNT.where(accounts.c.email_key == name_key(email)))


def has_similar_email(connection: sa.Connection, email: str, *, without: str) -> bool:
    """Whether an account, apart from `without`, has an address that normalisation would make of `email`. One that
    nobody has proven does not count: a stranger must not be able to keep the owner of `email` out.
    """
    keys = similar_keys(email)
    if not keys:
        return False
    is_similar = accounts.c.email_key.in_(keys) & (accounts.c.account_id != without)
    statement = sa.select(accounts.c.account_id).where(is_similar, accounts.c.state != AccountState.UNVERIFIED.value)
    return connection.execute(statement.limit(1)).first() is not None


def find_by_username(connection: sa.Connection, username: str) -> Account | None:
    return _one(connection, _ACCOUNT.where(accounts.c.username_key == name_key(username)))


def find_free_username(connection: sa.Connection, name: str, email: str) -> str:
    """The first of `usernames_for` that no account has."""
    return next(each for each in usernames_for(name, email) if find_by_username(connection, each) is None)


def find_free_owner_id(connection: sa.Connection, name: str, email: str) -> str:
    """The first of `usernames_for` that is no owner yet: of no token, no verification and no account."""

    def is_taken(owner_id: str) -> bool:
        columns = (tokens.c.owner_id, verifications.c.owner_id, account_grants.c.owner_id)
        known = sa.or_(*(sa.exists().where(column == owner_id) for column in columns))
        return owner_id == DEFAULT_OWNER_ID or bool(connection.execute(sa.select(known)).scalar())

    return next(each for each in usernames_for(name, email) if not is_taken(each))


def find_password(connection: sa.Connection, name: str) -> sa.Row[Any, Any, Any] | None:
    """`account_id`, `password_sealed` and `credentials_epoch` of the account with that username or e-mail address.

    A username contains no @ and an address does, so at most one account matches. A row and not an Account, because
    reading more would take time only where the account exists, which could be measured.
    """
    return connection.execute(_BY_NAME, {"key": name_key(name)}).one_or_none()


def get_password(connection: sa.Connection, account_id: str) -> str | None:
    statement = sa.select(accounts.c.password_sealed).where(accounts.c.account_id == account_id)
    sealed: str | None = connection.execute(statement).scalar_one_or_none()
    return sealed


def list_accounts(
    connection: sa.Connection, wanted: AccountFilter, *, limit: int, before: tuple[datetime, str] | None
) -> list[Account]:
    """At most `limit` accounts, newest first, that come after `before` (created_at, account_id)."""
    query = _ACCOUNT.order_by(accounts.c.created_at.desc(), accounts.c.account_id.desc()).limit(limit)
    if wanted.role is not None:
        query = query.where(accounts.c.role == wanted.role.value)
    if wanted.state is not None:
        query = query.where(accounts.c.state == wanted.state.value)
    if wanted.search:
        columns = (accounts.c.username, accounts.c.email)
        query = query.where(sa.or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if before is not None:
        created_at, account_id = before
        place = sa.literal(created_at, UtcDateTime), sa.literal(account_id, sa.String)
        query = query.where(sa.tuple_(accounts.c.created_at, accounts.c.account_id) < sa.tuple_(*place))
    rows = list(connection.execute(query))
    grants: dict[str, list[str]] = {row.account_id: [] for row in rows}
    for account_id, owner_id in connection.execute(_GRANTS.where(account_grants.c.account_id.in_(grants))):
        grants[account_id].append(owner_id)
    return [to_account(row, grants[row.account_id]) for row in rows]


def list_accounts_of_phone(connection: sa.Connection, phone: str) -> list[Account]:
    """The accounts with that phone, proven or pending, oldest first."""
    is_its = sa.or_(accounts.c.phone == phone, accounts.c.pending_phone == phone)
    query = _ACCOUNT.where(is_its).order_by(accounts.c.created_at)
    return [to_account(row, _grants_of(connection, row.account_id)) for row in connection.execute(query).all()]


def list_without_phone(connection: sa.Connection, role: Role) -> list[Account]:
    """The active accounts with `role` that have no proven phone, by username."""
    columns = accounts.c
    is_it = (columns.role == role.value) & (columns.state == AccountState.ACTIVE.value) & columns.phone.is_(None)
    found = connection.execute(_ACCOUNT.where(is_it).order_by(columns.username)).all()
    return [to_account(row, _grants_of(connection, row.account_id)) for row in found]


def list_addresses_of_owner(connection: sa.Connection, owner_id: str) -> list[str]:
    """The confirmed e-mail addresses of those who may manage what an owner has: the granted, or else the admins."""
    is_active = accounts.c.state == AccountState.ACTIVE.value
    granted = sa.select(account_grants.c.account_id).where(account_grants.c.owner_id == owner_id)
    for who in (accounts.c.account_id.in_(granted), accounts.c.role == Role.ADMIN.value):
        found = connection.execute(sa.select(accounts.c.email).where(is_active, who).order_by(accounts.c.email))
        if addresses := list(found.scalars()):
            return addresses
    return []


def forget_phone(connection: sa.Connection, phone: str) -> int:
    """Remove `phone` and with it the second factor from every account that has it. Returns how many there were."""
    found = list_accounts_of_phone(connection, phone)
    proven = {"phone": None, "second_factor": False, "credentials_epoch": accounts.c.credentials_epoch + 1}
    for column, values in ((accounts.c.phone, proven), (accounts.c.pending_phone, {"pending_phone": None})):
        connection.execute(sa.update(accounts).where(column == phone).values(values))
    return len(found)


def has_accounts(connection: sa.Connection) -> bool:
    return connection.execute(sa.select(accounts.c.account_id).limit(1)).first() is not None


def count_active_admins(connection: sa.Connection, *, without: str = "") -> int:
    """How many active admins there are, apart from the account `without`."""
    statement = sa.select(sa.func.count()).where(
        accounts.c.role == Role.ADMIN.value,
        accounts.c.state == AccountState.ACTIVE.value,
        accounts.c.account_id != without,
    )
    return connection.execute(statement).scalar_one()


def replace_password(connection: sa.Connection, account_id: str, sealed: str, now: datetime, *, keep_old: int) -> None:
    """Set the password, and keep the present one and those before it, `keep_old` at most, to compare with later."""
    table, present = password_history, get_password(connection, account_id)
    if present is not None:
        entry = {"entry_id": str(uuid4()), "account_id": account_id, "password_sealed": present, "created_at": now}
        connection.execute(sa.insert(table).values(**entry))
        too_old = [entry_id for entry_id, _ in list_old_passwords(connection, account_id)[keep_old:]]
        connection.execute(sa.delete(table).where(table.c.entry_id.in_(too_old)))
    _set_password(connection, account_id, sealed, now)


def clear_password(connection: sa.Connection, account_id: str) -> None:
    _set_password(connection, account_id, None, None)


def note_sign_in(connection: sa.Connection, account_id: str, now: datetime) -> None:
    _set_columns(connection, account_id, last_signed_in_at=now)


def delete_account(connection: sa.Connection, account_id: str) -> bool:
    """Delete the account and all that refers to it. Returns whether it existed."""
    return connection.execute(sa.delete(accounts).where(accounts.c.account_id == account_id)).rowcount == 1


def list_old_passwords(connection: sa.Connection, account_id: str) -> list[tuple[str, str]]:
    """(entry id, sealed hash) of the former passwords, newest first."""
    statement = (
        sa.select(password_history.c.entry_id, password_history.c.password_sealed)
        .where(password_history.c.account_id == account_id)
        .order_by(password_history.c.created_at.desc(), password_history.c.entry_id)
    )
    return [(row.entry_id, row.password_sealed) for row in connection.execute(statement)]


def to_account(row: Any, owner_ids: Sequence[str]) -> Account:
    values = {column.name: getattr(row, column.name) for column in ACCOUNT_COLUMNS}
    changed = {"role": Role(row.role), "state": AccountState(row.state), "owner_ids": tuple(owner_ids)}
    return Account(**{**values, **changed})


def _set_password(connection: sa.Connection, account_id: str, sealed: str | None, now: datetime | None) -> None:
    epoch = accounts.c.credentials_epoch + 1
    _set_columns(connection, account_id, password_sealed=sealed, password_changed_at=now, credentials_epoch=epoch)


def _set_columns(connection: sa.Connection, account_id: str, **values: Any) -> None:
    connection.execute(sa.update(accounts).where(accounts.c.account_id == account_id).values(**values))


def _one(connection: sa.Connection, statement: Any) -> Account | None:
    row = connection.execute(statement).one_or_none()
    return None if row is None else to_account(row, _grants_of(connection, row.account_id))


def _grants_of(connection: sa.Connection, account_id: str) -> list[str]:
    rows = connection.execute(_GRANTS.where(account_grants.c.account_id == account_id))
    return [row.owner_id for row in rows]


def _insert_grants(connection: sa.Connection, account_id: str, owner_ids: Sequence[str]) -> None:
    if owner_ids:
        rows = [{"account_id": account_id, "owner_id": owner_id} for owner_id in owner_ids]
        connection.execute(sa.insert(account_grants), rows)


def _changeable(account: Account) -> dict[str, Any]:
    return {
        "username": account.username,
        "username_key": None if account.username is None else name_key(account.username),
        "email": account.email,
        "email_key": name_key(account.email),
        "role": account.role.value,
        "state": account.state.value,
        "email_verified_at": account.email_verified_at,
        "phone": account.phone,
        "pending_phone": account.pending_phone,
        "second_factor": account.second_factor,
        "credentials_epoch": account.credentials_epoch,
    }
