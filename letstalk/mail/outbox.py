"""Mails: written with what they are about, and sent by the queue until they are taken or not worth sending any more.

What waits stands in the database, encrypted: a mail that is written out, or an errand, of which the mail is written
only in the background. An errand is what a stranger may ask for by naming an address: whether somebody has the address
is looked up when nobody waits for an answer any more, so that neither the answer nor its time can tell.
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
from letstalk.mail import repository as storage
from letstalk.mail.models import DAY_SECONDS, Mail, retry_at
from letstalk.mail.repository import MailRow
from letstalk.mail.transport import MailCarrier, MailDelayed, MailRefused
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total, mails_total

log = get_logger(__name__)

DELIVER_MAIL = "deliver_mail"  # what a worker is woken for; the key is the mail's id

# Of a process's threads, which also place calls, so many at most wait for a mail server.
AT_ONCE = 2
# Nobody else sends a mail that was taken until then: longer than any conversation with a server should last.
LEASE = timedelta(seconds=120)
DUE_AT_ONCE = 50

Errand = Mapping[str, str]
Writer = Callable[[Connection, Errand], Mail | None]


class MailService:
    def __init__(
        self, db: Database, vault: Vault, carrier: MailCarrier | None, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        """Without `carrier` mail is not set up. `wake` tells a worker the id of an email that waits."""
        self._db = db
        self._vault = vault
        self._carrier = carrier
        self._clock = clock
        self._wake = wake
        self._writers: dict[str, Writer] = {}
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @property
    def is_set_up(self) -> bool:
        return self._carrier is not None

    def refuse_unless_set_up(self) -> None:
        """Raises Forbidden `mail_not_set_up`."""
        if not self.is_set_up:
            raise Forbidden("This service can't send mail. Ask an admin.", code="mail_not_set_up")

    def learn(self, kind: str, write: Writer) -> None:
        """Errands of that kind become the mail that `write` makes of them, or none, in a transaction of their own.

        `write` may be called again for the same errand if its transaction fails.
        """
        self._writers[kind] = write

    def send_mail(self, connection: Connection, mail: Mail) -> str | None:
        """Have `mail` sent once the caller's transaction stands. Returns its id, for `wake` after the commit; None
        where mail is not set up.
        """
        if not self.is_set_up:
            return None
        return self._insert(connection, asdict(mail), mail.ttl_seconds)

    def leave_errand(
        self, connection: Connection, kind: str, errand: Errand, *, ttl_seconds: int = DAY_SECONDS
    ) -> None:
        """Have a mail written and sent by and by. Found by a sweep, without a wake-up: what is done for an address that
        somebody has could be felt in the time of the answer if it began at once. Raises Forbidden `mail_not_set_up`.
        """
        self.refuse_unless_set_up()
        self._insert(connection, {"errand": kind, "details": dict(errand)}, ttl_seconds)

    def wake(self, mail_id: str | None) -> None:
        """Have a worker send what `send_mail` has written."""
        if mail_id is not None:
            self._wake(mail_id)

    def wake_due(self) -> None:
        """Tell a worker of every mail that should be sent now."""
        with self._db.read() as connection:
            due = storage.list_due(connection, self._clock(), DUE_AT_ONCE)
        for mail_id in due:
            self._wake(mail_id)

    def deliver(self, mail_id: str) -> None:
        """Try to send a mail that is due. Nothing happens where it is not, or while enough others are being sent."""
        if not self._turns.acquire(blocking=False):
            return
        try:
            with self._db.write() as connection:
                now = self._clock()
                row = storage.take_mail(connection, mail_id, now, now + LEASE)
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
            if self._carrier is None:
                raise MailDelayed("mail is not set up any more")
            self._carrier.carry(mail, mail_id)
        except MailRefused as error:
            self._give_up(mail_id, row, str(error))
        except MailDelayed as error:
            self._try_again(mail_id, row, until, str(error))
        except LostKey:
            lost_keys_total.labels("mail").inc()
            self._try_again(mail_id, row, until, "a key is missing from ENCRYPTION_KEYS")
        except Exception as error:
            # What failed on the way, a database among it, must not leave the mail to the end of its lease each time.
            self._try_again(mail_id, row, until, type(error).__name__)
            raise
        else:
            with self._db.write() as connection:
                storage.note_sent(connection, mail_id, self._clock())
            mails_total.labels("sent").inc()
            log.info("mail_sent", mail_id=mail_id, attempts=row.attempts)

    def _write(self, mail_id: str, content: dict[str, Any]) -> Mail | None:
        """The mail itself. One that was an errand is kept as the mail that it became, so that a second try sends the
        same link; an errand that leads to none is forgotten.
        """
        if "errand" not in content:
            return Mail(**content)
        with self._db.write() as connection:
            mail = self._writers[content["errand"]](connection, content["details"])
            if mail is None:
                storage.delete_mail(connection, mail_id)
            else:
                storage.rewrite_mail(connection, mail_id, self._seal(asdict(mail), mail.ttl_seconds))
        return mail

    def _try_again(self, mail_id: str, row: MailRow, until: datetime, reason: str) -> None:
        now = self._clock()
        next_attempt_at = retry_at(row.attempts, now, random.random())  # noqa: S311  # spreads load, hides nothing
        if next_attempt_at >= until:
            self._give_up(mail_id, row, reason)
            return
        with self._db.write() as connection:
            storage.put_back(connection, mail_id, next_attempt_at)
        mails_total.labels("delayed").inc()
        log.warning("mail_delayed", mail_id=mail_id, attempts=row.attempts, reason=reason)

    def _give_up(self, mail_id: str, row: MailRow, reason: str) -> None:
        with self._db.write() as connection:
            storage.note_failed(connection, mail_id, self._clock())
        mails_total.labels("given_up").inc()
        log.error("mail_given_up", mail_id=mail_id, attempts=row.attempts, reason=reason)

    def _insert(self, connection: Connection, content: Mapping[str, Any], ttl_seconds: int) -> str:
        mail_id = str(uuid4())
        storage.insert_mail(connection, mail_id, self._seal(content, ttl_seconds), self._clock())
        return mail_id

    def _seal(self, content: Mapping[str, Any], ttl_seconds: int) -> str:
        until = self._clock() + timedelta(seconds=ttl_seconds)
        return self._vault.encrypt(json.dumps({**content, "until": until.isoformat()}).encode("utf-8"))
