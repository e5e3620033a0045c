"""Invitations: an admin creates an account with its role, and the person chooses the username and the password."""

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
    differences,
    ensure_admin,
)
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.passwords import AccountPasswords
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_ins import SignedIn, SignInService
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.errors import InvalidLink
from letstalk.db.database import Database
from letstalk.mail import templates
from letstalk.mail.models import LinkPurpose, write_link
from letstalk.mail.outbox import MailService

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
