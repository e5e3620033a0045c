"""A verification can have a reference: the app's own id for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

HAS_REFERENCE = sa.text("reference IS NOT NULL")


def upgrade() -> None:
    op.add_column("verifications", sa.Column("reference", sa.String(64)))
    op.create_index(
        "ix_verifications_reference",
        "verifications",
        ["user_id", "reference", "created_at"],
        sqlite_where=HAS_REFERENCE,
        postgresql_where=HAS_REFERENCE,
    )


def downgrade() -> None:
    op.drop_index("ix_verifications_reference", "verifications")
    op.drop_column("verifications", "reference")
