"""The account of an identity. (issuer, subject) links the two; an e-mail address does so only the first time."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from letstalk.accounts import repository as account_repository
from letstalk.accounts.models import Account, AccountState, NewAccount, Role, ensure_admin
from letstalk.accounts.service import AccountService
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.sso import repository
from letstalk.sso.models import Identity, IdentityRefused, ProviderUnavailable

log = get_logger(__name__)


class IdentityService:
    def __init__(self, db: Database, accounts: AccountService, audit: AuditTrail, clock: Clock) -> None:
        self._db = db
        self._accounts = accounts
        self._audit = audit
        self._clock = clock

    def admit(self, connection: Connection, identity: Identity, sign_up: Role | None) -> Account:
        """The active account of `identity`, in the caller's transaction.

        1. An identity that was linked before leads to its account, whatever e-mail address it has now.
        2. A new identity is linked by its verified e-mail address to an active account, or to an invited account, which
           becomes active. An unverified account goes to the owner of the address: the person who registered it had
           not proven the address, so their password and phone are removed.
        3. A person without an account gets one with the role `sign_up`, without grants; with None, no account.

        Raises ProviderUnavailable for a new identity whose address could not be asked for, and IdentityRefused
        otherwise, for a disabled account, and for an account that the issuer knows by another
        subject, because the address may belong to a different person now.
        """
        known = self._find(connection, identity)
        if known is None:
            # Two concurrent first sign-ins must not both find no account.
            self._db.lock(connection, "identities")
            known = self._find(connection, identity) or self._link(connection, identity, sign_up)
        if not known.is_active:
            raise IdentityRefused(f"account {known.state.value}")
        return known

    def unlink(self, actor: Actor, account_id: str) -> int:
        """Forget an account's identities. Returns how many there were. Raises InsufficientScope."""
        ensure_admin(actor)
        with self._db.write() as connection:
            forgotten = repository.delete_identities(connection, account_id)
            for issuer, _ in forgotten:
                detail = {"issuer": issuer}
                self._audit.record(connection, actor, "identity.unlinked", account_id=account_id, detail=detail)
        return len(forgotten)

    def _find(self, connection: Connection, identity: Identity) -> Account | None:
        account_id = repository.find_account_of_identity(connection, identity.issuer, identity.subject)
        return None if account_id is None else account_repository.get_account(connection, account_id, for_update=True)

    def _link(self, connection: Connection, identity: Identity, sign_up: Role | None) -> Account:
        email = identity.verified_email
        if email is None and identity.is_incomplete:
            raise ProviderUnavailable("userinfo, which may verify the address")
        if email is None:
            raise IdentityRefused("no verified e-mail address")
        account = account_repository.find_by_email(connection, email)
        if account is None:
            if sign_up is None:
                raise IdentityRefused("no account")
            username = account_repository.find_free_username(connection, identity.name, email)
            try:
                account = self._accounts.insert_account(
                    connection, NewAccount(email, username, sign_up.value, owns_itself=True)
                )
            except Conflict as error:
                raise IdentityRefused(error.code) from None
        elif repository.has_identity_of(connection, identity.issuer, account.account_id):
            raise IdentityRefused("the account is linked with another subject")
        elif account.state is AccountState.INVITED:
            username = account_repository.find_free_username(connection, identity.name, email)
            account = self._accounts.activate(connection, account.account_id, username=username)
        elif account.email_verified_at is None and account.state is not AccountState.DISABLED:
            without_phone = replace(account, phone=None, pending_phone=None, second_factor=False)
            account_repository.update_account(connection, without_phone)
            account_repository.clear_password(connection, account.account_id)
            account = self._accounts.activate(connection, account.account_id)
        if account.is_active:
            self._insert(connection, identity, account)
        return account

    def _insert(self, connection: Connection, identity: Identity, account: Account) -> None:
        repository.insert_identity(connection, identity.issuer, identity.subject, account.account_id, self._clock())
        detail = {"issuer": identity.issuer}
        self._audit.record(connection, None, "identity.linked", account_id=account.account_id, detail=detail)
        log.info("identity_linked", account_id=account.account_id, issuer=identity.issuer)
