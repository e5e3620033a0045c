"""People's passwords: chosen, and put in place of the ones before."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection

from letstalk.accounts import link_repository as one_time_links
from letstalk.accounts import repository as storage
from letstalk.accounts import session_repository as sessions
from letstalk.accounts.models import Account
from letstalk.accounts.password_hashing import PasswordService
from letstalk.accounts.password_rules import CLASSIC_HISTORY, PasswordRules
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import NotFound
from letstalk.db.database import Database


class AccountPasswords:
    def __init__(self, db: Database, passwords: PasswordService, audit: AuditTrail, clock: Clock) -> None:
        self._db = db
        self._passwords = passwords
        self._audit = audit
        self._clock = clock

    @property
    def rules(self) -> PasswordRules:
        return self._passwords.rules

    def prepare(
        self, password: str, *, names: tuple[str, ...] = (), account: Account | None = None, field: str = "password"
    ) -> str:
        """What to keep of a new password, once the rules have taken it. Takes long: never within a transaction.

        Of an `account` its names and its old passwords are looked at too. Raises WeakPassword, InvalidRequest,
        Unavailable.
        """
        old: list[str] = []
        if account is not None:
            names = (*names, account.username or "", account.email)
            with self._db.read() as connection:
                present = storage.get_password(connection, account.account_id)
                old = [sealed for _, sealed in storage.list_old_passwords(connection, account.account_id)]
            old = [present, *old] if present is not None else old
        return self._passwords.seal(self._passwords.check_new(password, names, old=old, field=field))

    def store(
        self,
        connection: Connection,
        account_id: str,
        password_sealed: str,
        *,
        actor: Actor | None = None,
        keep_session: str | None = None,
    ) -> None:
        """Put a prepared password in place of the present one.

        Every session ends but `keep_session`, and of that one the access tokens that were given out before; no link
        that was mailed before works any more. Raises NotFound.
        """
        now = self._clock()
        account = storage.get_account(connection, account_id, hold=True)
        if account is None:
            raise NotFound("There is no such account.")
        present = storage.get_password(connection, account_id)
        if present is not None:
            storage.keep_old_password(connection, str(uuid4()), account_id, present, now)
            too_old = storage.list_old_passwords(connection, account_id)[CLASSIC_HISTORY - 1 :]
            storage.forget_old_passwords(connection, [entry_id for entry_id, _ in too_old])
        storage.set_password(connection, account_id, password_sealed, now)
        sessions.end_sessions(connection, account_id, "password_changed", now, keep=keep_session)
        sessions.refuse_access_tokens(connection, account_id)
        one_time_links.end_links(connection, account_id, now)
        self._audit.record(connection, actor, "account.password_changed", account_id=account.account_id)

    def set_password(self, account_id: str, password: str, actor: Actor | None = None) -> None:
        """Give someone a new password and end all their sessions. Raises NotFound, WeakPassword, Unavailable."""
        with self._db.read() as connection:
            account = storage.get_account(connection, account_id)
        if account is None:
            raise NotFound("There is no such account.")
        sealed = self.prepare(password, account=account)
        with self._db.write() as connection:
            self.store(connection, account.account_id, sealed, actor=actor)
