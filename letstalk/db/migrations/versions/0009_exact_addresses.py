"""E-mail addresses are compared by exact keys: only the case of ASCII letters and the way to write a domain differ.

When an address was proven is a fact of its own, which disabling and enabling the account does not change. The password
that somebody gave who registered is dropped: the link in the mail leads to choosing one.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from letstalk.core.name_keys import name_key

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
PASSWORD_COLUMNS = ("password_sealed", "password_changed_at")
COLUMNS = ("account_id", "email", "email_key", "email_verified_at", "state", "created_at", *PASSWORD_COLUMNS)
ACCOUNTS = sa.table("accounts", *map(sa.column, COLUMNS))
OLD_PASSWORDS = sa.table("password_history", sa.column("account_id"))
EVENTS = sa.table("audit_events", *map(sa.column, ("account_id", "action", "detail")))


def upgrade() -> None:
    op.add_column("accounts", sa.Column("email_verified_at", MOMENT))
    note_proven_addresses(op.get_bind())
    set_exact_keys(op.get_bind())
    drop_unproven_passwords()


def downgrade() -> None:
    """The keys stay: those of ASCII addresses are the same, and no two accounts have the same key."""
    op.drop_column("accounts", "email_verified_at")


def note_proven_addresses(connection: sa.Connection) -> None:
    """Active accounts count as proven, except those that the audit trail knows as registered and never verified: they
    were disabled and enabled, which made them active. Disabled ones count as proven if the audit trail says so.
    """
    is_about = (EVENTS.c.account_id == ACCOUNTS.c.account_id) & ACCOUNTS.c.state.in_(("active", "disabled"))
    is_wanted = EVENTS.c.action.in_(("account.created", "account.activated"))
    statement = sa.select(EVENTS.c.account_id, EVENTS.c.action, EVENTS.c.detail).where(is_about & is_wanted)
    proven: set[str] = set()
    unproven: set[str] = set()
    for account_id, action, detail in connection.execute(statement):
        is_proof = action == "account.activated" or json.loads(detail).get("state") in ("active", "disabled")
        (proven if is_proof else unproven).add(account_id)
    is_active = ACCOUNTS.c.state == "active"
    set_verified = sa.update(ACCOUNTS).values(email_verified_at=ACCOUNTS.c.created_at)
    connection.execute(set_verified.where(is_active))
    set_unverified = sa.update(ACCOUNTS).values(email_verified_at=None, state="unverified")
    for account_id in unproven - proven:
        connection.execute(set_unverified.where(is_active & (ACCOUNTS.c.account_id == account_id)))
    for account_id in proven:
        connection.execute(set_verified.where(ACCOUNTS.c.account_id == account_id))


def drop_unproven_passwords() -> None:
    is_unproven = ACCOUNTS.c.state == "unverified"
    unproven = sa.select(ACCOUNTS.c.account_id).where(is_unproven)
    op.execute(sa.delete(OLD_PASSWORDS).where(OLD_PASSWORDS.c.account_id.in_(unproven)))
    op.execute(sa.update(ACCOUNTS).where(is_unproven).values(dict.fromkeys(PASSWORD_COLUMNS)))


def set_exact_keys(connection: sa.Connection) -> None:
    """Of two accounts with one address, in Unicode and in A-labels, the active and older one keeps it. The other is
    found by its username and id only, until an admin changes its address.
    """
    is_active_first = sa.case((ACCOUNTS.c.state == "active", 0), else_=1)
    statement = sa.select(ACCOUNTS.c.account_id, ACCOUNTS.c.email, ACCOUNTS.c.email_key)
    rows = connection.execute(statement.order_by(is_active_first, ACCOUNTS.c.created_at, ACCOUNTS.c.account_id)).all()
    owners: dict[str, str] = {}
    for row in rows:
        owners.setdefault(name_key(row.email), row.account_id)
    kept = {account_id: key for key, account_id in owners.items()}
    changed = [row.account_id for row in rows if kept.get(row.account_id) != row.email_key]
    # First to keys that no name has, because a new key may be the former one of another account.
    for keys in ({account_id: f"{account_id} has no address" for account_id in changed}, kept):
        for account_id in changed:
            if account_id in keys:
                is_it = ACCOUNTS.c.account_id == account_id
                connection.execute(sa.update(ACCOUNTS).where(is_it).values(email_key=keys[account_id]))
