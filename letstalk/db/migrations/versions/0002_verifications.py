"""Verifications and their calls, provider events, idempotency keys, and the keys of the code digests."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def where(condition: str) -> dict[str, Any]:
    """The arguments of an index over the rows that fit `condition` only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "digest_keys",
        sa.Column("key_id", sa.String(36), nullable=False),
        sa.Column("key_encrypted", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_digest_keys")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("path", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "path", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "verifications",
        sa.Column("verification_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_spoken_for_at", MOMENT, nullable=False),
        sa.Column("attempts_used", sa.Integer, nullable=False),
        sa.Column("replays_used", sa.Integer, nullable=False),
        sa.Column("locale", sa.String(35)),
        sa.Column("code_digest", sa.String(64), nullable=False),
        sa.Column("digest_key_id", sa.String(36), nullable=False),
        sa.Column("speech_sealed", sa.Text),
        sa.Column("approved_at", MOMENT),
        sa.CheckConstraint(
            "(status = 'approved') = (approved_at IS NOT NULL)", name=op.f("ck_verifications_approved_at")
        ),
        sa.CheckConstraint("status = 'pending' OR speech_sealed IS NULL", name=op.f("ck_verifications_speech_erased")),
        sa.CheckConstraint(
            "status IN ('pending', 'approved', 'expired', 'attempts_exceeded', 'canceled', 'superseded', 'failed')",
            name=op.f("ck_verifications_status"),
        ),
        sa.CheckConstraint("attempts_used BETWEEN 0 AND 5", name=op.f("ck_verifications_attempts_used")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_verifications_expires_at")),
        sa.CheckConstraint("replays_used >= 0", name=op.f("ck_verifications_replays_used")),
        sa.PrimaryKeyConstraint("verification_id", name=op.f("pk_verifications")),
    )
    op.create_index("ix_verifications_expiring", "verifications", ["expires_at"], **where("status = 'pending'"))
    op.create_index("ix_verifications_user_id_created_at", "verifications", ["user_id", "created_at"])
    op.create_index("ix_verifications_user_id_phone", "verifications", ["user_id", "phone", "created_at"])
    op.create_index(
        "uq_verifications_pending", "verifications", ["user_id", "phone"], unique=True, **where("status = 'pending'")
    )
    op.create_table(
        "webhook_events",
        sa.Column("event_id", sa.String(100), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("call_id", sa.String(36)),
        sa.Column("provider_call_id", sa.String(200)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("applied_at", MOMENT),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_webhook_events")),
    )
    op.create_index("ix_webhook_events_received_at", "webhook_events", ["received_at"])
    op.create_index("ix_webhook_events_waiting", "webhook_events", ["received_at"], **where("applied_at IS NULL"))
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String(100), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
    )
    op.create_table(
        "wrong_codes",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("judged_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wrong_codes")),
    )
    op.create_index("ix_wrong_codes_user_id_phone", "wrong_codes", ["user_id", "phone", "judged_at"])
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("verification_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("not_before", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("holds_channel", sa.Boolean, nullable=False),
        sa.Column("ask_provider_at", MOMENT),
        sa.Column("provider_call_id", sa.String(200)),
        sa.Column("first_dial_at", MOMENT),
        sa.Column("dial_round", sa.Integer, nullable=False),
        sa.Column("dial_attempts", sa.Integer, nullable=False),
        sa.Column("is_uncertain", sa.Boolean, nullable=False),
        sa.Column("leased_until", MOMENT),
        sa.Column("answered_at", MOMENT),
        sa.Column("spoken", sa.String(10), nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("command", sa.String(20)),
        sa.Column("command_seq", sa.Integer, nullable=False),
        sa.Column("command_attempts", sa.Integer, nullable=False),
        sa.Column("command_leased_until", MOMENT),
        sa.Column("end_status", sa.String(20)),
        sa.Column("end_reason", sa.Text),
        sa.Column("duration_seconds", sa.Float),
        sa.CheckConstraint("command IN ('speak_code', 'speak_offer', 'hang_up')", name=op.f("ck_calls_command")),
        sa.CheckConstraint("spoken IN ('nothing', 'offer', 'code')", name=op.f("ck_calls_spoken")),
        sa.CheckConstraint("status <> 'queued' OR NOT holds_channel", name=op.f("ck_calls_queued_holds_none")),
        sa.CheckConstraint(
            "status IN ('queued', 'dialing', 'ringing', 'answered', 'speaking', 'completed', 'no_answer', 'busy', "
            "'rejected', 'machine', 'failed', 'canceled', 'unknown')",
            name=op.f("ck_calls_status"),
        ),
        sa.ForeignKeyConstraint(
            ["verification_id"], ["verifications.verification_id"], name=op.f("fk_calls_verification_id")
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_command", "calls", ["command_leased_until"], **where("command IS NOT NULL"))
    op.create_index("ix_calls_ended_at", "calls", ["ended_at"])
    op.create_index("ix_calls_phone_created_at", "calls", ["phone", "created_at"])
    op.create_index("ix_calls_provider_call_id", "calls", ["provider_call_id"])
    op.create_index("ix_calls_verification_id", "calls", ["verification_id", "created_at"])
    op.create_index("ix_calls_waiting_turn", "calls", ["turn", "created_at"], **where("status = 'queued'"))
    op.create_index("ix_calls_waiting_user_id", "calls", ["user_id", "turn"], **where("status = 'queued'"))
    op.create_index("uq_calls_live_phone", "calls", ["phone"], unique=True, **where("holds_channel"))
    op.create_table(
        "call_events",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=op.f("fk_call_events_call_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_events")),
    )
    op.create_index("ix_call_events_call_id", "call_events", ["call_id", "at"])


def downgrade() -> None:
    op.drop_table("call_events")
    op.drop_table("calls")
    op.drop_table("wrong_codes")
    op.drop_table("workers")
    op.drop_table("webhook_events")
    op.drop_table("verifications")
    op.drop_table("idempotency_keys")
    op.drop_table("digest_keys")
