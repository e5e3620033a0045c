"""The table of mails. The text of a mail is erased when it is sent or given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata, partial_index

mails = Table(
    "mails",
    metadata,
    Column("mail_id", String(36), primary_key=True),
    # Fernet of recipient, subject and body, because a body contains a link.
    Column("sealed", Text, info=sealed_as("mails")),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint("sent_at IS NULL OR failed_at IS NULL", name="one_end"),
    CheckConstraint("(sealed IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)", name="erased"),
    partial_index("ix_mails_waiting", "sent_at IS NULL AND failed_at IS NULL", "next_attempt_at"),
    Index(None, "created_at"),
)


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail that a worker took to send it. `attempts` includes this one."""

    sealed: str
    attempts: int
    created_at: datetime


_IS_WAITING = mails.c.sent_at.is_(None) & mails.c.failed_at.is_(None)


def insert_mail(connection: Connection, mail_id: str, sealed: str, now: datetime) -> None:
    values = {"sealed": sealed, "attempts": 0, "created_at": now, "next_attempt_at": now}
    connection.execute(insert(mails).values(mail_id=mail_id, **values))


def list_due(connection: Connection, now: datetime, limit: int) -> list[str]:
    """The ids of mails that should be sent now, the longest wait first."""
    due = select(mails.c.mail_id).where(_IS_WAITING, mails.c.next_attempt_at <= now)
    return list(connection.execute(due.order_by(mails.c.next_attempt_at).limit(limit)).scalars())


def take_mail(connection: Connection, mail_id: str, now: datetime, until: datetime) -> MailRow | None:
    """Reserve a mail until `until`. None if it is not due, or another worker has taken it."""
    due = (mails.c.mail_id == mail_id) & _IS_WAITING & (mails.c.next_attempt_at <= now)
    taken = update(mails).where(due).values(attempts=mails.c.attempts + 1, next_attempt_at=until)
    row = connection.execute(taken.returning(mails.c.sealed, mails.c.attempts, mails.c.created_at)).one_or_none()
    return None if row is None else MailRow(*row)


def rewrite_mail(connection: Connection, mail_id: str, sealed: str) -> None:
    """Replace the content of a mail, if it still waits."""
    _change(connection, mail_id, sealed=sealed)


def put_back(connection: Connection, mail_id: str, next_attempt_at: datetime) -> None:
    _change(connection, mail_id, next_attempt_at=next_attempt_at)


def note_sent(connection: Connection, mail_id: str, now: datetime) -> None:
    """Record that a mail was sent, and erase its text."""
    _change(connection, mail_id, sent_at=now, sealed=None)


def note_failed(connection: Connection, mail_id: str, now: datetime) -> None:
    """Record that a mail was given up, and erase its text."""
    _change(connection, mail_id, failed_at=now, sealed=None)


def delete_mail(connection: Connection, mail_id: str) -> None:
    connection.execute(delete(mails).where(mails.c.mail_id == mail_id))


def _change(connection: Connection, mail_id: str, **values: datetime | str | None) -> None:
    connection.execute(update(mails).where(mails.c.mail_id == mail_id, _IS_WAITING).values(**values))
