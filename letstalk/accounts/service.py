"""People: put on record, looked at, changed, disabled, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from letstalk.accounts import link_repository as one_time_links
from letstalk.accounts import repository as storage
from letstalk.accounts import session_repository as sessions
from letstalk.accounts.account_passwords import AccountPasswords
from letstalk.accounts.changes import AccountChanges, AccountPage, NewAccount, apply_changes, differences
from letstalk.accounts.models import Account, AccountState, Role, check_email, check_grants, check_role, check_username
from letstalk.accounts.repository import AccountFilter
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, InsufficientScope, InvalidCredentials, InvalidRequest, NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.pagination import decode_cursor, encode_cursor
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.tokens.changes import Unset

__all__ = ["AccountChanges", "AccountPage", "AccountService", "NewAccount"]

MAX_PAGE = 100


class AccountService:
    """Methods that take a `connection` write in the caller's transaction, and neither hash nor wait."""

    def __init__(
        self,
        db: Database,
        passwords: AccountPasswords,
        audit: AuditTrail,
        clock: Clock,
        *,
        default_region: str | None,
        needs_admin: bool,
    ) -> None:
        """With `needs_admin` the last active admin can't be taken away: nobody else could let anyone in again."""
        self._db = db
        self._passwords = passwords
        self._audit = audit
        self._clock = clock
        self._default_region = default_region
        self._needs_admin = needs_admin

    def create_account(self, wanted: NewAccount, actor: Actor | None = None) -> Account:
        """Someone new. Raises InvalidRequest, InvalidPhone, WeakPassword, Conflict `username_taken`, `email_taken`."""
        sealed = None
        if wanted.password is not None:
            sealed = self._passwords.prepare(wanted.password, names=(wanted.username or "", wanted.email))
        with self._db.write() as connection:
            return self.insert_account(connection, wanted, sealed, actor)

    def insert_account(
        self, connection: Connection, wanted: NewAccount, password_sealed: str | None = None, actor: Actor | None = None
    ) -> Account:
        """The same in the caller's transaction, with what `AccountPasswords.prepare` made of the password."""
        if wanted.username is None and wanted.state is not AccountState.INVITED:
            raise InvalidRequest.in_field("username", "username is missing.")
        account = Account(
            account_id=str(uuid4()),
            username=None if wanted.username is None else check_username(wanted.username),
            email=check_email(wanted.email),
            role=check_role(wanted.role),
            state=wanted.state,
            phone=None if wanted.phone is None else parse_phone(wanted.phone, self._default_region).e164,
            user_ids=check_grants(wanted.user_ids),
            created_at=self._clock(),
            second_factor=wanted.second_factor,
            has_password=password_sealed is not None,
        )
        if account.second_factor and account.phone is None:
            raise InvalidRequest.in_field("second_factor", "second_factor needs a phone.")
        with self._naming(connection, account):
            storage.insert_account(connection, account, password_sealed)
        detail = {"role": account.role.value, "state": account.state.value, "user_ids": list(account.user_ids)}
        self._record(connection, actor, "account.created", account, detail)
        return account

    def find(self, account_id: str) -> Account | None:
        known_id = canonical_id(account_id)
        if known_id is None:
            return None
        with self._db.read() as connection:
            return storage.get_account(connection, known_id)

    def find_by_email(self, email: str) -> Account | None:
        if not email.isprintable():
            return None
        with self._db.read() as connection:
            return storage.find_by_email(connection, email)

    def find_by_username(self, username: str) -> Account | None:
        if not username.isprintable():
            return None
        with self._db.read() as connection:
            return storage.find_by_username(connection, username)

    def get_account(self, actor: Actor, account_id: str) -> Account:
        """Raises NotFound for one that `actor` may not see: everyone sees themselves, an admin everyone."""
        account = self.find(account_id)
        if account is None or not (actor.is_admin or actor.account_id == account.account_id):
            raise NotFound("There is no such account.")
        return account

    def list_accounts(
        self,
        actor: Actor,
        *,
        role: Role | None = None,
        state: AccountState | None = None,
        search: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AccountPage:
        """People, the newest first; `search` keeps those with the text in name or address.

        Raises InsufficientScope for who is no admin, InvalidRequest.
        """
        _refuse_unless_admin(actor)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest.in_field("limit", f"limit must be 1 to {MAX_PAGE}.")
        before = None if cursor is None else decode_cursor(cursor)
        with self._db.read() as connection:
            found = storage.list_accounts(
                connection, AccountFilter(role, state, search), limit=limit + 1, before=before
            )
        page = tuple(found[:limit])
        is_last = len(found) <= limit
        return AccountPage(page, None if is_last else encode_cursor(page[-1].created_at, page[-1].account_id))

    def update_account(
        self, actor: Actor, account_id: str, changes: AccountChanges, *, is_confirmed: bool = False
    ) -> Account:
        """The account with `changes` made.

        An admin changes everything of everyone; a person their own name, phone and second factor. The latter two are
        `is_confirmed` by the present password where there is one, also an admin's own, so that a stolen token can't
        take the second factor over. A new role lets no access token count any more that was given out before;
        disabling ends every session.

        Raises NotFound, InsufficientScope, InvalidCredentials, InvalidRequest, InvalidPhone, Conflict
        (`username_taken`, `email_taken`, `last_admin`).
        """
        account = self.get_account(actor, account_id)
        if changes.is_of_rights:
            _refuse_unless_admin(actor)
        is_own = actor.account_id == account.account_id
        if is_own and changes.is_of_factors and account.has_password and not is_confirmed:
            raise InvalidCredentials
        with self._db.write() as connection:
            now = self._clock()
            before = self._hold(connection, account.account_id)
            after = apply_changes(before, changes, self._default_region)
            if not isinstance(changes.username, Unset) and before.username is None:
                raise InvalidRequest.in_field("username", "Who was invited chooses the name.")
            changed = differences(before, after)
            if not changed:
                return before
            self._refuse_losing_last_admin(connection, before, after)
            with self._naming(connection, after):
                storage.update_account(connection, after)
            if after.email != before.email or after.state is AccountState.DISABLED:
                # What was mailed is in the hands of whoever had that address then.
                one_time_links.end_links(connection, after.account_id, now)
            if after.state is AccountState.DISABLED and before.state is not AccountState.DISABLED:
                sessions.end_sessions(connection, after.account_id, "account_disabled", now)
            elif after.role is not before.role:
                sessions.refuse_access_tokens(connection, after.account_id)
            self._record(connection, actor, "account.updated", after, changed)
            return after

    def activate(self, connection: Connection, account_id: str, *, username: str | None = None) -> Account:
        """Let someone who was invited or unverified sign in, by a name where they have none yet.

        Raises NotFound; Conflict for one that is disabled, or `username_taken`; InvalidRequest.
        """
        account = self._hold(connection, account_id)
        if account.state is AccountState.DISABLED:
            raise Conflict("This account is disabled.", code="account_disabled")
        name = account.username if username is None else check_username(username)
        if name is None:
            raise InvalidRequest.in_field("username", "username is missing.")
        after = replace(account, username=name, state=AccountState.ACTIVE)
        with self._naming(connection, after):
            storage.update_account(connection, after)
        self._record(connection, None, "account.activated", after, {"from": account.state.value})
        return after

    def delete_account(self, actor: Actor, account_id: str) -> None:
        """Forget a person with all that hangs on them. Raises InsufficientScope, NotFound, Conflict `last_admin`."""
        _refuse_unless_admin(actor)
        with self._db.write() as connection:
            account = self._hold(connection, canonical_id(account_id) or "")
            self._refuse_losing_last_admin(connection, account, None)
            storage.delete_account(connection, account.account_id)
            self._record(connection, actor, "account.deleted", account, {"role": account.role.value})

    def set_password(self, account_id: str, password: str, actor: Actor | None = None) -> None:
        """See `AccountPasswords.set_password`. Raises NotFound, WeakPassword, Unavailable."""
        self._passwords.set_password(account_id, password, actor)

    def has_active_admin(self) -> bool:
        with self._db.read() as connection:
            return storage.count_active_admins(connection) > 0

    def has_accounts(self) -> bool:
        """Whether anybody is on record at all."""
        with self._db.read() as connection:
            return storage.has_accounts(connection)

    def _hold(self, connection: Connection, account_id: str) -> Account:
        account = storage.get_account(connection, account_id, hold=True)
        if account is None:
            raise NotFound("There is no such account.")
        return account

    def _refuse_losing_last_admin(self, connection: Connection, before: Account, after: Account | None) -> None:
        if not self._needs_admin or not (before.is_active and before.role is Role.ADMIN):
            return
        if after is not None and after.is_active and after.role is Role.ADMIN:
            return
        # Two admins who leave at once must not each count on the other.
        self._db.lock(connection, "admins")
        if storage.count_active_admins(connection, without=before.account_id) == 0:
            raise Conflict("This is the last admin who can sign in. Make another one first.", code="last_admin")

    @contextmanager
    def _naming(self, connection: Connection, account: Account) -> Iterator[None]:
        """Whose name or address is taken is told which of them."""
        self._db.lock(connection, "account_names")
        by_email = storage.find_by_email(connection, account.email)
        if by_email is not None and by_email.account_id != account.account_id:
            raise Conflict("Someone has this e-mail address already.", code="email_taken")
        by_name = None if account.username is None else storage.find_by_username(connection, account.username)
        if by_name is not None and by_name.account_id != account.account_id:
            raise Conflict("Someone has this name already.", code="username_taken")
        try:
            yield
        except IntegrityError:
            raise Conflict("Someone has this name or address already.", code="username_taken") from None

    def _record(
        self, connection: Connection, actor: Actor | None, action: str, account: Account, detail: Mapping[str, object]
    ) -> None:
        self._audit.record(connection, actor, action, account_id=account.account_id, detail=detail)


def _refuse_unless_admin(actor: Actor) -> None:
    if not actor.is_admin:
        raise InsufficientScope("Only an admin may do this.", required_scopes=(Scope.ADMIN.value,))
