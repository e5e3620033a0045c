"""The table of mails. The text of a mail is erased when it is sent or given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata, partial_index

mails = sa.Table(
    "mails",
    metadata,
    sa.Column("mail_id", sa.String(36), primary_key=True),
    # Fernet of recipient, subject and body, because a body contains a link.
    sa.Column("sealed", sa.Text, info=sealed_as("mails")),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("next_attempt_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("failed_at", UtcDateTime),
    sa.CheckConstraint("attempts >= 0", name="attempts"),
    sa.CheckConstraint("sent_at IS NULL OR failed_at IS NULL", name="one_end"),
    sa.CheckConstraint("(sealed IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)", name="erased"),
    partial_index("ix_mails_waiting", "sent_at IS NULL AND failed_at IS NULL", "next_attempt_at"),
    sa.Index(None, "created_at"),
)


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail that a worker took to send it. `attempts` includes this one."""

    sealed: str
    attempts: int
    created_at: datetime


_IS_WAITING = mails.c.sent_at.is_(None) & mails.c.failed_at.is_(None)


def insert_mail(connection: sa.Connection, mail_id: str, sealed: str, now: datetime) -> None:
    values = {"sealed": sealed, "attempts": 0, "created_at": now, "next_attempt_at": now}
    connection.execute(sa.insert(mails).values(mail_id=mail_id, **values))


def list_due(connection: sa.Connection, now: datetime, limit: int) -> list[str]:
    """The ids of mails that should be sent now, the longest wait first."""
    due = sa.select(mails.c.mail_id).where(_IS_WAITING, mails.c.next_attempt_at <= now)
    return list(connection.execute(due.order_by(mails.c.next_attempt_at).limit(limit)).scalars())


def take_mail(connection: sa.Connection, mail_id: str, now: datetime, until: datetime) -> MailRow | None:
    """Reserve a mail until `until`. None if it is not due, or another worker has taken it."""
    due = (mails.c.mail_id == mail_id) & _IS_WAITING & (mails.c.next_attempt_at <= now)
    taken = sa.update(mails).where(due).values(attempts=mails.c.attempts + 1, next_attempt_at=until)
    row = connection.execute(taken.returning(mails.c.sealed, mails.c.attempts, mails.c.created_at)).one_or_none()
    return None if row is None else MailRow(*row)


def rewrite_mail(connection: sa.Connection, mail_id: str, sealed: str) -> None:
    """Replace the content of a mail, if it still waits."""
    _change(connection, mail_id, sealed=sealed)


def put_back(connection: sa.Connection, mail_id: str, next_attempt_at: datetime) -> None:
    _change(connection, mail_id, next_attempt_at=next_attempt_at)


def note_sent(connection: sa.Connection, mail_id: str, now: datetime) -> None:
    """Record that a mail was sent, and erase its text."""
    _change(connection, mail_id, sent_at=now, sealed=None)


def note_failed(connection: sa.Connection, mail_id: str, now: datetime) -> None:
    """Record that a mail was given up, and erase its text."""
    _change(connection, mail_id, failed_at=now, sealed=None)


def delete_mail(connection: sa.Connection, mail_id: str) -> None:
    connection.execute(sa.delete(mails).where(mails.c.mail_id == mail_id))


def _change(connection: sa.Connection, mail_id: str, **values: datetime | str | None) -> None:
    connection.execute(sa.update(mails).where(mails.c.mail_id == mail_id, _IS_WAITING).values(**values))
