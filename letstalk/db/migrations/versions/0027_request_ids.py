"""The request by which a verification was asked for, and an index to find what the audit trail has of a request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

HAS_REQUEST = sa.text("request_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("verifications", sa.Column("request_id", sa.String(36)))
    op.create_index(
        "ix_audit_events_request_id_at",
        "audit_events",
        ["request_id", "at", "event_id"],
        sqlite_where=HAS_REQUEST,
        postgresql_where=HAS_REQUEST,
    )


def downgrade() -> None:
    op.drop_index("ix_audit_events_request_id_at", "audit_events")
    op.drop_column("verifications", "request_id")
