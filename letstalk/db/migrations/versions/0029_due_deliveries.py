"""An index to find the first due deliveries of each endpoint, however many wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

WAITS = sa.text("next_attempt_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_webhook_deliveries_endpoint_id_due",
        "webhook_deliveries",
        ["endpoint_id", "next_attempt_at"],
        sqlite_where=WAITS,
        postgresql_where=WAITS,
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_endpoint_id_due", "webhook_deliveries")
