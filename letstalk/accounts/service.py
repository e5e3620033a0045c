"""Accounts: create, find, list, change, disable, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from letstalk.accounts import account_session_repository as session_repository
from letstalk.accounts import models, one_time_links, recovery_code_repository, repository
from letstalk.accounts.models import Account, AccountChanges, AccountPage, AccountState, NewAccount, Role, scopes_of
from letstalk.accounts.passwords import AccountPasswords
from letstalk.accounts.repository import AccountFilter
from letstalk.audit.service import About, AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, Forbidden, InvalidRequest, NotFound
from letstalk.core.field_errors import FieldErrors
from letstalk.core.ids import canonical_id
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.core.unset import Unset
from letstalk.db.database import Database
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.tokens import repository as token_repository
from letstalk.tokens.models import Token

MAX_PAGE = 100
FRESH_FOR = timedelta(minutes=10)


def ensure_may_change_factor(
    connection: Connection, actor: Actor, account: Account, now: datetime, *, is_confirmed: bool
) -> None:
    """Raises unless `actor`, a person, may change their own phone and second factor now, also as an admin.

    A stolen token or cookie must not be enough. So the present password must confirm it where there is one
    (`is_confirmed`): InvalidRequest. And the sign-in must be fresh, by whatever method, unless the account has a
    password and no phone yet: Forbidden `fresh_sign_in_required`.
    """
    if account.has_password and not is_confirmed:
        raise InvalidRequest.in_field("current_password", "current_password is missing.")
    if not account.has_password or account.phone is not None:
        ensure_fresh_sign_in(connection, actor, now)


def ensure_fresh_sign_in(connection: Connection, actor: Actor, now: datetime) -> None:
    """Raises Forbidden `fresh_sign_in_required` unless a person has signed in within ten minutes. No token has."""
    found = session_repository.find_live(connection, actor.session_id or "", now)
    if found is None or now - found[0].created_at > FRESH_FOR:
        sentence = "Sign in again: this may be changed within 10 minutes of a sign-in only."
        raise Forbidden(sentence, code="fresh_sign_in_required")


class AccountService:
    """Methods that take a `connection` write in the caller's transaction, and neither hash passwords nor wait."""

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
        """With `needs_admin` the last active admin cannot be removed: nobody could administer the service any more."""
        self._db = db
        self._passwords = passwords
        self._audit = audit
        self._clock = clock
        self._default_region = default_region
        self._needs_admin = needs_admin

    def create_account(self, wanted: NewAccount, actor: Actor | None = None) -> Account:
        """Raises InvalidRequest, InvalidPhone, WeakPassword, Unavailable; Conflict `username_taken`, `email_taken`."""
        sealed = None
        problems = FieldErrors()
        with problems.collected():
            models.check_new_account(wanted, self._default_region)
        if wanted.password is not None:
            address = None if actor is None else actor.address
            names = (wanted.username or "", wanted.email)
            with problems.collected():
                sealed = self._passwords.prepare(wanted.password, names=names, address=address)
        problems.raise_found()
        with self._db.write() as connection:
            return self.insert_account(connection, wanted, sealed, actor)

    def insert_account(
        self, connection: Connection, wanted: NewAccount, password_sealed: str | None = None, actor: Actor | None = None
    ) -> Account:
        """The same in the caller's transaction, with the password as `AccountPasswords.prepare` returned it."""
        wanted = models.check_new_account(wanted, self._default_region)
        is_proven = wanted.state not in (AccountState.INVITED, AccountState.UNVERIFIED)
        now = self._clock()
        account = Account(
            account_id=str(uuid4()),
            username=wanted.username,
            email=wanted.email,
            role=Role(wanted.role),
            state=wanted.state,
            phone=None,
            pending_phone=wanted.phone,
            owner_ids=wanted.owner_ids,
            created_at=now,
            has_password=password_sealed is not None,
            email_verified_at=now if is_proven else None,
        )
        with self._unique_names(connection, account):
            if wanted.owns_itself:
                account = _with_own_owner(connection, account)
            repository.insert_account(connection, account, password_sealed)
        detail = {"role": account.role.value, "state": account.state.value, "user_ids": list(account.owner_ids)}
        self._audit.record(connection, actor, "account.created", account_id=account.account_id, detail=detail)
        return account

    def check_phone(self, phone: str) -> str:
        """`phone` as E.164. Raises InvalidPhone."""
        return parse_phone(phone, self._default_region).e164

    def find(self, account_id: str) -> Account | None:
        known_id = canonical_id(account_id)
        if known_id is None:
            return None
        with self._db.read() as connection:
            return repository.get_account(connection, known_id)

    def find_by_email(self, email: str) -> Account | None:
        if not email.isprintable():
            return None
        with self._db.read() as connection:
            return repository.find_by_email(connection, email)

    def find_by_username(self, username: str) -> Account | None:
        if not username.isprintable():
            return None
        with self._db.read() as connection:
            return repository.find_by_username(connection, username)

    def get_account(self, actor: Actor, account_id: str) -> Account:
        """Raises NotFound for an account that `actor` may not see. An admin sees every account, a person their own."""
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
        """Newest first. `search` is in the username or e-mail address. Raises InsufficientScope, InvalidRequest."""
        models.ensure_admin(actor)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest.in_field("limit", f"limit must be 1 to {MAX_PAGE}.")
        before = None if cursor is None else decode_cursor(cursor)
        with self._db.read() as connection:
            found = repository.list_accounts(
                connection, AccountFilter(role, state, search), limit=limit + 1, before=before
            )
        page, next_cursor = cut_page(found, limit, lambda one: encode_cursor(one.created_at, one.account_id))
        return AccountPage(tuple(page), next_cursor)

    def update_account(
        self,
        actor: Actor,
        account_id: str,
        changes: AccountChanges,
        *,
        is_confirmed: bool = False,
        revoke_tokens: bool = False,
    ) -> Account:
        """The account with `changes` made.

        An admin changes everything of every account; a person their own username, phone and second factor. See
        `ensure_may_change_factor` for one's own phone and second factor. To take another's away, an admin must have
        signed in a moment ago, and no token can: with a stolen session one could be made. A new role makes the existing
        access tokens invalid. Disabling ends every session and suspends the tokens that the account has created; with
        `revoke_tokens` they are revoked. An account whose address nobody has proven gets no further rights.

        Raises NotFound, InsufficientScope, Forbidden `fresh_sign_in_required`, InvalidRequest,
        InvalidPhone, Conflict (`username_taken`, `email_taken`, `email_not_verified`, `last_admin`).
        """
        account = self.get_account(actor, account_id)
        if changes.changes_rights:
            models.ensure_admin(actor)
        if revoke_tokens and changes.disabled is not True:
            raise InvalidRequest.in_field("revoke_tokens", "revoke_tokens requires disabled: true.")
        is_own = actor.account_id == account.account_id
        with self._db.write() as connection:
            now = self._clock()
            before = repository.lock_account(connection, account.account_id)
            if is_own and changes.changes_second_factor:
                ensure_may_change_factor(connection, actor, before, now, is_confirmed=is_confirmed)
            after = models.apply_changes(before, changes, self._default_region)
            if not is_own and actor.kind in (ActorKind.PERSON, ActorKind.TOKEN) and models.is_weaker(before, after):
                ensure_fresh_sign_in(connection, actor, now)
            if not isinstance(changes.username, Unset) and before.username is None:
                raise InvalidRequest.in_field("username", "An invited person chooses the username.")
            changed = models.differences(before, after)
            if revoke_tokens:
                self._revoke_tokens(connection, actor, before)
            if not changed:
                return before
            _ensure_proven(before, after)
            self._ensure_admin_remains(connection, before, after)
            with self._unique_names(connection, after):
                repository.update_account(connection, after)
            if after.phone is None and before.phone is not None:
                recovery_code_repository.delete_codes(connection, after.account_id)
            if after.email != before.email or after.state is AccountState.DISABLED:
                # The links were mailed to the former address.
                one_time_links.end_links(connection, after.account_id, now)
            if after.state is AccountState.DISABLED and before.state is not AccountState.DISABLED:
                session_repository.end_sessions(connection, after.account_id, "account_disabled", now)
            elif after.role is not before.role:
                session_repository.invalidate_access_tokens(connection, after.account_id)
            self._audit.record(connection, actor, "account.updated", account_id=account.account_id, detail=changed)
            return after

    def reset_second_factor(self, actor: Actor, account_id: str) -> Account:
        """Take the phone, the second factor and the recovery codes away from an account, whose person has lost them.

        If the role requires a code, the person enters a phone at the next sign-in. Raises as `update_account`.
        """
        after = self.update_account(actor, account_id, AccountChanges(phone=None))
        with self._db.write() as connection:
            recovery_code_repository.delete_codes(connection, account_id)
            self._audit.record(connection, actor, "second_factor.reset", account_id=account_id)
        return after

    def activate(self, connection: Connection, account_id: str, *, username: str | None = None) -> Account:
        """Make an invited or unverified account active, because its address is proven. `username` is required where it
        has none yet. One that somebody registered is granted an owner of its own. Raises NotFound; Conflict
        `account_disabled` or `username_taken`; InvalidRequest.
        """
        account = repository.lock_account(connection, account_id)
        if account.state is AccountState.DISABLED:
            raise Conflict("This account is disabled.", code="account_disabled")
        name = account.username if username is None else models.check_username(username)
        if name is None:
            raise InvalidRequest.in_field("username", "username is missing.")
        after = replace(account, username=name, state=AccountState.ACTIVE, email_verified_at=self._clock())
        with self._unique_names(connection, after):
            if account.state is AccountState.UNVERIFIED and not account.owner_ids:
                after = _with_own_owner(connection, after)
            repository.update_account(connection, after)
        detail = {"from": account.state.value, "user_ids": list(after.owner_ids)}
        self._audit.record(connection, None, "account.activated", account_id=account_id, detail=detail)
        return after

    def delete_account(self, actor: Actor, account_id: str, *, revoke_tokens: bool = False) -> None:
        """Delete an account and all that refers to it. The tokens that it has created stay, unless they are suspended
        or `revoke_tokens`. Raises InsufficientScope, NotFound, Conflict `last_admin`.
        """
        models.ensure_admin(actor)
        with self._db.write() as connection:
            account = repository.lock_account(connection, canonical_id(account_id) or "")
            self._ensure_admin_remains(connection, account, None)
            # Suspended ones would work again.
            if revoke_tokens or account.state is AccountState.DISABLED:
                self._revoke_tokens(connection, actor, account)
            repository.delete_account(connection, account.account_id)
            detail = {"role": account.role.value}
            self._audit.record(connection, actor, "account.deleted", account_id=account.account_id, detail=detail)

    def list_tokens(self, actor: Actor, account_id: str) -> list[Token]:
        """The tokens that the account has created, unless revoked or expired. Raises InsufficientScope."""
        models.ensure_admin(actor)
        with self._db.read() as connection:
            return token_repository.list_tokens_of_maker(connection, account_id, self._clock())

    def _revoke_tokens(self, connection: Connection, actor: Actor, account: Account) -> None:
        self._db.lock(connection, "tokens")
        now = self._clock()
        for token in token_repository.list_tokens_of_maker(connection, account.account_id, now):
            token_repository.update_token(connection, replace(token, revoked_at=now))
            detail = {"revoked_with_account": account.account_id}
            about = About(token_id=token.token_id, owner_id=token.owner_id, detail=detail)
            self._audit.record(connection, actor, "token.revoked", **about)

    def has_active_admin(self) -> bool:
        with self._db.read() as connection:
            return repository.count_active_admins(connection) > 0

    def has_accounts(self) -> bool:
        with self._db.read() as connection:
            return repository.has_accounts(connection)

    def _ensure_admin_remains(self, connection: Connection, before: Account, after: Account | None) -> None:
        if not self._needs_admin or not (before.is_active and before.role is Role.ADMIN):
            return
        if after is not None and after.is_active and after.role is Role.ADMIN:
            return
        # Two admins who leave at the same time must not both find the other one.
        self._db.lock(connection, "admins")
        if repository.count_active_admins(connection, without=before.account_id) == 0:
            raise Conflict("This is the last admin who can sign in. Create another admin first.", code="last_admin")

    @contextmanager
    def _unique_names(self, connection: Connection, account: Account) -> Iterator[None]:
        """Raises Conflict `email_taken` or `username_taken` if another account has one of the two, or a new address
        is one that normalisation would make into that of another account. An account that somebody registered, and
        whose address nobody has proven, gives way to one that does not come from a registration: it is deleted where
        the address is needed, and gets another username where only that is needed.
        """
        self._db.lock(connection, "account_names")
        own = repository.get_account(connection, account.account_id)
        if own is None or own.email != account.email:
            by_email = repository.find_by_email(connection, account.email)
            if by_email is not None and by_email.account_id != account.account_id:
                self._give_way(connection, by_email, account)
            if repository.has_similar_email(connection, account.email, without=account.account_id):
                raise Conflict("An account has an e-mail address that is almost the same.", code="email_taken")
        by_name = None if account.username is None else repository.find_by_username(connection, account.username)
        if by_name is not None and by_name.account_id != account.account_id:
            if not _gives_way(by_name, account):
                raise Conflict("This username is taken.", code="username_taken")
            free = repository.find_free_username(connection, by_name.username or "", by_name.email)
            repository.update_account(connection, replace(by_name, username=free))
        try:
            yield
        except IntegrityError:
            raise Conflict("This username or e-mail address is taken.", code="username_taken") from None

    def _give_way(self, connection: Connection, known: Account, account: Account) -> None:
        """Delete the account that has the address of `account`. Raises Conflict `email_taken` unless it gives way."""
        if not _gives_way(known, account):
            raise Conflict("This e-mail address already has an account.", code="email_taken")
        repository.delete_account(connection, known.account_id)
        detail = {"role": known.role.value, "gave_way_to": account.account_id}
        self._audit.record(connection, None, "account.deleted", account_id=known.account_id, detail=detail)


def _gives_way(known: Account, account: Account) -> bool:
    return known.state is AccountState.UNVERIFIED and account.state is not AccountState.UNVERIFIED


def _with_own_owner(connection: Connection, account: Account) -> Account:
    """`account`, granted an owner that is called as it is and belongs to nobody: an invited person gets what the admin
    chooses, but for who came alone nobody chooses.
    """
    owner_id = repository.find_free_owner_id(connection, account.username or "", account.email)
    return replace(account, owner_ids=(owner_id,))


def _ensure_proven(before: Account, after: Account) -> None:
    """Raises Conflict `email_not_verified` for more rights of an account that might be somebody else's. An invited one
    goes to whoever reads the mail.
    """
    is_no_more = scopes_of(after.role) <= scopes_of(before.role) and set(after.owner_ids) <= set(before.owner_ids)
    if not is_no_more and before.email_verified_at is None and before.username is not None:
        sentence = "Nobody has proven the e-mail address of this account. Invite the address instead."
        raise Conflict(sentence, code="email_not_verified")
