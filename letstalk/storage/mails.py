"""Mails that wait to be sent; what one says is erased once it is sent or given up."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, text

from letstalk.storage.db import UtcDateTime, metadata

_WAITS = text("sent_at IS NULL AND failed_at IS NULL")

mails = Table(
    "mails",
    metadata,
    Column("mail_id", String(36), primary_key=True),
    # Fernet over recipient, subject and body: a body holds a link.
    Column("sealed", Text),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint("sent_at IS NULL OR failed_at IS NULL", name="one_end"),
    CheckConstraint("(sealed IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)", name="erased"),
    Index("ix_mails_waiting", "next_attempt_at", sqlite_where=_WAITS, postgresql_where=_WAITS),
    Index(None, "created_at"),
)
