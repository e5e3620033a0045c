"""A call that waits has no entry in the indexes of what it gets later: each would be a page more to write. Those that
were placed and are over have an index of their own, for how long calls take.
"""

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
    is_finished = sa.text("duration_seconds IS NOT NULL")
    op.create_index("ix_calls_finished", "calls", ["ended_at"], sqlite_where=is_finished, postgresql_where=is_finished)


def downgrade() -> None:
    op.drop_index("ix_calls_finished", "calls")
    for column in COLUMNS:
        op.drop_index(f"ix_calls_{column}", "calls")
        op.create_index(f"ix_calls_{column}", "calls", [column])
