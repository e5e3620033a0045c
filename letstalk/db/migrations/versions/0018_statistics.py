"""Counts of verifications by hour and by day. They are filled in from the verifications that there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "statistics",
        sa.Column("period", sa.String(4), primary_key=True),
        sa.Column("user_id", sa.String(128), primary_key=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("token_id", sa.String(36), primary_key=True),
        sa.Column("figures", sa.Text, nullable=False),
        sa.CheckConstraint("period IN ('hour', 'day')", name=op.f("ck_statistics_period")),
        sa.PrimaryKeyConstraint("period", "user_id", "starts_at", "token_id", name=op.f("pk_statistics")),
    )
    op.create_index(op.f("ix_statistics_period_starts_at"), "statistics", ["period", "starts_at"])


def downgrade() -> None:
    op.drop_table("statistics")
