"""What a token requested on each day: sends, checks and so on. Days before this migration have their totals only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_endpoint_usage",
        sa.Column("token_id", sa.String(36), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("endpoint", sa.String(16), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token_id", "day", "endpoint", name=op.f("pk_token_endpoint_usage")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["tokens.token_id"], name=op.f("fk_token_endpoint_usage_token_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("requests > 0", name=op.f("ck_token_endpoint_usage_requests_positive")),
    )
    op.create_index("ix_token_endpoint_usage_day", "token_endpoint_usage", ["day"])


def downgrade() -> None:
    op.drop_table("token_endpoint_usage")
