"""Tokens that expire soon are found without reading all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"], sqlite_where=EXPIRES, postgresql_where=EXPIRES)


def downgrade() -> None:
    op.drop_index("ix_tokens_expires_at", "tokens")
