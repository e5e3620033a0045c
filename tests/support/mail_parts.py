"""The services about accounts, with a transport that records mails and a clock that tests move."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from letstalk.accounts.models import Account, AccountState, NewAccount
from letstalk.accounts.one_time_links import one_time_links
from letstalk.audit.models import AuditEvent
from letstalk.audit.repository import EventQuery, list_events
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.mail.models import Mail
from letstalk.mail.repository import mails as mails_table
from letstalk.mail.transports import MailTransport
from tests.support.account_services import DEVICE, PASSWORD, accounts_of
from tests.support.world import World, outcome_of

BASE = "https://calls.example.com"
EMAIL = "Ada@Example.org"
ADMIN = trusted_actor(ActorKind.COMMAND_LINE)
TOKEN = re.compile(r"ltl_[0-9a-f]{48}")


class Postman:
    """A transport that records every mail. It raises the next of `troubles` instead, if there are any."""

    def __init__(self) -> None:
        self.taken: list[Mail] = []
        self.ids: list[str] = []
        self.troubles: list[Exception] = []
        self.takes_unicode = True

    def can_reach(self, email: str, /) -> bool:
        return self.takes_unicode or email.isascii()

    def check(self) -> str:
        if self.troubles:
            raise self.troubles.pop(0)
        return "The postman is here."

    def send(self, mail: Mail, mail_id: str, /) -> None:
        self.ids.append(mail_id)
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append(mail)

    def last_link(self) -> str:
        """The link in the last mail."""
        [line] = [line for line in self.taken[-1].body.splitlines() if "#token=" in line]
        return line


@dataclass
class Post:
    """`sweep` sends the mails that are due, as the queue would."""

    world: World
    postman: Postman | None = field(default_factory=Postman)
    is_open: bool = True
    transport: MailTransport | None = None

    def __post_init__(self) -> None:
        world = self.world
        self.db, self.clock, self.vault = world.db, world.clock, world.vault
        self.audit = AuditTrail(self.db, clock=self.clock)
        self.woken: list[str] = []
        self.accounts = accounts_of(
            world,
            transport=self.transport or self.postman,
            wake_mail=self.woken.append,
            brand_name="Acme",
            registration_is_open=self.is_open,
        )
        self.mails = self.accounts.mails

    @property
    def taken(self) -> list[Mail]:
        assert self.postman is not None
        return self.postman.taken

    def sweep(self) -> None:
        self.mails.wake_due()
        while self.woken:
            self.mails.deliver(self.woken.pop(0))

    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.sweep()

    def last_link(self) -> str:
        assert self.postman is not None
        return self.postman.last_link()

    def make_account(self, email: str = EMAIL, username: str | None = "ada", **fields: Any) -> Account:
        fields = {"password": PASSWORD, "state": AccountState.ACTIVE, **fields}
        return self.accounts.service.create_account(NewAccount(email=email, username=username, **fields))

    def account(self, email: str = EMAIL) -> Account:
        found = self.accounts.service.find_by_email(email)
        assert found is not None
        return found

    def outcome_of_sign_in(self, password: str, name: str = EMAIL) -> str:
        """`ok`, or the error code of the sign-in."""
        return outcome_of(lambda: self.accounts.sign_ins.sign_in(name, password, DEVICE))

    def rows(self) -> list[Any]:
        """The outbox."""
        with self.db.read() as connection:
            return list(connection.execute(select(mails_table).order_by(mails_table.c.created_at)))

    def links(self) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.execute(select(one_time_links).order_by(one_time_links.c.created_at)))

    def events(self, account_id: str | None = None) -> list[AuditEvent]:
        with self.db.read() as connection:
            return list_events(connection, EventQuery(account_id=account_id))

    def everything_written(self) -> str:
        """All rows of links, mails and audit events, as text."""
        events = [json.dumps(event.detail) for event in self.events()]
        return "\n".join(map(repr, [*self.rows(), *self.links(), *events]))
