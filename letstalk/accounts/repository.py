"""Accounts, the owners granted to them, and their former passwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from letstalk.accounts.models import Account, AccountState, Role, name_key, usernames_for
from letstalk.core.errors import NotFound
from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata

ROLES = "role IN ({})".format(", ".join(f"'{role.value}'" for role in Role))

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("username", String(64)),
    # Compared by their keys. Folding case can make a text longer.
    Column("username_key", String(64)),
    Column("email", String(254), nullable=False),
    Column("email_key", String(1024), nullable=False),
    Column("role", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("phone", String(16)),
    Column("second_factor", Boolean, nullable=False),
    # Fernet over the scrypt hash: without the keys, a copy of the database cannot be used to guess passwords.
    Column("password_sealed", Text, info=sealed_as("passwords")),
    Column("password_changed_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_signed_in_at", UtcDateTime),
    UniqueConstraint("username_key"),
    UniqueConstraint("email_key"),
    CheckConstraint(ROLES, name="role"),
    CheckConstraint("state IN ({})".format(", ".join(f"'{state.value}'" for state in AccountState)), name="state"),
    CheckConstraint("length(username) BETWEEN 2 AND 64", name="username_length"),
    CheckConstraint("length(email) BETWEEN 3 AND 254", name="email_length"),
    CheckConstraint("(username IS NULL) = (username_key IS NULL)", name="username_key"),
    CheckConstraint("state IN ('invited', 'disabled') OR username IS NOT NULL", name="username_known"),
    CheckConstraint("(password_sealed IS NULL) = (password_changed_at IS NULL)", name="password_changed_at"),
    CheckConstraint("phone IS NOT NULL OR NOT second_factor", name="second_factor_has_phone"),
    Index(None, "created_at", "account_id"),
    Index(None, "phone"),
)

account_grants = Table(
    "account_grants",
    metadata,
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(128), primary_key=True),
    CheckConstraint("length(user_id) BETWEEN 1 AND 128", name="user_id_length"),
)

password_history = Table(
    "password_history",
    metadata,
    Column("entry_id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("password_sealed", Text, nullable=False, info=sealed_as("old passwords")),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "account_id", "created_at"),
)

_KNOWN = tuple(
    column
    for column in accounts.c
    if column.name not in ("username_key", "email_key", "password_sealed", "password_changed_at")
)
_ACCOUNT = select(*_KNOWN, accounts.c.password_sealed.is_not(None).label("has_password"))
_GRANTS = select(account_grants.c.account_id, account_grants.c.user_id).order_by(account_grants.c.user_id)
_BY_NAME = select(accounts.c.account_id, accounts.c.password_sealed).where(
    or_(accounts.c.username_key == bindparam("key"), accounts.c.email_key == bindparam("key"))
)


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """The accounts that a list shows; `search` is a text in the username or the e-mail address."""

    role: Role | None = None
    state: AccountState | None = None
    search: str | None = None


def insert_account(connection: Connection, account: Account, password_sealed: str | None) -> None:
    """With its grants. Raises IntegrityError if the id, the username or the address is taken."""
    connection.execute(
        insert(accounts).values(
            account_id=account.account_id,
            created_at=account.created_at,
            password_sealed=password_sealed,
            password_changed_at=None if password_sealed is None else account.created_at,
            **_changeable(account),
        )
    )
    _insert_grants(connection, account.account_id, account.user_ids)


def update_account(connection: Connection, account: Account) -> None:
    """Write what can change of `account` and its grants, but not its password or its last sign-in.

    Raises IntegrityError if the new username or address is taken.
    """
    _set_columns(connection, account.account_id, **_changeable(account))
    connection.execute(delete(account_grants).where(account_grants.c.account_id == account.account_id))
    _insert_grants(connection, account.account_id, account.user_ids)


def get_account(connection: Connection, account_id: str, *, for_update: bool = False) -> Account | None:
    """With `for_update` no other transaction can change it until this one ends."""
    statement = _ACCOUNT.where(accounts.c.account_id == account_id)
    return _one(connection, statement.with_for_update() if for_update else statement)


def lock_account(connection: Connection, account_id: str) -> Account:
    """The account, which no other transaction can change until this one ends. Raises NotFound."""
    account = get_account(connection, account_id, for_update=True)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def find_by_email(connection: Connection, email: str) -> Account | None:
    return _one(connection, _ACCOUNT.where(accounts.c.email_key == name_key(email)))


def find_by_username(connection: Connection, username: str) -> Account | None:
    return _one(connection, _ACCOUNT.where(accounts.c.username_key == name_key(username)))


def find_free_username(connection: Connection, name: str, email: str) -> str:
    """The first of `usernames_for` that no account has."""
    return next(each for each in usernames_for(name, email) if find_by_username(connection, each) is None)


def find_password(connection: Connection, name: str) -> Row[Any, Any] | None:
    """`account_id` and `password_sealed` of the account with that username or e-mail address.

    A username contains no @ and an address does, so at most one account matches. A row and not an Account, because
    reading more would take time only where the account exists, which could be measured.
    """
    return connection.execute(_BY_NAME, {"key": name_key(name)}).one_or_none()


def get_password(connection: Connection, account_id: str) -> str | None:
    statement = select(accounts.c.password_sealed).where(accounts.c.account_id == account_id)
    sealed: str | None = connection.execute(statement).scalar_one_or_none()
    return sealed


def list_accounts(
    connection: Connection, wanted: AccountFilter, *, limit: int, before: tuple[datetime, str] | None
) -> list[Account]:
    """At most `limit` accounts, newest first, that come after `before` (created_at, account_id)."""
    query = _ACCOUNT.order_by(accounts.c.created_at.desc(), accounts.c.account_id.desc()).limit(limit)
    if wanted.role is not None:
        query = query.where(accounts.c.role == wanted.role.value)
    if wanted.state is not None:
        query = query.where(accounts.c.state == wanted.state.value)
    if wanted.search:
        columns = (accounts.c.username, accounts.c.email)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if before is not None:
        created_at, account_id = before
        place = tuple_(bindparam("created_at", created_at, UtcDateTime), bindparam("place_id", account_id, String))
        query = query.where(tuple_(accounts.c.created_at, accounts.c.account_id) < place)
    rows = list(connection.execute(query))
    grants: dict[str, list[str]] = {row.account_id: [] for row in rows}
    for account_id, user_id in connection.execute(_GRANTS.where(account_grants.c.account_id.in_(grants))):
        grants[account_id].append(user_id)
    return [to_account(row, grants[row.account_id]) for row in rows]


def list_accounts_of_phone(connection: Connection, phone: str) -> list[Account]:
    """The accounts with that phone, oldest first."""
    query = _ACCOUNT.where(accounts.c.phone == phone).order_by(accounts.c.created_at)
    return [to_account(row, _grants_of(connection, row.account_id)) for row in connection.execute(query).all()]


def forget_phone(connection: Connection, phone: str) -> int:
    """Remove `phone` and with it the second factor from every account that has it. Returns how many there were."""
    statement = update(accounts).where(accounts.c.phone == phone).values(phone=None, second_factor=False)
    return connection.execute(statement).rowcount


def has_accounts(connection: Connection) -> bool:
    return connection.execute(select(accounts.c.account_id).limit(1)).first() is not None


def count_active_admins(connection: Connection, *, without: str = "") -> int:
    """How many active admins there are, apart from the account `without`."""
    statement = select(func.count()).where(
        accounts.c.role == Role.ADMIN.value,
        accounts.c.state == AccountState.ACTIVE.value,
        accounts.c.account_id != without,
    )
    return connection.execute(statement).scalar_one()


def replace_password(connection: Connection, account_id: str, sealed: str, now: datetime, *, keep_old: int) -> None:
    """Set the password, and keep the present one and those before it, `keep_old` at most, to compare with later."""
    table, present = password_history, get_password(connection, account_id)
    if present is not None:
        entry = {"entry_id": str(uuid4()), "account_id": account_id, "password_sealed": present, "created_at": now}
        connection.execute(insert(table).values(**entry))
        too_old = [entry_id for entry_id, _ in list_old_passwords(connection, account_id)[keep_old:]]
        connection.execute(delete(table).where(table.c.entry_id.in_(too_old)))
    _set_columns(connection, account_id, password_sealed=sealed, password_changed_at=now)


def clear_password(connection: Connection, account_id: str) -> None:
    """Remove the password: nobody can sign in with one until a new one is set."""
    _set_columns(connection, account_id, password_sealed=None, password_changed_at=None)


def note_sign_in(connection: Connection, account_id: str, now: datetime) -> None:
    _set_columns(connection, account_id, last_signed_in_at=now)


def delete_account(connection: Connection, account_id: str) -> bool:
    """Delete the account and all that refers to it. Returns whether it existed."""
    return connection.execute(delete(accounts).where(accounts.c.account_id == account_id)).rowcount == 1


def list_old_passwords(connection: Connection, account_id: str) -> list[tuple[str, str]]:
    """(entry id, sealed hash) of the former passwords, newest first."""
    statement = (
        select(password_history.c.entry_id, password_history.c.password_sealed)
        .where(password_history.c.account_id == account_id)
        .order_by(password_history.c.created_at.desc(), password_history.c.entry_id)
    )
    return [(row.entry_id, row.password_sealed) for row in connection.execute(statement)]


def to_account(row: Any, user_ids: Sequence[str]) -> Account:
    return Account(
        account_id=row.account_id,
        username=row.username,
        email=row.email,
        role=Role(row.role),
        state=AccountState(row.state),
        phone=row.phone,
        user_ids=tuple(user_ids),
        created_at=row.created_at,
        second_factor=row.second_factor,
        has_password=bool(row.has_password),
        last_signed_in_at=row.last_signed_in_at,
    )


def _set_columns(connection: Connection, account_id: str, **values: Any) -> None:
    connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**values))


def _one(connection: Connection, statement: Any) -> Account | None:
    row = connection.execute(statement).one_or_none()
    return None if row is None else to_account(row, _grants_of(connection, row.account_id))


def _grants_of(connection: Connection, account_id: str) -> list[str]:
    rows = connection.execute(_GRANTS.where(account_grants.c.account_id == account_id))
    return [row.user_id for row in rows]


def _insert_grants(connection: Connection, account_id: str, user_ids: Sequence[str]) -> None:
    if user_ids:
        rows = [{"account_id": account_id, "user_id": user_id} for user_id in user_ids]
        connection.execute(insert(account_grants), rows)


def _changeable(account: Account) -> dict[str, Any]:
    return {
        "username": account.username,
        "username_key": None if account.username is None else name_key(account.username),
        "email": account.email,
        "email_key": name_key(account.email),
        "role": account.role.value,
        "state": account.state.value,
        "phone": account.phone,
        "second_factor": account.second_factor,
    }
