"""Which events of a verification are not recorded yet: a send and a check only mark their row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

ARE_DUE = sa.text("events_due > 0")


def upgrade() -> None:
    op.add_column("verifications", sa.Column("events_due", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_verifications_events_due",
        "verifications",
        ["verification_id"],
        sqlite_where=ARE_DUE,
        postgresql_where=ARE_DUE,
    )


def downgrade() -> None:
    op.drop_index("ix_verifications_events_due", "verifications")
    op.drop_column("verifications", "events_due")
