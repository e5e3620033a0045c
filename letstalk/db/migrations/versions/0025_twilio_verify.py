"""Services of Twilio's Verify API with their rate limits, and the session that a spoken code belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
HAS_SESSION = sa.text("session_digest <> ''")


def upgrade() -> None:
    # A server that is still of the version before does not write it.
    op.add_column("spoken_codes", sa.Column("session_digest", sa.String(32), nullable=False, server_default=""))
    op.create_index(
        "ix_spoken_codes_session",
        "spoken_codes",
        ["user_id", "created_at"],
        sqlite_where=HAS_SESSION,
        postgresql_where=HAS_SESSION,
    )
    op.create_table(
        "twilio_services",
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("friendly_name", sa.String(60), nullable=False),
        sa.Column("code_length", sa.Integer, nullable=False),
        sa.Column("custom_code_enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("service_id", name=op.f("pk_twilio_services")),
    )
    op.create_index("ix_twilio_services_user_id", "twilio_services", ["user_id"])
    op.create_table(
        "twilio_rate_limits",
        sa.Column("rate_limit_id", sa.String(36), nullable=False),
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("unique_name", sa.String(64), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("rate_limit_id", name=op.f("pk_twilio_rate_limits")),
    )
    op.create_index(
        "uq_twilio_rate_limits_unique_name", "twilio_rate_limits", ["service_id", "unique_name"], unique=True
    )
    op.create_table(
        "twilio_buckets",
        sa.Column("bucket_id", sa.String(36), nullable=False),
        sa.Column("rate_limit_id", sa.String(36), nullable=False),
        sa.Column("max_requests", sa.Integer, nullable=False),
        sa.Column("interval_seconds", sa.Integer, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("bucket_id", name=op.f("pk_twilio_buckets")),
    )
    op.create_index("uq_twilio_buckets_interval", "twilio_buckets", ["rate_limit_id", "interval_seconds"], unique=True)
    op.create_table(
        "twilio_bucket_counts",
        sa.Column("bucket_id", sa.String(36), nullable=False),
        sa.Column("value_digest", sa.String(64), nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("ends_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("bucket_id", "value_digest", name=op.f("pk_twilio_bucket_counts")),
    )
    op.create_index("ix_twilio_bucket_counts_ends_at", "twilio_bucket_counts", ["ends_at"])


def downgrade() -> None:
    for table in ("twilio_bucket_counts", "twilio_buckets", "twilio_rate_limits", "twilio_services"):
        op.drop_table(table)
    op.drop_index("ix_spoken_codes_session", "spoken_codes")
    op.drop_column("spoken_codes", "session_digest")
