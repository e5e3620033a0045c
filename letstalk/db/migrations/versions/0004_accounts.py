"""People: accounts, sessions, and what signing in needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("username", sa.String(64)),
        sa.Column("username_key", sa.String(64)),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("email_key", sa.String(1024), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("phone", sa.String(16)),
        sa.Column("second_factor", sa.Boolean, nullable=False),
        sa.Column("password_sealed", sa.Text),
        sa.Column("password_changed_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_signed_in_at", MOMENT),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("username_key", name=op.f("uq_accounts_username_key")),
        sa.UniqueConstraint("email_key", name=op.f("uq_accounts_email_key")),
        sa.CheckConstraint("role IN ('admin', 'developer', 'viewer')", name=op.f("ck_accounts_role")),
        sa.CheckConstraint("state IN ('invited', 'unverified', 'active', 'disabled')", name=op.f("ck_accounts_state")),
        sa.CheckConstraint("length(username) BETWEEN 2 AND 64", name=op.f("ck_accounts_username_length")),
        sa.CheckConstraint("length(email) BETWEEN 3 AND 254", name=op.f("ck_accounts_email_length")),
        sa.CheckConstraint("(username IS NULL) = (username_key IS NULL)", name=op.f("ck_accounts_username_key")),
        sa.CheckConstraint(
            "state IN ('invited', 'disabled') OR username IS NOT NULL", name=op.f("ck_accounts_username_known")
        ),
        sa.CheckConstraint(
            "(password_sealed IS NULL) = (password_changed_at IS NULL)", name=op.f("ck_accounts_password_changed_at")
        ),
        sa.CheckConstraint("phone IS NOT NULL OR NOT second_factor", name=op.f("ck_accounts_second_factor_has_phone")),
    )
    op.create_index(op.f("ix_accounts_created_at_account_id"), "accounts", ["created_at", "account_id"])
    op.create_index(op.f("ix_accounts_phone"), "accounts", ["phone"])
    op.create_table(
        "account_grants",
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id", name=op.f("pk_account_grants")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_account_grants_account_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("length(user_id) BETWEEN 1 AND 128", name=op.f("ck_account_grants_user_id_length")),
    )
    op.create_table(
        "password_history",
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("password_sealed", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_password_history")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_password_history_account_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_password_history_account_id_created_at"), "password_history", ["account_id", "created_at"])
    op.create_table(
        "account_sessions",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32)),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("end_reason", sa.String(30)),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("subscriber", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_account_sessions")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_account_sessions_secret_hash")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_account_sessions_account_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("kind IN ('api', 'browser')", name=op.f("ck_account_sessions_kind")),
        sa.CheckConstraint(
            "(kind = 'browser') = (secret_hash IS NOT NULL)", name=op.f("ck_account_sessions_secret_hash")
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_account_sessions_end_reason")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_account_sessions_lifetime")),
        sa.CheckConstraint("epoch >= 0", name=op.f("ck_account_sessions_epoch")),
    )
    op.create_index(op.f("ix_account_sessions_account_id_created_at"), "account_sessions", ["account_id", "created_at"])
    op.create_index(op.f("ix_account_sessions_account_id_subscriber"), "account_sessions", ["account_id", "subscriber"])
    op.create_index(op.f("ix_account_sessions_ended_at"), "account_sessions", ["ended_at"])
    op.create_index(op.f("ix_account_sessions_expires_at"), "account_sessions", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("spent_at", MOMENT),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["account_sessions.session_id"],
            name=op.f("fk_refresh_tokens_session_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_refresh_tokens_lifetime")),
    )
    op.create_index(op.f("ix_refresh_tokens_expires_at"), "refresh_tokens", ["expires_at"])
    op.create_index(op.f("ix_refresh_tokens_session_id"), "refresh_tokens", ["session_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(36), nullable=False),
        sa.Column("private_key_encrypted", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
    )
    op.create_index(op.f("ix_signing_keys_retired_at"), "signing_keys", ["retired_at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_failed_at", MOMENT, nullable=False),
        sa.Column("wait_until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_sign_in_failures")),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_sign_in_failures_failures")),
    )
    op.create_index(op.f("ix_sign_in_failures_last_failed_at"), "sign_in_failures", ["last_failed_at"])
    op.create_table(
        "one_time_links",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("purpose", sa.String(30), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_links")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_one_time_links_account_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_one_time_links_lifetime")),
    )
    op.create_index(op.f("ix_one_time_links_account_id_purpose"), "one_time_links", ["account_id", "purpose"])
    op.create_index(op.f("ix_one_time_links_expires_at"), "one_time_links", ["expires_at"])
    op.create_table(
        "mails",
        sa.Column("mail_id", sa.String(36), nullable=False),
        sa.Column("sealed", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("failed_at", MOMENT),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_mails")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_mails_attempts")),
        sa.CheckConstraint("sent_at IS NULL OR failed_at IS NULL", name=op.f("ck_mails_one_end")),
        sa.CheckConstraint(
            "(sealed IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)", name=op.f("ck_mails_erased")
        ),
    )
    op.create_index(op.f("ix_mails_created_at"), "mails", ["created_at"])
    op.create_index(
        op.f("ix_mails_waiting"),
        "mails",
        ["next_attempt_at"],
        sqlite_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
    )
    op.create_table(
        "sso_attempts",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("nonce", sa.String(100), nullable=False),
        sa.Column("verifier_sealed", sa.Text),
        sa.Column("next_path", sa.String(2000)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_sso_attempts")),
        sa.CheckConstraint("length(state_hash) = 64", name=op.f("ck_sso_attempts_state_hash_length")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_sso_attempts_lifetime")),
    )
    op.create_index(op.f("ix_sso_attempts_expires_at"), "sso_attempts", ["expires_at"])
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fk_identities_account_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_identities_account_id"), "identities", ["account_id"])
    op.create_table(
        "spent_jwts",
        sa.Column("id_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_spent_jwts")),
    )
    op.create_index(op.f("ix_spent_jwts_expires_at"), "spent_jwts", ["expires_at"])
    op.create_table(
        "second_factor_challenges",
        sa.Column("challenge_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("verification_id", sa.String(36), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("challenge_hash", name=op.f("pk_second_factor_challenges")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("fk_second_factor_challenges_account_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_second_factor_challenges_lifetime")),
    )
    op.create_index(op.f("ix_second_factor_challenges_account_id"), "second_factor_challenges", ["account_id"])
    op.create_index(op.f("ix_second_factor_challenges_expires_at"), "second_factor_challenges", ["expires_at"])
    op.create_table(
        "role_policies",
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("requires_second_factor", sa.Boolean, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_role_policies")),
        sa.CheckConstraint("role IN ('admin', 'developer', 'viewer')", name=op.f("ck_role_policies_role")),
    )
    op.add_column("audit_events", sa.Column("actor_account_id", sa.String(36)))
    op.add_column("audit_events", sa.Column("account_id", sa.String(36)))
    op.create_index(op.f("ix_audit_events_account_id_at"), "audit_events", ["account_id", "at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_events_account_id_at"), "audit_events")
    op.drop_column("audit_events", "account_id")
    op.drop_column("audit_events", "actor_account_id")
    op.drop_table("role_policies")
    op.drop_table("second_factor_challenges")
    op.drop_table("spent_jwts")
    op.drop_table("identities")
    op.drop_table("sso_attempts")
    op.drop_table("mails")
    op.drop_table("one_time_links")
    op.drop_table("sign_in_failures")
    op.drop_table("signing_keys")
    op.drop_table("refresh_tokens")
    op.drop_table("account_sessions")
    op.drop_table("password_history")
    op.drop_table("account_grants")
    op.drop_table("accounts")
