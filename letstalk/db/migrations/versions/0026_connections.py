"""Connections of other systems, and what each received."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)


def where(condition: str) -> dict[str, Any]:
    """The arguments of an index over the rows that fit `condition` only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("connection_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("address_key", sa.String(64), nullable=False),
        sa.Column("secret_sealed", sa.Text),
        sa.Column("old_secret_sealed", sa.Text),
        sa.Column("old_secret_until", TIMESTAMP),
        sa.Column("default_region", sa.String(2)),
        sa.Column("locale", sa.String(35)),
        sa.Column("rate_limit", sa.String(100), nullable=False),
        sa.Column("message_types", sa.String(100)),
        sa.Column("pointers", sa.Text),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failing_since", TIMESTAMP),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_connections")),
        sa.UniqueConstraint("address_key", name=op.f("uq_connections_address_key")),
    )
    op.create_index("ix_connections_user_id", "connections", ["user_id"])
    op.create_table(
        "connection_deliveries",
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("connection_id", sa.String(36), nullable=False),
        sa.Column("received_at", TIMESTAMP, nullable=False),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("code", sa.String(40)),
        sa.Column("reason", sa.String(300)),
        sa.Column("phone", sa.String(16)),
        sa.Column("call_id", sa.String(36)),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.connection_id"], name=op.f("fk_connection_deliveries_connection_id")
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_connection_deliveries")),
    )
    op.create_index("ix_connection_deliveries_connection_id", "connection_deliveries", ["connection_id", "delivery_id"])
    op.create_index(
        "ix_connection_deliveries_called",
        "connection_deliveries",
        ["connection_id", "received_at"],
        **where("outcome = 'called'"),
    )
    op.create_index(
        "ix_connection_deliveries_refused",
        "connection_deliveries",
        ["connection_id", "delivery_id"],
        **where("outcome = 'refused'"),
    )
    op.create_index(
        "ix_connection_deliveries_call_id", "connection_deliveries", ["call_id"], **where("call_id IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_table("connection_deliveries")
    op.drop_table("connections")
