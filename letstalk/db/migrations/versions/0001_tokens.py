"""Tokens, how often they are used, and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(36), nullable=False),
        sa.Column("lookup_id", sa.String(12), nullable=False),
        sa.Column("secret_hash_encrypted", sa.Text, nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("allowed_ips", sa.Text, nullable=False),
        sa.Column("rate_limit", sa.String(100)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("last_used", MOMENT),
        sa.Column("requests_total", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("successor_id", sa.String(36)),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("lookup_id", name=op.f("uq_tokens_lookup_id")),
        sa.UniqueConstraint("successor_id", name=op.f("uq_tokens_successor_id")),
        sa.ForeignKeyConstraint(["successor_id"], ["tokens.token_id"], name=op.f("fk_tokens_successor_id")),
        sa.CheckConstraint("length(lookup_id) = 12", name=op.f("ck_tokens_lookup_id_length")),
        sa.CheckConstraint("length(user_id) BETWEEN 1 AND 128", name=op.f("ck_tokens_user_id_length")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_tokens_name_length")),
        sa.CheckConstraint("scopes LIKE '[\"%\"]'", name=op.f("ck_tokens_scopes_list")),
        sa.CheckConstraint("allowed_ips LIKE '[%]'", name=op.f("ck_tokens_allowed_ips_list")),
        sa.CheckConstraint("expires_at >= created_at", name=op.f("ck_tokens_expires_after_creation")),
        sa.CheckConstraint("requests_total >= 0", name=op.f("ck_tokens_requests_total_not_negative")),
        sa.CheckConstraint("successor_id <> token_id", name=op.f("ck_tokens_successor_is_another")),
    )
    op.create_index(op.f("ix_tokens_created_at_token_id"), "tokens", ["created_at", "token_id"])
    op.create_index(op.f("ix_tokens_user_id_created_at_token_id"), "tokens", ["user_id", "created_at", "token_id"])
    op.create_table(
        "token_usage",
        sa.Column("token_id", sa.String(36), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token_id", "day", name=op.f("pk_token_usage")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["tokens.token_id"], name=op.f("fk_token_usage_token_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("requests > 0", name=op.f("ck_token_usage_requests_positive")),
    )
    op.create_index(op.f("ix_token_usage_day"), "token_usage", ["day"])
    op.create_table(
        "audit_events",
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor_kind", sa.String(32)),
        sa.Column("actor_user_id", sa.String(128)),
        sa.Column("actor_token_id", sa.String(36)),
        sa.Column("token_id", sa.String(36)),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit_events")),
        sa.CheckConstraint("length(action) BETWEEN 1 AND 64", name=op.f("ck_audit_events_action_length")),
        sa.CheckConstraint("detail LIKE '{%}'", name=op.f("ck_audit_events_detail_object")),
    )
    op.create_index(op.f("ix_audit_events_at"), "audit_events", ["at"])
    op.create_index(op.f("ix_audit_events_token_id_at"), "audit_events", ["token_id", "at"])


def downgrade() -> None:
    op.drop_table("audit_events")
    op.drop_table("token_usage")
    op.drop_table("tokens")
