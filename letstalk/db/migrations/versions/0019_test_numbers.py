"""Test numbers: phones of an owner with a fixed code, to which no call is placed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
HAS_END = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "test_numbers",
        sa.Column("test_number_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("phone_as_given", sa.String(16)),
        sa.Column("code_sealed", sa.Text, nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("test_number_id", name=op.f("pk_test_numbers")),
        sa.CheckConstraint("expires_at IS NULL OR expires_at > created_at", name=op.f("ck_test_numbers_expires_at")),
    )
    op.create_index(
        "ix_test_numbers_expires_at", "test_numbers", ["expires_at"], sqlite_where=HAS_END, postgresql_where=HAS_END
    )
    op.create_index("uq_test_numbers_user_id_phone", "test_numbers", ["user_id", "phone"], unique=True)


def downgrade() -> None:
    op.drop_table("test_numbers")
