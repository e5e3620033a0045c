"""The simulator's phone: its calls of the last minutes, and until when somebody looks at its page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from letstalk.db.schema import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

IS_DUE_SOME_TIME = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "simulated_calls",
        sa.Column("provider_call_id", sa.String(200), nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("command_id", sa.String(100), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("is_by_hand", sa.Boolean, nullable=False),
        sa.Column("detects_machines", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("answered_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("due_at", UtcDateTime),
        sa.Column("limit_seconds", sa.Integer, nullable=False),
        sa.Column("command_seq", sa.Integer, nullable=False),
        sa.Column("cause", sa.String(20)),
        sa.Column("speech_sealed", sa.Text),
        sa.PrimaryKeyConstraint("provider_call_id", name=op.f("pk_simulated_calls")),
        sa.UniqueConstraint("command_id", name=op.f("uq_simulated_calls_command_id")),
    )
    op.create_index("ix_simulated_calls_call_id", "simulated_calls", ["call_id"])
    op.create_index("ix_simulated_calls_created_at", "simulated_calls", ["created_at"])
    op.create_index(
        "ix_simulated_calls_due_at",
        "simulated_calls",
        ["due_at"],
        sqlite_where=IS_DUE_SOME_TIME,
        postgresql_where=IS_DUE_SOME_TIME,
    )
    op.create_table(
        "simulated_phone",
        sa.Column("phone_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("attended_until", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("phone_id", name=op.f("pk_simulated_phone")),
    )


def downgrade() -> None:
    op.drop_table("simulated_phone")
    op.drop_table("simulated_calls")
