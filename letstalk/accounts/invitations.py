"""People whom an admin invites: put on record with their role, and let in once they have chosen name and password."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from letstalk.accounts import repository as storage
from letstalk.accounts.account_passwords import AccountPasswords
from letstalk.accounts.changes import NewAccount, differences
from letstalk.accounts.models import Account, AccountState, Device, Role, check_email, check_grants, check_role
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_ins import SignedIn, SignInService
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.errors import InsufficientScope, InvalidLink
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.mail import templates as letters
from letstalk.mail.links import LinkPurpose, write_link
from letstalk.mail.outbox import MailService

METHOD = "invitation"


@dataclass(frozen=True, slots=True)
class NewInvitation:
    email: str
    role: str = Role.VIEWER.value
    user_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invitation:
    """`link` can be shown only here: of it a hash is kept. `is_mailed` says that it is on its way by mail too."""

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
        """Put someone on record who may choose a name and a password by the link, within seven days.

        Inviting them again, before they have come, changes role and grants to those given now and ends the link from
        before. Raises InsufficientScope for who is no admin; InvalidRequest; Conflict `email_taken` for an address
        whose account was set up already.
        """
        if not actor.is_admin:
            raise InsufficientScope("Only an admin may do this.", required_scopes=(Scope.ADMIN.value,))
        with self._db.write() as connection:
            account = self._put_on_record(connection, actor, wanted)
            made = self._links.make_link(connection, LinkPurpose.INVITATION, account.account_id, actor=actor)
            link = write_link(base_url, LinkPurpose.INVITATION, made.token)
            letter = letters.invitation_letter(account.email, self._brand_name, link)
            mail_id = self._mails.send_mail(connection, letter)
        self._mails.wake(mail_id)
        return Invitation(account, link, made.expires_at, is_mailed=mail_id is not None)

    def look_at(self, link: str) -> OpenInvitation:
        """What the link invites to, which leaves it as it was. Raises InvalidLink."""
        with self._db.read() as connection:
            found = self._links.look_at(connection, LinkPurpose.INVITATION, link)
            account = storage.get_account(connection, found.account_id)
        if account is None or account.state is not AccountState.INVITED:
            raise InvalidLink
        return OpenInvitation(account, found.expires_at)

    def accept(self, link: str, username: str, password: str) -> Account:
        """Use the link up: the account has that name and password from now on and may sign in.

        Raises InvalidLink; InvalidRequest, WeakPassword, Unavailable and Conflict `username_taken`, which leave the
        link as it was.
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
        """The same, and a session. Raises as `accept`; SecondFactorRequired and what else asking for a code can raise,
        the account being set up by then: they sign in as everyone does.
        """
        account = self.accept(link, username, password)
        self._sign_ins.require_second_factor(account, METHOD)
        return self._sign_ins.start_session(account.account_id, device, METHOD)

    def _put_on_record(self, connection: Connection, actor: Actor, wanted: NewInvitation) -> Account:
        known = storage.find_by_email(connection, check_email(wanted.email))
        if known is None or known.state is not AccountState.INVITED:
            invited = NewAccount(
                email=wanted.email, role=wanted.role, user_ids=wanted.user_ids, state=AccountState.INVITED
            )
            return self._accounts.insert_account(connection, invited, actor=actor)
        held = storage.get_account(connection, known.account_id, hold=True) or known
        after = replace(held, role=check_role(wanted.role), user_ids=check_grants(wanted.user_ids))
        storage.update_account(connection, after)
        self._audit.record(
            connection, actor, "account.invited_again", account_id=held.account_id, detail=differences(held, after)
        )
        return after
