"""Passwords: the rules for a new one, hashing and comparing, and replacing a person's password."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from sqlalchemy import Connection
from werkzeug.security import check_password_hash, generate_password_hash

from letstalk.accounts import account_session_repository as session_repository
from letstalk.accounts import one_time_links, repository
from letstalk.accounts.models import Account
from letstalk.accounts.sign_in_throttles import SignInThrottle
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.common_passwords import is_common
from letstalk.core.errors import InvalidRequest, NotFound, Unavailable, WeakPassword
from letstalk.core.ip_addresses import subscriber_of
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.http.request_threads import slow_work
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total

MAX_PASSWORD_LENGTH = 256
MAX_PASSWORD_BYTES = 1024  # in UTF-8, as it is typed
CLASSIC_HISTORY = 5
_SMALLEST_NAME = 4  # almost every password contains names of one or two letters


class PasswordRules(StrEnum):
    NIST = "nist"  # at least 12 characters, not commonly used, no mix required
    CLASSIC = "classic"  # at least 8 characters, a mix of kinds, none of the last five


_MIN_LENGTH = {PasswordRules.NIST: 12, PasswordRules.CLASSIC: 8}
_DESCRIPTIONS = {
    PasswordRules.NIST: f"At least {_MIN_LENGTH[PasswordRules.NIST]} characters, and not easy to guess. "
    "A few words that nobody else would combine are fine.",
    PasswordRules.CLASSIC: f"At least {_MIN_LENGTH[PasswordRules.CLASSIC]} characters, with a lower-case letter, an "
    f"upper-case letter, a digit and a symbol; none of your last {CLASSIC_HISTORY} passwords.",
}


def describe_rules(rules: PasswordRules) -> str:
    """The rules in a sentence for the person who chooses a password."""
    return _DESCRIPTIONS[rules]


def normalise_password(password: str) -> str:
    """`password` in NFKC: keyboards differ in how they write it. Raises InvalidRequest for a lone surrogate, and for
    what is too long: the time for combining characters grows with the square of their number.
    """
    try:
        encoded = password.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest.in_field("password", "password must be text.") from None
    if len(encoded) > MAX_PASSWORD_BYTES:
        raise InvalidRequest.in_field("password", f"password must have at most {MAX_PASSWORD_BYTES} bytes.")
    return unicodedata.normalize("NFKC", password)


def ensure_password_allowed(
    password: str, rules: PasswordRules, *, names: Iterable[str], is_common: bool, field: str = "password"
) -> None:
    """Raises WeakPassword if `rules` reject a new, normalised password. The errors are about `field`.

    `names` are those of the person and of the service, which the password must not consist of, in any case; `is_common`
    says whether it is on a list of common passwords.
    """
    length = len(password)
    shortest = _MIN_LENGTH[rules]
    if not shortest <= length <= MAX_PASSWORD_LENGTH:
        raise WeakPassword.in_field(field, f"{field} must have {shortest} to {MAX_PASSWORD_LENGTH} characters.")
    if rules is PasswordRules.CLASSIC and not _is_mixed(password):
        raise WeakPassword.in_field(
            field, f"{field} must contain a lower-case letter, an upper-case letter, a digit and a symbol."
        )
    if is_made_of_names(password, names):
        raise WeakPassword.in_field(field, f"{field} must not be your name, your e-mail address or our name.")
    if is_common:
        raise WeakPassword.in_field(field, f"{field} is too easy to guess. Choose another password.")


def is_made_of_names(password: str, names: Iterable[str]) -> bool:
    """Whether only digits and symbols are left of `password` once the names are removed from it."""
    rest = password.casefold()
    known = {part for name in names for part in _parts_of(name)}
    for part in sorted(known, key=len, reverse=True):
        rest = rest.replace(part, "")
    return rest != password.casefold() and not any(character.isalpha() for character in rest)


def _parts_of(name: str) -> Iterable[str]:
    folded = unicodedata.normalize("NFKC", name).casefold()
    parts = {folded, folded.replace(" ", ""), *folded.split("@"), "".join(filter(str.isalnum, folded))}
    return (part for part in parts if len(part) >= _SMALLEST_NAME)


def _is_mixed(password: str) -> bool:
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    return all(any(is_kind(character) for character in password) for is_kind in kinds)


log = get_logger(__name__)

SCRYPT = "scrypt:32768:8:1"  # 32 MB and about 70 ms for each hash
AT_ONCE = 2
# How many requests hash a password or wait for it. The last of them are for people who signed in from there before.
PLACES = 6
PLACES_FOR_STRANGERS = 4
PLACES_OF_ONE = 1  # of one account and of one subscriber, so that nobody fills all of them with their own password
RETRY_SECONDS = 2


class PasswordService:
    """Hashes and compares passwords. Call no method within a database transaction: each takes long and may wait. A
    request first takes a `place`.
    """

    def __init__(
        self, vault: Vault, rules: PasswordRules, *, names: Sequence[str], scrypt: str = SCRYPT, at_once: int = AT_ONCE
    ) -> None:
        """`names` are those of the service. `scrypt` is the cost as Werkzeug writes it. At most `at_once` hashes are
        computed at a time, so that sign-ins cannot use up the memory or the processor.
        """
        self._vault = vault
        self.rules = rules
        self._names = tuple(names)
        self._scrypt = scrypt
        self._turns = threading.BoundedSemaphore(at_once)
        self._places = threading.Lock()
        self._taken = 0
        self._taken_by: Counter[tuple[bool, str]] = Counter()
        self._decoy: str | None = None
        self._decoy_lock = threading.Lock()

    def check_new(
        self, password: str, names: Iterable[str], *, old: Sequence[str] = (), field: str = "password"
    ) -> str:
        """`password`, normalised, if the rules accept it for a person with `names` and the sealed former passwords
        `old`, newest first. Raises WeakPassword; InvalidRequest for what is no text.
        """
        password = normalise_password(password)
        known = (*names, *self._names)
        is_short = len(password) <= MAX_PASSWORD_LENGTH
        is_common = self.rules is PasswordRules.NIST and is_short and self._is_common(password, known)
        ensure_password_allowed(password, self.rules, names=known, is_common=is_common, field=field)
        if self.rules is PasswordRules.CLASSIC and any(self.is_right(password, it) for it in old[:CLASSIC_HISTORY]):
            raise WeakPassword.in_field(field, f"{field} must not be one of your last {CLASSIC_HISTORY} passwords.")
        return password

    def seal(self, password: str) -> str:
        """The encrypted hash of a normalised password, to store."""
        with self._slow_work():
            hashed = generate_password_hash(password, method=self._scrypt)
        return self._vault.encrypt(hashed.encode("ascii"))

    def is_right(self, password: str, sealed: str | None) -> bool:
        """Whether `sealed` is of `password`. Without `sealed` it is False after the same work."""
        password = normalise_password(password)
        decoy = self._sealed_decoy()
        hashed = self._open(decoy if sealed is None else sealed, decoy)
        with self._slow_work():
            is_equal = check_password_hash(hashed, password)
        return is_equal and sealed is not None

    def _sealed_decoy(self) -> str:
        """Compared where there is no account or no password, so that the time does not reveal it."""
        with self._decoy_lock:
            if self._decoy is None:
                self._decoy = self.seal(secrets.token_urlsafe(16))
            return self._decoy

    def _open(self, sealed: str, decoy: str) -> str:
        try:
            return self._vault.decrypt(sealed).decode("ascii")
        except LostKey:
            lost_keys_total.labels("password").inc()
            log.error("password_key_lost", hint="a key is missing from ENCRYPTION_KEYS")
            return self._vault.decrypt(decoy).decode("ascii")

    def _is_common(self, password: str, names: Sequence[str]) -> bool:
        with self._slow_work():
            return is_common(password, names)

    @contextmanager
    def place(self, *holders: str, is_known: bool) -> Iterator[None]:
        """A place among the few requests that may hash or compare passwords now. `is_known` says that the person signed
        in from there before. `holders` are the account and the subscriber, who have `PLACES_OF_ONE` each: what a
        stranger takes at the same name or network is not taken from who is known. Raises Unavailable at once where
        there is none, to strangers first.
        """
        whose = {(is_known, holder) for holder in holders}
        with self._places:
            is_full = self._taken >= (PLACES if is_known else PLACES_FOR_STRANGERS)
            if is_full or any(self._taken_by[each] >= PLACES_OF_ONE for each in whose):
                sentence = "Too many people are signing in right now. Try again in a few seconds."
                raise Unavailable(sentence, retry_after_seconds=RETRY_SECONDS)
            self._taken += 1
            self._taken_by.update(whose)
        try:
            yield
        finally:
            with self._places:
                self._taken -= 1
                self._taken_by -= Counter(whose)  # without those that are down to 0

    @contextmanager
    def _slow_work(self) -> Iterator[None]:
        with slow_work(), self._turns:
            yield


class AccountPasswords:
    def __init__(
        self, db: Database, passwords: PasswordService, throttle: SignInThrottle, audit: AuditTrail, clock: Clock
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._throttle = throttle
        self._audit = audit
        self._clock = clock

    @property
    def rules(self) -> PasswordRules:
        return self._passwords.rules

    def ensure_allowed(self, password: str, *, names: tuple[str, ...], address: str, field: str = "password") -> None:
        """For a password that is not kept: raises WeakPassword, InvalidRequest or Unavailable, as `prepare` would for a
        person with those names.
        """
        with self._passwords.place(subscriber_of(address), is_known=False):
            self._passwords.check_new(password, names, field=field)

    def prepare(
        self,
        password: str,
        *,
        names: tuple[str, ...] = (),
        account: Account | None = None,
        field: str = "password",
        address: str | None = None,
    ) -> str:
        """The encrypted hash of a new password. It takes long: do not call it within a transaction. With `account` the
        rules also compare its names and former passwords. Who asks from an `address` is limited, as that account and
        as that subscriber. Raises WeakPassword, InvalidRequest, Unavailable; TooManyRequests `sign_in_throttled`.
        """
        old: list[str] = []
        holders = [] if address is None else [subscriber_of(address)]
        if account is not None:
            holders.append(account.account_id)
            names = (*names, account.username or "", account.email)
            with self._db.read() as connection:
                present = repository.get_password(connection, account.account_id)
                old = [sealed for _, sealed in repository.list_old_passwords(connection, account.account_id)]
            old = [present, *old] if present is not None else old
        with self._passwords.place(*holders, is_known=True):
            if account is not None and address is not None:
                self._throttle.count_new_password(account.account_id)
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
        """Replace the password by a prepared one. Every session ends except `keep_session`, whose existing access
        tokens become invalid, and all mailed links become invalid. Raises NotFound.
        """
        now = self._clock()
        repository.lock_account(connection, account_id)
        repository.replace_password(connection, account_id, password_sealed, now, keep_old=CLASSIC_HISTORY - 1)
        session_repository.end_sessions(connection, account_id, "password_changed", now, keep=keep_session)
        session_repository.invalidate_access_tokens(connection, account_id)
        one_time_links.end_links(connection, account_id, now)
        self._audit.record(connection, actor, "account.password_changed", account_id=account_id)

    def set_password(self, account_id: str, password: str, actor: Actor | None = None) -> None:
        """Set a new password and end all sessions of the account. Raises NotFound, WeakPassword, Unavailable."""
        with self._db.read() as connection:
            account = repository.get_account(connection, account_id)
        if account is None:
            raise NotFound("There is no such account.")
        sealed = self.prepare(password, account=account)
        with self._db.write() as connection:
            self.store(connection, account.account_id, sealed, actor=actor)
