"""One-time links: make, find, use up. Only the hash of a link is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from letstalk.accounts import repository
from letstalk.accounts.models import Account, hash_secret
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidLink
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.mail.models import RECENT, LinkPurpose, lifetime_seconds, may_mail_another, new_token, read_token

one_time_links = sa.Table(
    "one_time_links",
    metadata,
    sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("purpose", sa.String(30), nullable=False),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.Index(None, "account_id", "purpose"),
    sa.Index(None, "expires_at"),
)


@dataclass(frozen=True, slots=True)
class LinkRow:
    account_id: str
    expires_at: datetime


def end_links(connection: sa.Connection, account_id: str, now: datetime, *, purpose: str | None = None) -> int:
    """Make all links of an account invalid, or those for one purpose. Returns how many were valid."""
    unused = (one_time_links.c.account_id == account_id) & one_time_links.c.used_at.is_(None)
    if purpose is not None:
        unused &= one_time_links.c.purpose == purpose
    return connection.execute(sa.update(one_time_links).where(unused).values(used_at=now)).rowcount


def _live(token: str, purpose: LinkPurpose, now: datetime) -> sa.ColumnElement[bool]:
    table = one_time_links.c
    is_known = (table.token_hash == hash_secret(token)) & (table.purpose == purpose.value)
    return is_known & table.used_at.is_(None) & (table.expires_at > now)


@dataclass(frozen=True, slots=True)
class NewLink:
    """`token` can be shown only now, because its hash is stored."""

    token: str = field(repr=False)
    expires_at: datetime


class LinkService:
    """Each method runs in the transaction of the caller, so that a link and its effect are committed together."""

    def __init__(self, audit: AuditTrail, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def make_link(
        self, connection: sa.Connection, purpose: LinkPurpose, account_id: str, *, actor: Actor | None = None
    ) -> NewLink:
        """A new link for an account. Its earlier links for the same purpose become invalid."""
        # Concurrent calls must not both be the newest link. A caller that locks both locks the account first.
        repository.get_account(connection, account_id, for_update=True)
        now = self._clock()
        end_links(connection, account_id, now, purpose=purpose.value)
        token, expires_at = new_token(), now + timedelta(seconds=lifetime_seconds(purpose))
        values = {"purpose": purpose.value, "account_id": account_id, "created_at": now, "expires_at": expires_at}
        connection.execute(sa.insert(one_time_links).values(token_hash=hash_secret(token), **values))
        self._audit.record(connection, actor, "link.made", account_id=account_id, detail={"purpose": purpose.value})
        return NewLink(token, expires_at)

    def make_mailed_link(self, connection: sa.Connection, purpose: LinkPurpose, account_id: str) -> NewLink | None:
        """The same for a mail that anyone may request; None if the account was mailed too often recently."""
        repository.get_account(connection, account_id, for_update=True)
        now = self._clock()
        table = one_time_links.c
        recent = (table.account_id == account_id) & (table.purpose == purpose.value) & (table.created_at > now - RECENT)
        made = list(connection.execute(sa.select(table.created_at).where(recent)).scalars())
        return self.make_link(connection, purpose, account_id) if may_mail_another(made, now) else None

    def find_link(self, connection: sa.Connection, purpose: LinkPurpose, text: str) -> LinkRow:
        """The account of a link and when it expires. The link is not used up. Raises InvalidLink."""
        token = read_token(text)
        if token is None:
            raise InvalidLink
        statement = sa.select(one_time_links.c.account_id, one_time_links.c.expires_at)
        row = connection.execute(statement.where(_live(token, purpose, self._clock()))).one_or_none()
        if row is None:
            raise InvalidLink
        return LinkRow(*row)

    def use_link(self, connection: sa.Connection, purpose: LinkPurpose, text: str) -> Account:
        """Use up a link, given as its token or as the whole address. Returns its account, locked. Raises InvalidLink,
        whether the link is unknown, used, replaced, expired, malformed or for another purpose.
        """
        account_id = self.find_link(connection, purpose, text).account_id
        account = repository.get_account(connection, account_id, for_update=True)
        now = self._clock()
        # One statement, so that of many concurrent calls one finds the link unused.
        live = _live(read_token(text) or "", purpose, now)
        used = connection.execute(sa.update(one_time_links).where(live).values(used_at=now)).rowcount
        if account is None or used != 1:
            raise InvalidLink
        self._audit.record(connection, None, "link.used", account_id=account_id, detail={"purpose": purpose.value})
        return account
