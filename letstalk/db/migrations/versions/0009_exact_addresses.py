"""E-mail addresses are compared by exact keys: only the case of ASCII letters and the way to write a domain differ.

The password that somebody gave who registered is dropped: the link in the mail leads to choosing one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from letstalk.core.name_keys import name_key

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


PASSWORD_COLUMNS = ("password_sealed", "password_changed_at")
ACCOUNTS = sa.table(
    "accounts", *map(sa.column, ("account_id", "email", "email_key", "state", "created_at", *PASSWORD_COLUMNS))
)
OLD_PASSWORDS = sa.table("password_history", sa.column("account_id"))


def upgrade() -> None:
    set_exact_keys(op.get_bind())
    drop_unproven_passwords()


def downgrade() -> None:
    """The keys stay: those of ASCII addresses are the same, and no two accounts have the same key."""


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
