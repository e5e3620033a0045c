"""Events for apps, the endpoints of their webhooks, and what was delivered to each."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)


def where(condition: str) -> dict[str, Any]:
    """The arguments of an index over the rows that fit `condition` only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "app_events",
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("subject_id", sa.String(36)),
        sa.Column("call_id", sa.String(36)),
        sa.Column("sequence", sa.Integer),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("is_waiting", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_app_events")),
    )
    op.create_index("ix_app_events_user_id", "app_events", ["user_id", "event_id"])
    op.create_index(
        "ix_app_events_subject_id", "app_events", ["subject_id", "sequence"], **where("subject_id IS NOT NULL")
    )
    op.create_index("ix_app_events_waiting", "app_events", ["event_id"], **where("is_waiting"))
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.String(200)),
        sa.Column("types", sa.Text),
        sa.Column("shows_phones", sa.Boolean, nullable=False),
        sa.Column("secret_sealed", sa.Text, nullable=False),
        sa.Column("old_secret_sealed", sa.Text),
        sa.Column("old_secret_until", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("failing_since", TIMESTAMP),
        sa.Column("disabled_at", TIMESTAMP),
        sa.Column("disabled_reason", sa.String(200)),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index("ix_webhook_endpoints_user_id", "webhook_endpoints", ["user_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("subject_id", sa.String(36)),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", TIMESTAMP),
        sa.Column("leased_until", TIMESTAMP),
        sa.Column("is_manual", sa.Boolean, nullable=False),
        sa.Column("delivered_at", TIMESTAMP),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.endpoint_id"], name=op.f("fk_webhook_deliveries_endpoint_id")
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("endpoint_id", "event_id", name=op.f("uq_webhook_deliveries_endpoint_id_event_id")),
    )
    op.create_index(
        "ix_webhook_deliveries_due", "webhook_deliveries", ["next_attempt_at"], **where("next_attempt_at IS NOT NULL")
    )
    op.create_index(
        "ix_webhook_deliveries_leased", "webhook_deliveries", ["leased_until"], **where("leased_until IS NOT NULL")
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id", "delivery_id"])
    op.create_index(
        "ix_webhook_deliveries_subject_id", "webhook_deliveries", ["subject_id"], **where("subject_id IS NOT NULL")
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("response_status", sa.Integer),
        sa.Column("response_body", sa.Text),
        sa.Column("error", sa.String(200)),
        sa.Column("is_manual", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["webhook_deliveries.delivery_id"], name=op.f("fk_webhook_attempts_delivery_id")
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_webhook_attempts")),
    )
    op.create_index("ix_webhook_attempts_delivery_id", "webhook_attempts", ["delivery_id", "attempt_id"])


def downgrade() -> None:
    for table in ("webhook_attempts", "webhook_deliveries", "webhook_endpoints", "app_events"):
        op.drop_table(table)
