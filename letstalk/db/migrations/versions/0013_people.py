"""For 20 seconds a spent refresh token gives the same successor again; and who has an owner is found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

HAS_SALT = sa.text("successor_salt IS NOT NULL")


def upgrade() -> None:
    op.add_column("refresh_tokens", sa.Column("successor_salt", sa.LargeBinary(32)))
    op.create_index(
        "ix_refresh_tokens_salted", "refresh_tokens", ["spent_at"], sqlite_where=HAS_SALT, postgresql_where=HAS_SALT
    )
    op.create_index("ix_account_grants_user_id", "account_grants", ["user_id"])


def downgrade() -> None:
    op.drop_index("ix_account_grants_user_id", "account_grants")
    op.drop_index("ix_refresh_tokens_salted", "refresh_tokens")
    op.drop_column("refresh_tokens", "successor_salt")
