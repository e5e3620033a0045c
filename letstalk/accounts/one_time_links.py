"""One-time links: made, looked at, used up. Only a hash of each is kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from letstalk.accounts import link_repository as storage
from letstalk.accounts import repository as accounts
from letstalk.accounts.link_repository import LinkRow
from letstalk.accounts.models import Account
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidLink
from letstalk.mail.links import RECENT, LinkPurpose, lifetime_seconds, may_mail_another, new_token, read_token


@dataclass(frozen=True, slots=True)
class NewLink:
    """`token` can be shown only now."""

    token: str = field(repr=False)
    expires_at: datetime


class LinkService:
    """Each method runs in the caller's transaction, so that a link and what it leads to stand or fall together."""

    def __init__(self, audit: AuditTrail, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def make_link(
        self, connection: Connection, purpose: LinkPurpose, account_id: str, *, actor: Actor | None = None
    ) -> NewLink:
        """A new link for an account; those made before for the same purpose work no more."""
        # Two at once must not both believe that theirs is the newest. Whoever needs both locks the account first.
        accounts.get_account(connection, account_id, hold=True)
        now = self._clock()
        storage.end_links(connection, account_id, now, purpose=purpose.value)
        token = new_token()
        expires_at = now + timedelta(seconds=lifetime_seconds(purpose))
        storage.insert_link(connection, _hash(token), purpose.value, account_id, now, expires_at)
        self._audit.record(connection, actor, "link.made", account_id=account_id, detail={"purpose": purpose.value})
        return NewLink(token, expires_at)

    def make_mailed_link(self, connection: Connection, purpose: LinkPurpose, account_id: str) -> NewLink | None:
        """The same, for a mail that anyone may ask for; None when this account was mailed enough of late."""
        accounts.get_account(connection, account_id, hold=True)
        now = self._clock()
        made = storage.list_made_since(connection, account_id, purpose.value, now - RECENT)
        return self.make_link(connection, purpose, account_id) if may_mail_another(made, now) else None

    def look_at(self, connection: Connection, purpose: LinkPurpose, text: str) -> LinkRow:
        """Whose link it is and until when, without using it up. Raises InvalidLink."""
        token = read_token(text)
        found = None if token is None else storage.find_link(connection, _hash(token), purpose.value, self._clock())
        if found is None:
            raise InvalidLink
        return found

    def use_link(self, connection: Connection, purpose: LinkPurpose, text: str) -> Account:
        """Use a link up, given as its token or as the whole address. Returns the account that it is for, held.

        Raises InvalidLink, the same for what is unknown, used, superseded, expired, malformed or for another purpose.
        """
        account_id = self.look_at(connection, purpose, text).account_id
        account = accounts.get_account(connection, account_id, hold=True)
        is_first = storage.use_link(connection, _hash(read_token(text) or ""), purpose.value, self._clock())
        if account is None or not is_first:
            raise InvalidLink
        self._audit.record(connection, None, "link.used", account_id=account_id, detail={"purpose": purpose.value})
        return account


def _hash(token: str) -> bytes:
    # 192 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("ascii")).digest()
