"""Codes that somebody else made and a call has said: the calls without the codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
HAS_DIGEST = sa.text("code_digest IS NOT NULL")
IS_REPORTED = sa.text("approved IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "spoken_codes",
        sa.Column("spoken_id", sa.String(36), nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("token_id", sa.String(36)),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("phone_as_given", sa.String(16)),
        sa.Column("country", sa.String(3), nullable=False),
        sa.Column("locale", sa.String(35)),
        sa.Column("reference", sa.String(64)),
        sa.Column("code_digest", sa.String(64)),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("approved", sa.Boolean),
        sa.Column("reported_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("spoken_id", name=op.f("pk_spoken_codes")),
        sa.CheckConstraint("(approved IS NULL) = (reported_at IS NULL)", name=op.f("ck_spoken_codes_reported_at")),
    )
    op.create_index("ix_spoken_codes_phone", "spoken_codes", ["phone", "user_id", "created_at"])
    op.create_index("ix_spoken_codes_call_id", "spoken_codes", ["call_id"])
    op.create_index(
        "ix_spoken_codes_digest", "spoken_codes", ["created_at"], sqlite_where=HAS_DIGEST, postgresql_where=HAS_DIGEST
    )
    op.create_index(
        "ix_spoken_codes_reported",
        "spoken_codes",
        ["user_id", "created_at"],
        sqlite_where=IS_REPORTED,
        postgresql_where=IS_REPORTED,
    )


def downgrade() -> None:
    op.drop_table("spoken_codes")
