"""A phone of an account counts once it is proven, and a sign-in that waits ends when the credentials change.

Proven are the phones of people who are called at each sign-in and have signed in. The others wait to be proven.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ACCOUNTS = sa.table(
    "accounts",
    *(sa.column(name) for name in ("phone", "pending_phone", "last_signed_in_at")),
    sa.column("second_factor", sa.Boolean),
)
IS_PROVEN = ACCOUNTS.c.second_factor & ACCOUNTS.c.last_signed_in_at.is_not(None)


def upgrade() -> None:
    op.add_column("accounts", sa.Column("pending_phone", sa.String(16)))
    for table in ("accounts", "second_factor_challenges"):
        op.add_column(table, sa.Column("credentials_epoch", sa.Integer, nullable=False, server_default="0"))
    op.create_index(op.f("ix_accounts_pending_phone"), "accounts", ["pending_phone"])
    op.execute(
        sa.update(ACCOUNTS)
        .where(ACCOUNTS.c.phone.is_not(None), ~IS_PROVEN)
        .values(pending_phone=ACCOUNTS.c.phone, phone=None, second_factor=False)
    )


def downgrade() -> None:
    op.execute(sa.update(ACCOUNTS).where(ACCOUNTS.c.phone.is_(None)).values(phone=ACCOUNTS.c.pending_phone))
    op.drop_index(op.f("ix_accounts_pending_phone"), "accounts")
    for table in ("accounts", "second_factor_challenges"):
        op.drop_column(table, "credentials_epoch")
    op.drop_column("accounts", "pending_phone")
