"""Accounts and passwords by mailed links: registration, invitations, and replacing a lost password."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from letstalk.accounts import models, repository
from letstalk.accounts.account_sessions import AccountSessionService, SignedIn
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.passwords import AccountPasswords
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_ins import SignInService
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Forbidden, InvalidLink, InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.db.database import Database
from letstalk.mail import templates
from letstalk.mail.models import LinkPurpose, Mail, lifetime_seconds, write_link
from letstalk.mail.outbox import DeferredEmail, MailService

METHOD = "invitation"


def may_reset(account: models.Account) -> bool:
    """Whether access to the mailbox is enough to choose a new password. Not for an account without a password: its
    person signs in with another service, which may have locked them out.
    """
    return account.has_password and account.is_active


def may_verify(account: models.Account) -> bool:
    """Whether access to the mailbox proves the address of an account that somebody registered."""
    return account.state is models.AccountState.UNVERIFIED


@dataclass(frozen=True, slots=True)
class MailedLinks:
    """What the services below are built on, and how they mail links."""

    db: Database
    accounts: AccountService
    passwords: AccountPasswords
    links: LinkService
    mails: MailService
    brand_name: str
    clock: Clock

    def defer(self, kind: str, purpose: LinkPurpose, email: str, base_url: str, address: str, **more: str) -> None:
        """Have a mail to `email` written in the background, so that the work is the same for every email address. The
        mail says that it was asked for from `address`. Raises InvalidRequest, Forbidden `mail_not_set_up`.
        """
        asked, email = templates.describe_request(self.clock(), address), models.check_email(email)
        self.mails.ensure_set_up()
        if not self.mails.can_reach(email):
            sentence = "Our mail server takes only ASCII characters before the @ of an e-mail address."
            raise InvalidRequest.in_field("email", sentence)
        details = {"email": email, "base_url": base_url, "asked": asked, **more}
        with self.db.write() as connection:
            self.mails.defer_email(connection, kind, details, ttl_seconds=lifetime_seconds(purpose))

    def write_mail(
        self,
        connection: Connection,
        purpose: LinkPurpose,
        account: models.Account,
        details: DeferredEmail,
        template: Callable[[str, str, str, str], Mail],
    ) -> Mail | None:
        """The mail with a new link; None if the account was mailed too often recently."""
        made = self.links.make_mailed_link(connection, purpose, account.account_id)
        if made is None:
            return None
        link = write_link(details["base_url"], purpose, made.token)
        return template(account.email, self.brand_name, link, details.get("asked", ""))  # earlier versions left it out

    def choose_password(
        self,
        purpose: LinkPurpose,
        link: str,
        password: str,
        field: str,
        may_use: Callable[[models.Account], bool],
        address: str,
    ) -> models.Account:
        """Use up a link that proves the e-mail address: the account gets the password, and every session ends. Raises
        InvalidLink, also for an account that `may_use` rejects; WeakPassword, Unavailable and TooManyRequests, after
        which the link is still valid.
        """
        with self.db.read() as connection:
            found = self.links.find_link(connection, purpose, link)
            account = repository.get_account(connection, found.account_id)
        if account is None or not may_use(account):
            raise InvalidLink
        # Hashing takes long, and no transaction may wait for it.
        sealed = self.passwords.prepare(password, account=account, field=field, address=address)
        with self.db.write() as connection:
            locked = self.links.use_link(connection, purpose, link)
            if not may_use(locked):
                raise InvalidLink
            self.passwords.store(connection, locked.account_id, sealed)
            return locked if locked.is_active else self.accounts.activate(connection, locked.account_id)


class PasswordResetService:
    def __init__(self, mailed: MailedLinks) -> None:
        self._mailed = mailed
        mailed.mails.register_writer("reset", self._write_reset)

    def request_link(self, email: str, base_url: str, address: str) -> None:
        """Mail a link to the account with `email`, if there is one. Raises as `MailedLinks.defer`."""
        self._mailed.defer("reset", LinkPurpose.RESET_PASSWORD, email, base_url, address)

    def reset(self, link: str, password: str, address: str) -> None:
        """Replace the lost password and end every session. Raises as `MailedLinks.choose_password`."""
        self._mailed.choose_password(LinkPurpose.RESET_PASSWORD, link, password, "new_password", may_reset, address)

    def _write_reset(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        account = repository.find_by_email(connection, details["email"])
        if account is None or not may_reset(account):
            return None
        purpose, template = LinkPurpose.RESET_PASSWORD, templates.password_reset_email
        return self._mailed.write_mail(connection, purpose, account, details, template)


class RegistrationService:
    def __init__(self, mailed: MailedLinks, *, is_open: bool) -> None:
        self._mailed = mailed
        self.is_open = is_open
        mailed.mails.register_writer("registration", self._write_registration)
        mailed.mails.register_writer("verification", self._write_verification)

    def register(self, username: str, email: str, base_url: str, address: str, *, password: str | None = None) -> None:
        """Create an account that can sign in once its person has chosen a password with the link in a mail. A
        `password` is checked and not kept: whoever asks for the account need not be the owner of `email`.

        All that depends on existing accounts is done in the background: an address that has an account gets a mail that
        says so, and a username that is taken gets a number appended. So neither the response nor another try reveals
        whether an address or a username exists.

        Raises Forbidden `registration_closed`, `mail_not_set_up`; InvalidRequest, WeakPassword, Unavailable.
        """
        mailed = self._mailed
        if not self.is_open:
            raise Forbidden("Accounts are created by invitation only. Ask an admin.", code="registration_closed")
        mailed.mails.ensure_set_up()
        problems = FieldErrors()
        with problems.collected():
            models.check_username(username)
        with problems.collected():
            models.check_email(email)
        if password is not None:
            with problems.collected():
                mailed.passwords.ensure_allowed(password, names=(username, email), address=address)
        problems.raise_found()
        mailed.defer("registration", LinkPurpose.VERIFY_EMAIL, email, base_url, address, username=username)

    def resend_verification(self, email: str, base_url: str, address: str) -> None:
        """Mail another link to the person who has not proven `email` yet. Raises as `MailedLinks.defer`."""
        self._mailed.defer("verification", LinkPurpose.VERIFY_EMAIL, email, base_url, address)

    def verify_email(self, link: str, password: str, address: str) -> models.Account:
        """The account whose address the link proves. It can sign in now, with `password`. Raises as
        `MailedLinks.choose_password`.
        """
        return self._mailed.choose_password(LinkPurpose.VERIFY_EMAIL, link, password, "password", may_verify, address)

    def _write_registration(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        mailed, email = self._mailed, details["email"]
        known = repository.find_by_email(connection, email)
        if known is not None and may_verify(known):
            return self._write_verification_mail(connection, known, details)
        if known is not None:
            if not may_reset(known):
                return None
            purpose, template = LinkPurpose.RESET_PASSWORD, templates.known_address_email
            return mailed.write_mail(connection, purpose, known, details, template)
        if repository.has_similar_email(connection, email, without=""):
            return None
        username = repository.find_free_username(connection, details["username"], email)
        wanted = models.NewAccount(email=email, username=username, state=models.AccountState.UNVERIFIED)
        return self._write_verification_mail(connection, mailed.accounts.insert_account(connection, wanted), details)

    def _write_verification(self, connection: Connection, details: DeferredEmail) -> Mail | None:
        account = repository.find_by_email(connection, details["email"])
        if account is None or not may_verify(account):
            return None
        return self._write_verification_mail(connection, account, details)

    def _write_verification_mail(
        self, connection: Connection, account: models.Account, details: DeferredEmail
    ) -> Mail | None:
        template = partial(templates.verification_email, name=account.username or "")
        return self._mailed.write_mail(connection, LinkPurpose.VERIFY_EMAIL, account, details, template)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    email: str
    role: str = models.Role.VIEWER.value
    owner_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invitation:
    """`link` can be shown only now, because its hash is stored. `is_mailed` says whether it is also being mailed."""

    account: models.Account
    link: str = field(repr=False)
    expires_at: datetime
    is_mailed: bool


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    account: models.Account
    expires_at: datetime


class InvitationService:
    """An admin creates an account with its role; the person chooses the username and the password."""

    def __init__(
        self, mailed: MailedLinks, sign_ins: SignInService, sessions: AccountSessionService, audit: AuditTrail
    ) -> None:
        self._mailed = mailed
        self._sign_ins = sign_ins
        self._sessions = sessions
        self._audit = audit

    def invite(self, actor: Actor, wanted: NewInvitation, base_url: str) -> Invitation:
        """Create an account for a person, who may choose a username and a password with the link, within seven days.

        Inviting a person again who has not accepted replaces role and grants and makes the earlier link invalid. Raises
        InsufficientScope unless `actor` is an admin; InvalidRequest; Conflict `email_taken` if the account is already
        set up.
        """
        models.ensure_admin(actor)
        mailed = self._mailed
        problems = FieldErrors()
        with problems.collected():
            models.check_email(wanted.email)
        with problems.collected():
            models.check_role(wanted.role)
        with problems.collected():
            models.check_grants(wanted.owner_ids)
        problems.raise_found()
        is_reached = mailed.mails.can_reach(models.check_email(wanted.email))
        with mailed.db.write() as connection:
            account = self._save_invited(connection, actor, wanted)
            made = mailed.links.make_link(connection, LinkPurpose.INVITATION, account.account_id, actor=actor)
            link = write_link(base_url, LinkPurpose.INVITATION, made.token)
            mail = templates.invitation_email(account.email, mailed.brand_name, link)
            mail_id = mailed.mails.send_mail(connection, mail) if is_reached else None
        mailed.mails.wake(mail_id)
        return Invitation(account, link, made.expires_at, is_mailed=mail_id is not None)

    def get_invitation(self, link: str) -> OpenInvitation:
        """What the link invites to. The link is not used up. Raises InvalidLink."""
        with self._mailed.db.read() as connection:
            found = self._mailed.links.find_link(connection, LinkPurpose.INVITATION, link)
            account = repository.get_account(connection, found.account_id)
        if account is None or account.state is not models.AccountState.INVITED:
            raise InvalidLink
        return OpenInvitation(account, found.expires_at)

    def accept(self, link: str, username: str, password: str, address: str) -> models.Account:
        """Use up the link: the account gets the username and the password, and can sign in.

        Raises InvalidLink; InvalidRequest, WeakPassword, Unavailable, TooManyRequests and Conflict `username_taken`,
        after which the link is still valid.
        """
        mailed = self._mailed
        invited = self.get_invitation(link).account
        problems = FieldErrors()
        with problems.collected():
            models.check_username(username)
        with problems.collected():
            sealed = mailed.passwords.prepare(password, names=(username,), account=invited, address=address)
        problems.raise_found()
        with mailed.db.write() as connection:
            locked = mailed.links.use_link(connection, LinkPurpose.INVITATION, link)
            if locked.state is not models.AccountState.INVITED:
                raise InvalidLink
            mailed.passwords.store(connection, locked.account_id, sealed)
            return mailed.accounts.activate(connection, locked.account_id, username=username)

    def accept_and_sign_in(self, link: str, username: str, password: str, device: models.Device) -> SignedIn:
        """The same, and a session. Raises as `accept`. After the account is set up it may raise SecondFactorRequired
        and the errors of a call; the person then signs in as everyone does.
        """
        account = self.accept(link, username, password, device.address)
        self._sign_ins.require_second_factor(account, METHOD)
        epoch = account.credentials_epoch
        return self._sessions.start_session(account.account_id, device, METHOD, credentials_epoch=epoch)

    def _save_invited(self, connection: Connection, actor: Actor, wanted: NewInvitation) -> models.Account:
        known = repository.find_by_email(connection, models.check_email(wanted.email))
        if known is None or known.state is not models.AccountState.INVITED:
            invited = models.NewAccount(
                email=wanted.email, role=wanted.role, owner_ids=wanted.owner_ids, state=models.AccountState.INVITED
            )
            return self._mailed.accounts.insert_account(connection, invited, actor=actor)
        before = repository.get_account(connection, known.account_id, for_update=True) or known
        after = replace(before, role=models.check_role(wanted.role), owner_ids=models.check_grants(wanted.owner_ids))
        repository.update_account(connection, after)
        detail = models.differences(before, after)
        self._audit.record(connection, actor, "account.invited_again", account_id=before.account_id, detail=detail)
        return after
