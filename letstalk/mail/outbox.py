"""The outbox: mails are stored in the transaction that causes them, and sent in the background with retries.

A stored mail is encrypted. It is complete, or it is a deferred email, whose text is written later in the background.
Deferred emails are for requests that anyone can send with any address. Whether an account has the address is only
looked up after the response, so neither the response nor its timing reveals it.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from letstalk.core.clock import Clock
from letstalk.core.errors import Forbidden
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.mail import repository
from letstalk.mail.models import DAY_SECONDS, Mail, retry_at
from letstalk.mail.repository import MailRow
from letstalk.mail.transports import MailDelayed, MailRefused, MailTransport
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total, mails_total

log = get_logger(__name__)

DELIVER_MAIL = "deliver_mail"  # the topic of a wake-up; its key is the id of the mail

# The threads of a process also place calls, so only this many of them may wait for a mail server.
AT_ONCE = 2
# How long a worker reserves a mail: longer than the exchange with a mail server takes.
LEASE = timedelta(seconds=120)
DUE_AT_ONCE = 50

# The key of a deferred email's kind in the database. Rows of earlier versions have it too.
KIND = "errand"

DeferredEmail = Mapping[str, str]
Writer = Callable[[Connection, DeferredEmail], Mail | None]


class MailService:
    def __init__(
        self, db: Database, vault: Vault, transport: MailTransport | None, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        """`transport` is None if mail is not set up. `wake` tells a worker the id of a mail that waits."""
        self._db = db
        self._vault = vault
        self._transport = transport
        self._clock = clock
        self._wake = wake
        self._writers: dict[str, Writer] = {}
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @property
    def is_set_up(self) -> bool:
        return self._transport is not None

    def ensure_set_up(self) -> None:
        """Raises Forbidden `mail_not_set_up`."""
        if not self.is_set_up:
            raise Forbidden("This service can't send mail. Ask an admin.", code="mail_not_set_up")

    def can_reach(self, email: str) -> bool:
        """Whether mail is set up and its server takes an address like `email`. It may take seconds; call it within no
        transaction.
        """
        return self._transport is not None and self._transport.can_reach(email)

    def check_transport(self) -> str | None:
        """Connect and sign in to the mail server, and send nothing. Returns where mails go, in a sentence; None if mail
        is not set up. Raises MailDelayed. It may take seconds.
        """
        return None if self._transport is None else self._transport.check()

    def register_writer(self, kind: str, write: Writer) -> None:
        """Use `write` for the deferred emails of `kind`. It is called again if its transaction fails."""
        self._writers[kind] = write

    def send_mail(self, connection: Connection, mail: Mail) -> str | None:
        """Store `mail`. Returns its id, for `wake` after the caller's commit, or None if mail is not set up."""
        if not self.is_set_up:
            return None
        return self._insert(connection, asdict(mail), mail.ttl_seconds)

    def defer_email(
        self, connection: Connection, kind: str, email: DeferredEmail, *, ttl_seconds: int = DAY_SECONDS
    ) -> None:
        """Store a mail that is written and sent in the background. Raises Forbidden `mail_not_set_up`.

        No worker is woken, and a sweep finds it: work that starts immediately could change the time of the response.
        """
        self.ensure_set_up()
        self._insert(connection, {KIND: kind, "details": dict(email)}, ttl_seconds)

    def wake(self, mail_id: str | None) -> None:
        """Tell a worker to send the mail with the id that `send_mail` returned."""
        if mail_id is not None:
            self._wake(mail_id)

    def wake_due(self) -> None:
        """Tell a worker the id of every mail that should be sent now."""
        with self._db.read() as connection:
            due = repository.list_due(connection, self._clock(), DUE_AT_ONCE)
        for mail_id in due:
            self._wake(mail_id)

    def deliver(self, mail_id: str) -> None:
        """Try to send a mail, if it is due and fewer than AT_ONCE others are being sent."""
        if not self._turns.acquire(blocking=False):
            return
        try:
            with self._db.write() as connection:
                now = self._clock()
                row = repository.take_mail(connection, mail_id, now, now + LEASE)
            if row is not None:
                self._deliver_taken(mail_id, row)
        finally:
            self._turns.release()

    def _deliver_taken(self, mail_id: str, row: MailRow) -> None:
        until = row.created_at + timedelta(seconds=DAY_SECONDS)
        try:
            content = json.loads(self._vault.decrypt(row.sealed))
            until = datetime.fromisoformat(content.pop("until"))
            if self._clock() >= until:
                self._give_up(mail_id, row, "too_late")
                return
            mail = self._write(mail_id, content)
            if mail is None:
                return
            if self._transport is None:
                raise MailDelayed("mail is no longer set up")
            self._transport.send(mail, mail_id)
        except MailRefused as error:
            self._give_up(mail_id, row, str(error))
        except MailDelayed as error:
            self._try_again(mail_id, row, until, str(error))
        except LostKey:
            lost_keys_total.labels("mail").inc()
            self._try_again(mail_id, row, until, "a key is missing from ENCRYPTION_KEYS")
        except Exception as error:
            # After any other failure, such as the database's, the mail must not wait until its lease ends.
            self._try_again(mail_id, row, until, type(error).__name__)
            raise
        else:
            with self._db.write() as connection:
                repository.note_sent(connection, mail_id, self._clock())
            mails_total.labels("sent").inc()
            log.info("mail_sent", mail_id=mail_id, attempts=row.attempts)

    def _write(self, mail_id: str, content: dict[str, Any]) -> Mail | None:
        """The mail of a row, or None if its writer returned none, and then the row is deleted.

        A deferred email is replaced by the mail that was written, so that a second try sends the same link.
        """
        if KIND not in content:
            return Mail(**content)
        with self._db.write() as connection:
            mail = self._writers[content[KIND]](connection, content["details"])
            if mail is None:
                repository.delete_mail(connection, mail_id)
            else:
                repository.rewrite_mail(connection, mail_id, self._seal(asdict(mail), mail.ttl_seconds))
        return mail

    def _try_again(self, mail_id: str, row: MailRow, until: datetime, reason: str) -> None:
        now = self._clock()
        next_attempt_at = retry_at(row.attempts, now, random.random())  # noqa: S311  # spreads load, hides nothing
        if next_attempt_at >= until:
            self._give_up(mail_id, row, reason)
            return
        with self._db.write() as connection:
            repository.put_back(connection, mail_id, next_attempt_at)
        mails_total.labels("delayed").inc()
        log.warning("mail_delayed", mail_id=mail_id, attempts=row.attempts, reason=reason)

    def _give_up(self, mail_id: str, row: MailRow, reason: str) -> None:
        with self._db.write() as connection:
            repository.note_failed(connection, mail_id, self._clock())
        mails_total.labels("given_up").inc()
        log.error("mail_given_up", mail_id=mail_id, attempts=row.attempts, reason=reason)

    def _insert(self, connection: Connection, content: Mapping[str, Any], ttl_seconds: int) -> str:
        mail_id = str(uuid4())
        repository.insert_mail(connection, mail_id, self._seal(content, ttl_seconds), self._clock())
        return mail_id

    def _seal(self, content: Mapping[str, Any], ttl_seconds: int) -> str:
        until = self._clock() + timedelta(seconds=ttl_seconds)
        return self._vault.encrypt(json.dumps({**content, "until": until.isoformat()}).encode("utf-8"))
