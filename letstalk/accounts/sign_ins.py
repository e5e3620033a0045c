"""Signing in with a username and a password, staying signed in, signing out, changing the password."""

from __future__ import annotations

from letstalk.accounts import repository
from letstalk.accounts.account_sessions import AccountSessionService, SignedIn
from letstalk.accounts.models import Account, Device
from letstalk.accounts.passwords import AccountPasswords, PasswordService
from letstalk.accounts.second_factors import SecondFactorService
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_in_throttles import SignInThrottle
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidCredentials, InvalidRequest, InvalidToken, NotFound, WrongPassword
from letstalk.core.field_errors import FieldErrors
from letstalk.core.ip_addresses import subscriber_of
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total

log = get_logger(__name__)


class SignInService:
    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        account_passwords: AccountPasswords,
        passwords: PasswordService,
        throttle: SignInThrottle,
        sessions: AccountSessionService,
        second_factors: SecondFactorService,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._account_passwords = account_passwords
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions
        self._second_factors = second_factors
        self._audit = audit
        self._clock = clock

    def sign_in(self, name: str, password: str, device: Device) -> SignedIn:
        """A session for the account with that username or e-mail address and that password.

        Raises InvalidCredentials after the same work for every reason; SecondFactorRequired, after a call was started;
        TooManyRequests; PhoneRequired; Unavailable.
        """
        account = self.check_password(name, password, device)
        self.require_second_factor(account, "password")
        epoch = account.credentials_epoch
        return self._sessions.start_session(account.account_id, device, "password", credentials_epoch=epoch)

    def check_password(self, name: str, password: str, device: Device, *, is_known: bool = False) -> Account:
        """The active account with that name and password. Raises as `sign_in`, but requires no second factor. When
        many sign in at once, those are turned away first who are not `is_known`, and never signed in to the account
        from this address or with this browser.
        """
        attempt = self._throttle.prepare(name, device, is_known=is_known)
        subscriber = subscriber_of(device.address)
        # Before the attempt is counted: who is turned away has not tried.
        with self._passwords.place(attempt.holder, subscriber, is_known=attempt.is_known):
            self._throttle.begin(attempt)
            is_right = self._passwords.is_right(password, attempt.password_sealed)
        account = None
        if is_right and attempt.account_id is not None:
            with self._db.write() as connection:
                self._throttle.take_back(connection, attempt, self._clock())
                account = repository.get_account(connection, attempt.account_id)
        if account is None or not account.is_active:
            sign_ins_total.labels("refused").inc()
            log.warning("sign_in_refused", address=device.address)
            raise InvalidCredentials
        sign_ins_total.labels("accepted").inc()
        return account

    def require_second_factor(self, account: Account, method: str) -> None:
        """Return if the account needs no second factor; else call its phone. Raises as `SecondFactorService.begin`."""
        if self._second_factors.is_required(account):
            self._second_factors.begin(account, method)

    def finish_second_factor(self, challenge: str, code: str, device: Device) -> SignedIn:
        """The session for a sign-in that waited for its code. Raises as `SecondFactorService.finish`."""
        return self._start(device, *self._second_factors.finish(challenge, code))

    def finish_with_recovery_code(self, challenge: str, recovery_code: str, device: Device) -> SignedIn:
        """The same with a recovery code. Raises as `SecondFactorService.finish_with_recovery_code`."""
        return self._start(device, *self._second_factors.finish_with_recovery_code(challenge, recovery_code))

    def _start(self, device: Device, account: Account, method: str) -> SignedIn:
        epoch = account.credentials_epoch
        return self._sessions.start_session(account.account_id, device, method, credentials_epoch=epoch)

    def log_out(self, actor: Actor, *, everywhere: bool = False) -> int:
        """End the session of the actor, or all sessions of their account. Returns how many were ended."""
        if actor.account_id is None or actor.session_id is None:
            raise NotFound("An API token has no session. Revoke the token instead.")
        if everywhere:
            return self._sessions.end_all_sessions(actor.account_id, actor, reason="signed_out_everywhere")
        self._sessions.end_session(actor, actor.session_id, "signed_out")
        return 1

    def change_password(self, actor: Actor, current: str, new: str, device: Device) -> SignedIn:
        """Change the password. Returns a new pair of tokens for this session, whose old tokens become invalid. All
        other sessions end. Raises as `confirm_password`; WeakPassword.
        """
        self.replace_password(actor, current, new, device)
        return self._sessions.renew_tokens(actor.session_id or "")

    def replace_password(self, actor: Actor, current: str, new: str, device: Device) -> None:
        """The same for a browser, whose session continues without new tokens."""
        problems = FieldErrors()
        with problems.collected():
            self.confirm_password(actor, current, device)
        account = None if actor.account_id is None else self._accounts.find(actor.account_id)
        if account is None:
            raise InvalidToken
        if problems:
            with problems.collected():
                names = (account.username or "", account.email)
                address = device.address
                self._account_passwords.ensure_allowed(new, names=names, address=address, field="new_password")
            problems.raise_found()
        sealed = self._account_passwords.prepare(new, account=account, field="new_password", address=device.address)
        with self._db.write() as connection:
            self._account_passwords.store(
                connection, account.account_id, sealed, actor=actor, keep_session=actor.session_id
            )

    def confirm_password(self, actor: Actor, password: str, device: Device) -> Account:
        """The account of a person who enters their password again. It counts as a sign-in: a stolen access token must
        not be a way to guess the password. Raises InvalidRequest without one, WrongPassword, TooManyRequests,
        Unavailable, InvalidToken.
        """
        if not password:
            raise InvalidRequest.in_field("current_password", "current_password is missing.")
        account = None if actor.account_id is None else self._accounts.find(actor.account_id)
        if account is None:
            raise InvalidToken
        try:
            return self.check_password(account.username or account.email, password, device, is_known=True)
        except InvalidCredentials:
            raise WrongPassword from None
