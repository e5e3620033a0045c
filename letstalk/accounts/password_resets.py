"""A new password for whoever has lost theirs and still reads their mail."""

from __future__ import annotations

from sqlalchemy import Connection

from letstalk.accounts import repository as storage
from letstalk.accounts.account_passwords import AccountPasswords
from letstalk.accounts.models import Account, AccountState, check_email
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.service import AccountService
from letstalk.core.errors import InvalidLink
from letstalk.db.database import Database
from letstalk.mail import templates as letters
from letstalk.mail.links import LinkPurpose, lifetime_seconds, write_link
from letstalk.mail.models import Mail
from letstalk.mail.outbox import Errand, MailService


def may_reset(account: Account) -> bool:
    """Whether a mail is enough to choose a new password.

    Not for one without a password: those sign in through someone else, who may have shut them out there.
    """
    return account.has_password and account.state in (AccountState.ACTIVE, AccountState.UNVERIFIED)


class PasswordResetService:
    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        passwords: AccountPasswords,
        links: LinkService,
        mails: MailService,
        *,
        brand_name: str,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._passwords = passwords
        self._links = links
        self._mails = mails
        self._brand_name = brand_name
        mails.learn("reset", self._write_reset)

    def ask(self, email: str, base_url: str) -> None:
        """Mail a link to whoever has `email`, if somebody does: the same is done here for every address.

        Raises InvalidRequest, Forbidden `mail_not_set_up`.
        """
        errand = {"email": check_email(email), "base_url": base_url}
        ttl_seconds = lifetime_seconds(LinkPurpose.RESET_PASSWORD)
        with self._db.write() as connection:
            self._mails.leave_errand(connection, "reset", errand, ttl_seconds=ttl_seconds)

    def reset(self, link: str, password: str) -> None:
        """Put `password` in place of the lost one and end every session. The link has proven the address too.

        Raises InvalidLink; WeakPassword and Unavailable, which leave the link as it was.
        """
        with self._db.read() as connection:
            found = self._links.look_at(connection, LinkPurpose.RESET_PASSWORD, link)
            account = storage.get_account(connection, found.account_id)
        if account is None or not may_reset(account):
            raise InvalidLink
        # Hashing takes long, and no transaction may wait for it.
        sealed = self._passwords.prepare(password, account=account, field="new_password")
        with self._db.write() as connection:
            held = self._links.use_link(connection, LinkPurpose.RESET_PASSWORD, link)
            if not may_reset(held):
                raise InvalidLink
            self._passwords.store(connection, held.account_id, sealed)
            if held.state is AccountState.UNVERIFIED:
                self._accounts.activate(connection, held.account_id)

    def _write_reset(self, connection: Connection, errand: Errand) -> Mail | None:
        account = storage.find_by_email(connection, errand["email"])
        if account is None or not may_reset(account):
            return None
        made = self._links.make_mailed_link(connection, LinkPurpose.RESET_PASSWORD, account.account_id)
        if made is None:
            return None
        link = write_link(errand["base_url"], LinkPurpose.RESET_PASSWORD, made.token)
        return letters.reset_letter(account.email, self._brand_name, link)
