"""What the dashboard and the statistics ask of verifications and calls: by which token, to which country, when they
rang, were heard and ended. The indexes by phone serve all owners too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
HAS_TOKEN = sa.text("token_id IS NOT NULL")
HAS_FAILED = sa.text("status NOT IN ('pending', 'approved')")
WAS_NOT_HEARD = sa.text("ended_at IS NOT NULL AND status <> 'completed'")
ADDED = {
    "verifications": (
        sa.Column("token_id", sa.String(36)),
        sa.Column("country", sa.String(3)),
        sa.Column("ended_at", TIMESTAMP),
        sa.Column("is_test", sa.Boolean, nullable=False, server_default=sa.false()),
    ),
    "calls": (sa.Column("rang_at", TIMESTAMP), sa.Column("heard_at", TIMESTAMP)),
    "wrong_codes": (sa.Column("verification_id", sa.String(36)),),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.execute("UPDATE verifications SET ended_at = approved_at WHERE approved_at IS NOT NULL")
    op.execute("UPDATE verifications SET ended_at = expires_at WHERE status = 'expired'")
    op.drop_index("ix_verifications_user_id_phone", "verifications")
    op.create_index("ix_verifications_phone", "verifications", ["phone", "user_id", "created_at"])
    op.create_index("ix_verifications_country", "verifications", ["country", "created_at"])
    op.create_index(
        "ix_verifications_token_id",
        "verifications",
        ["token_id", "created_at"],
        sqlite_where=HAS_TOKEN,
        postgresql_where=HAS_TOKEN,
    )
    op.create_index(
        "ix_verifications_failed",
        "verifications",
        ["status", "created_at"],
        sqlite_where=HAS_FAILED,
        postgresql_where=HAS_FAILED,
    )
    op.create_index(
        "ix_calls_not_heard",
        "calls",
        ["status", "created_at"],
        sqlite_where=WAS_NOT_HEARD,
        postgresql_where=WAS_NOT_HEARD,
    )


def downgrade() -> None:
    op.drop_index("ix_calls_not_heard", "calls")
    for name in ("failed", "token_id", "country", "phone"):
        op.drop_index(f"ix_verifications_{name}", "verifications")
    op.create_index("ix_verifications_user_id_phone", "verifications", ["user_id", "phone", "created_at"])
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)
