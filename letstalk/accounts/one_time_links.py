"""One-time links: make, look up, use up. Only the hash of a link is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    insert,
    select,
    update,
)

from letstalk.accounts import repository
from letstalk.accounts.models import Account, hash_secret
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidLink
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.mail.models import RECENT, LinkPurpose, lifetime_seconds, may_mail_another, new_token, read_token

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


@dataclass(frozen=True, slots=True)
class LinkRow:
    account_id: str
    expires_at: datetime


def use_link(connection: Connection, token_hash: bytes, purpose: str, now: datetime) -> bool:
    """Whether this call used up the link. It is one statement, so that of many concurrent calls one returns True; False
    for a link that is unknown, used, expired or for another purpose.
    """
    statement = update(one_time_links).where(_live(token_hash, purpose, now)).values(used_at=now)
    return connection.execute(statement).rowcount == 1


def find_link(connection: Connection, token_hash: bytes, purpose: str, now: datetime) -> LinkRow | None:
    """A link that is still valid. It is not used up."""
    statement = select(one_time_links.c.account_id, one_time_links.c.expires_at)
    row = connection.execute(statement.where(_live(token_hash, purpose, now))).one_or_none()
    return None if row is None else LinkRow(*row)


def end_links(connection: Connection, account_id: str, now: datetime, *, purpose: str | None = None) -> int:
    """Make all links of an account invalid, or those for one purpose. Returns how many were valid."""
    unused = (one_time_links.c.account_id == account_id) & one_time_links.c.used_at.is_(None)
    if purpose is not None:
        unused &= one_time_links.c.purpose == purpose
    return connection.execute(update(one_time_links).where(unused).values(used_at=now)).rowcount


def list_made_since(connection: Connection, account_id: str, purpose: str, since: datetime) -> list[datetime]:
    """When the links for that purpose were made for an account, used or not."""
    table = one_time_links.c
    mine = (table.account_id == account_id) & (table.purpose == purpose) & (table.created_at > since)
    return list(connection.execute(select(table.created_at).where(mine)).scalars())


def _live(token_hash: bytes, purpose: str, now: datetime) -> ColumnElement[bool]:
    table = one_time_links.c
    is_known = (table.token_hash == token_hash) & (table.purpose == purpose)
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
        self, connection: Connection, purpose: LinkPurpose, account_id: str, *, actor: Actor | None = None
    ) -> NewLink:
        """A new link for an account. Its earlier links for the same purpose become invalid."""
        # Concurrent calls must not both be the newest link. A caller that locks both locks the account first.
        repository.get_account(connection, account_id, for_update=True)
        now = self._clock()
        end_links(connection, account_id, now, purpose=purpose.value)
        token = new_token()
        expires_at = now + timedelta(seconds=lifetime_seconds(purpose))
        connection.execute(
            insert(one_time_links).values(
                token_hash=hash_secret(token),
                purpose=purpose.value,
                account_id=account_id,
                created_at=now,
                expires_at=expires_at,
            )
        )
        self._audit.record(connection, actor, "link.made", account_id=account_id, detail={"purpose": purpose.value})
        return NewLink(token, expires_at)

    def make_mailed_link(self, connection: Connection, purpose: LinkPurpose, account_id: str) -> NewLink | None:
        """The same for a mail that anyone may request; None if the account was mailed too often recently."""
        repository.get_account(connection, account_id, for_update=True)
        now = self._clock()
        made = list_made_since(connection, account_id, purpose.value, now - RECENT)
        return self.make_link(connection, purpose, account_id) if may_mail_another(made, now) else None

    def look_at(self, connection: Connection, purpose: LinkPurpose, text: str) -> LinkRow:
        """The account of a link and when it expires. The link is not used up. Raises InvalidLink."""
        token = read_token(text)
        found = None if token is None else find_link(connection, hash_secret(token), purpose.value, self._clock())
        if found is None:
            raise InvalidLink
        return found

    def use_link(self, connection: Connection, purpose: LinkPurpose, text: str) -> Account:
        """Use up a link, given as its token or as the whole address. Returns its account, locked.

        Raises InvalidLink, whether the link is unknown, used, replaced, expired, malformed or for another purpose.
        """
        account_id = self.look_at(connection, purpose, text).account_id
        account = repository.get_account(connection, account_id, for_update=True)
        is_first = use_link(connection, hash_secret(read_token(text) or ""), purpose.value, self._clock())
        if account is None or not is_first:
            raise InvalidLink
        self._audit.record(connection, None, "link.used", account_id=account_id, detail={"purpose": purpose.value})
        return account
