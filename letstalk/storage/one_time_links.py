"""One-time links that were mailed: what is kept is enough to know one again, and too little to make one."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, String, Table

from letstalk.storage.db import UtcDateTime, metadata

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("purpose", String(30), nullable=False),
    Column("account_id", String(36), ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    CheckConstraint("expires_at > created_at", name="lifetime"),
    Index(None, "account_id", "purpose"),
    Index(None, "expires_at"),
)
