"""A call that waits has no entry in the indexes of what it gets later: each would be a page more to write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = ("ended_at", "provider_call_id")


def upgrade() -> None:
    for column in COLUMNS:
        is_known = sa.text(f"{column} IS NOT NULL")
        op.drop_index(f"ix_calls_{column}", "calls")
        op.create_index(f"ix_calls_{column}", "calls", [column], sqlite_where=is_known, postgresql_where=is_known)


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_index(f"ix_calls_{column}", "calls")
        op.create_index(f"ix_calls_{column}", "calls", [column])
