"""Verifications of different sessions of an app stand side by side, and wrong codes count for their session.

Wrong codes are kept for a day, for the bound of a phone over all owners.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

IS_PENDING = sa.text("status = 'pending'")


def create_pending_index(*columns: str) -> None:
    op.drop_index("uq_verifications_pending", "verifications")
    op.create_index(
        "uq_verifications_pending",
        "verifications",
        list(columns),
        unique=True,
        sqlite_where=IS_PENDING,
        postgresql_where=IS_PENDING,
    )


def upgrade() -> None:
    # A server that is still of the version before writes neither column.
    op.add_column("verifications", sa.Column("session_digest", sa.String(32), nullable=False, server_default=""))
    op.add_column("wrong_codes", sa.Column("session_digest", sa.String(32), server_default=""))
    create_pending_index("user_id", "phone", "session_digest")
    op.drop_index("ix_wrong_codes_user_id_phone", "wrong_codes")
    op.create_index("ix_wrong_codes_session", "wrong_codes", ["user_id", "phone", "session_digest", "judged_at"])
    op.create_index("ix_wrong_codes_phone", "wrong_codes", ["phone", "judged_at"])
    op.create_index("ix_wrong_codes_judged_at", "wrong_codes", ["judged_at"])


def downgrade() -> None:
    """Before: one pending verification for an owner and phone. The newest stays pending, the others are superseded."""
    op.execute(
        "UPDATE verifications SET status = 'superseded', speech_sealed = NULL WHERE status = 'pending' AND EXISTS ("
        "SELECT 1 FROM verifications AS newer WHERE newer.user_id = verifications.user_id "
        "AND newer.phone = verifications.phone AND newer.status = 'pending' "
        "AND (newer.created_at, newer.verification_id) > (verifications.created_at, verifications.verification_id))"
    )
    op.execute("DELETE FROM wrong_codes WHERE session_digest IS NULL")
    for name in ("session", "phone", "judged_at"):
        op.drop_index(f"ix_wrong_codes_{name}", "wrong_codes")
    op.create_index("ix_wrong_codes_user_id_phone", "wrong_codes", ["user_id", "phone", "judged_at"])
    create_pending_index("user_id", "phone")
    op.drop_column("wrong_codes", "session_digest")
    op.drop_column("verifications", "session_digest")
