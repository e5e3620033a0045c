"""Signing in through someone else: tries under way, who is who there, and tokens that were used up."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from letstalk.storage.db import UtcDateTime, metadata

sso_attempts = Table(
    "sso_attempts",
    metadata,
    # Hex: sealed columns are walked through in order of a text.
    Column("state_hash", String(64), primary_key=True),
    Column("nonce", String(100), nullable=False),
    Column("verifier_sealed", Text),
    Column("next_path", String(2000)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    CheckConstraint("length(state_hash) = 64", name="state_hash_length"),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "expires_at"),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", String(500), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "account_id"),
)

spent_jwts = Table(
    "spent_jwts",
    metadata,
    Column("id_hash", LargeBinary(32), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
)
