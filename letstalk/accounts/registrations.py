""""""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from letstalk.accounts import repository
from letstalk.accounts.models import (
    Account,
    AccountState,
    Device,
    NewAccount,
    Role,
    check_email,
    check_grants,
    check_role,
    check_username,
    differences,
    ensure_admin,
    usernames_for,
)
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.passwords import AccountPasswords
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_ins import SignedIn, SignInService
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.errors import Forbidden, InvalidLink
from letstalk.db.database import Database
from letstalk.mail import templates
from letstalk.mail.links import LinkPurpose, lifetime_seconds, write_link
from letstalk.mail.models import Mail
from letstalk.mail.outbox import DeferredEmail, MailService


def may_reset(account: Account) -> bool:
    """Whether access to the mailbox is enough to choose a new password.

    Not for an account without a password: its person signs in with another service, which may have locked them out.
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
        mails.register_writer("reset", self._write_reset)

    def ask(self, email: str, base_url: str) -> None:
        """Mail a link to the account with `email`, if there is one. The work is the same for every address.

        Raises InvalidRequest, Forbidden `mail_not_set_up`.
        """
        details = {"email": check_email(email), "base_url": base_url}
        ttl_seconds = lifetime_seconds(LinkPurpose.RESET_PASSWORD)
        with self._db.write() as connection:
            self._mails.defer_email(connection, "reset", details, ttl_seconds=ttl_seconds)

    def reset(self, link: str, password: str) -> None:
        """Replace the lost password and end every session. The link also proves the e-mail address.

        Raises InvalidLink; WeakPassword and Unavailable, after which the link is still valid.
        """
        with self._db.read() as connection:
            found = self._links.look_at(connection, LinkPurpose.RESET_PASSWORD, link)
            account = repository.get_account(connection, found.account_id)
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

    def _write_reset(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        account = repository.find_by_email(connection, details["email"])
        if account is None or not may_reset(account):
            return None
        made = self._links.make_mailed_link(connection, LinkPurpose.RESET_PASSWORD, account.account_id)
        if made is None:
            return None
        link = write_link(details["base_url"], LinkPurpose.RESET_PASSWORD, made.token)
        return templates.password_reset_email(account.email, self._brand_name, link)


class RegistrationService:
    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        passwords: AccountPasswords,
        links: LinkService,
        mails: MailService,
        *,
        is_open: bool,
        brand_name: str,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._passwords = passwords
        self._links = links
        self._mails = mails
        self._brand_name = brand_name
        self.is_open = is_open
        mails.register_writer("registration", self._write_registration)
        mails.register_writer("verification", self._write_verification)

    def register(self, username: str, email: str, password: str, base_url: str) -> None:
        """Create an account that can sign in once its person has opened the link in a mail.

        All that depends on existing accounts is done in the background: an address that has an account gets a mail that
        says so, and a username that is taken gets a number appended. So neither the response nor another try reveals
        whether an address or a username exists.

        Raises Forbidden `registration_closed`, `mail_not_set_up`; InvalidRequest, WeakPassword, Unavailable.
        """
        if not self.is_open:
            raise Forbidden("Accounts are created by invitation only. Ask an admin.", code="registration_closed")
        self._mails.ensure_set_up()
        username, email = check_username(username), check_email(email)
        sealed = self._passwords.prepare(password, names=(username, email))
        details = {"username": username, "email": email, "password_sealed": sealed, "base_url": base_url}
        with self._db.write() as connection:
            self._mails.defer_email(connection, "registration", details)

    def resend_verification(self, email: str, base_url: str) -> None:
        """Mail another link to the person who registered with `email` and has not proven it. The work is the same for
        every address.

        Raises InvalidRequest, Forbidden `mail_not_set_up`.
        """
        details = {"email": check_email(email), "base_url": base_url}
        ttl_seconds = lifetime_seconds(LinkPurpose.VERIFY_EMAIL)
        with self._db.write() as connection:
            self._mails.defer_email(connection, "verification", details, ttl_seconds=ttl_seconds)

    def verify_email(self, link: str) -> Account:
        """The account whose address the link proves. It can sign in now. Raises InvalidLink."""
        with self._db.write() as connection:
            account = self._links.use_link(connection, LinkPurpose.VERIFY_EMAIL, link)
            if account.state is not AccountState.UNVERIFIED:
                raise InvalidLink
            return self._accounts.activate(connection, account.account_id)

    def _write_registration(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        email, base_url = details["email"], details["base_url"]
        known = repository.find_by_email(connection, email)
        if known is not None:
            return self._write_to_known(connection, known, base_url)
        name = next(
            it
            for it in usernames_for(details["username"], email)
            if repository.find_by_username(connection, it) is None
        )
        wanted = NewAccount(email=email, username=name, state=AccountState.UNVERIFIED)
        account = self._accounts.insert_account(connection, wanted, details["password_sealed"])
        made = self._links.make_link(connection, LinkPurpose.VERIFY_EMAIL, account.account_id)
        link = write_link(base_url, LinkPurpose.VERIFY_EMAIL, made.token)
        return templates.verification_email(account.email, self._brand_name, link)

    def _write_to_known(self, connection: Connection, known: Account, base_url: str) -> Mail | None:
        """A person who registers with the address of an account gets a link to choose its password, which also proves
        the address: the account may have been registered by somebody else.
        """
        if not may_reset(known):
            return None
        made = self._links.make_mailed_link(connection, LinkPurpose.RESET_PASSWORD, known.account_id)
        if made is None:
            return None
        link = write_link(base_url, LinkPurpose.RESET_PASSWORD, made.token)
        return templates.known_address_email(known.email, self._brand_name, link)

    def _write_verification(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        account = repository.find_by_email(connection, details["email"])
        if account is None or account.state is not AccountState.UNVERIFIED:
            return None
        made = self._links.make_mailed_link(connection, LinkPurpose.VERIFY_EMAIL, account.account_id)
        if made is None:
            return None
        link = write_link(details["base_url"], LinkPurpose.VERIFY_EMAIL, made.token)
        return templates.verification_email(account.email, self._brand_name, link)


METHOD = "invitation"


@dataclass(frozen=True, slots=True)
class NewInvitation:
    email: str
    role: str = Role.VIEWER.value
    user_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invitation:
    """`link` can be shown only now, because its hash is stored. `is_mailed` says whether it is also being mailed."""

    account: Account
    link: str = field(repr=False)
    expires_at: datetime
    is_mailed: bool


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    account: Account
    expires_at: datetime


class InvitationService:
    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        passwords: AccountPasswords,
        links: LinkService,
        mails: MailService,
        sign_ins: SignInService,
        audit: AuditTrail,
        *,
        brand_name: str,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._passwords = passwords
        self._links = links
        self._mails = mails
        self._sign_ins = sign_ins
        self._audit = audit
        self._brand_name = brand_name

    def invite(self, actor: Actor, wanted: NewInvitation, base_url: str) -> Invitation:
        """Create an account for a person, who may choose a username and a password with the link, within seven days.

        Inviting a person again who has not accepted replaces role and grants and makes the earlier link invalid. Raises
        InsufficientScope unless `actor` is an admin; InvalidRequest; Conflict `email_taken` if the account is already
        set up.
        """
        ensure_admin(actor)
        with self._db.write() as connection:
            account = self._save_invited(connection, actor, wanted)
            made = self._links.make_link(connection, LinkPurpose.INVITATION, account.account_id, actor=actor)
            link = write_link(base_url, LinkPurpose.INVITATION, made.token)
            mail = templates.invitation_email(account.email, self._brand_name, link)
            mail_id = self._mails.send_mail(connection, mail)
        self._mails.wake(mail_id)
        return Invitation(account, link, made.expires_at, is_mailed=mail_id is not None)

    def look_at(self, link: str) -> OpenInvitation:
        """What the link invites to. The link is not used up. Raises InvalidLink."""
        with self._db.read() as connection:
            found = self._links.look_at(connection, LinkPurpose.INVITATION, link)
            account = repository.get_account(connection, found.account_id)
        if account is None or account.state is not AccountState.INVITED:
            raise InvalidLink
        return OpenInvitation(account, found.expires_at)

    def accept(self, link: str, username: str, password: str) -> Account:
        """Use up the link: the account gets the username and the password, and can sign in.

        Raises InvalidLink; InvalidRequest, WeakPassword, Unavailable and Conflict `username_taken`, after which the
        link is still valid.
        """
        account = self.look_at(link).account
        sealed = self._passwords.prepare(password, names=(username, account.email))
        with self._db.write() as connection:
            held = self._links.use_link(connection, LinkPurpose.INVITATION, link)
            if held.state is not AccountState.INVITED:
                raise InvalidLink
            self._passwords.store(connection, held.account_id, sealed)
            return self._accounts.activate(connection, held.account_id, username=username)

    def accept_and_sign_in(self, link: str, username: str, password: str, device: Device) -> SignedIn:
        """The same, and a session. Raises as `accept`. After the account is set up it may raise SecondFactorRequired
        and the errors of a call; the person then signs in as everyone does.
        """
        account = self.accept(link, username, password)
        self._sign_ins.require_second_factor(account, METHOD)
        return self._sign_ins.start_session(account.account_id, device, METHOD)

    def _save_invited(self, connection: Connection, actor: Actor, wanted: NewInvitation) -> Account:
        known = repository.find_by_email(connection, check_email(wanted.email))
        if known is None or known.state is not AccountState.INVITED:
            invited = NewAccount(
                email=wanted.email, role=wanted.role, user_ids=wanted.user_ids, state=AccountState.INVITED
            )
            return self._accounts.insert_account(connection, invited, actor=actor)
        held = repository.get_account(connection, known.account_id, for_update=True) or known
        after = replace(held, role=check_role(wanted.role), user_ids=check_grants(wanted.user_ids))
        repository.update_account(connection, after)
        self._audit.record(
            connection, actor, "account.invited_again", account_id=held.account_id, detail=differences(held, after)
        )
        return after
