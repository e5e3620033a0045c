"""What carries mails: one interface, and the two ways in which it can fail."""

from __future__ import annotations

from typing import Protocol

from letstalk.mail.models import Mail


class MailDelayed(Exception):
    """It was not taken, and may be another time. Its text is for the log: it names nobody and quotes nothing."""


class MailRefused(Exception):
    """It will never be taken: no such mailbox, or not from us. Its text is for the log, as above."""


class MailCarrier(Protocol):
    def carry(self, mail: Mail, mail_id: str, /) -> None:
        """Hand `mail` on. The same `mail_id` means the same mail, tried again.

        Raises MailDelayed, MailRefused; nothing else. No database connection may be held meanwhile.
        """
