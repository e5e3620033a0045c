"""Passwords: taken or refused, hashed, compared."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from werkzeug.security import check_password_hash, generate_password_hash

from letstalk.accounts.password_rules import CLASSIC_HISTORY, PasswordRules, check_password, normalise_password
from letstalk.core.errors import Unavailable, WeakPassword
from letstalk.db.crypto import LostKey, Vault
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total

log = get_logger(__name__)

SCRYPT = "scrypt:32768:8:1"  # 32 MB and some 70 ms each
AT_ONCE = 2
WAIT_SECONDS = 5.0
RETRY_SECONDS = 2
# What can be guessed in so many tries is on everybody's list, or a small change of what is.
COMMON_GUESSES = 1_000_000
MEASURED_LENGTH = 72  # the measure takes quadratic time, and what is longer has no need of it


class PasswordService:
    """Call no method within a database transaction: each takes long, and may wait for its turn."""

    def __init__(
        self,
        vault: Vault,
        rules: PasswordRules,
        *,
        names: Sequence[str],
        scrypt: str = SCRYPT,
        at_once: int = AT_ONCE,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`names` are the service's own. `scrypt` is the cost in Werkzeug's words; at most `at_once` hashes are
        computed at a time, so that signing in can't take the machine's memory, nor every thread for long.
        """
        self._vault = vault
        self.rules = rules
        self._names = tuple(names)
        self._scrypt = scrypt
        self._turns = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds
        self._decoy: str | None = None
        self._decoy_lock = threading.Lock()

    def check_new(
        self, password: str, names: Iterable[str], *, old: Sequence[str] = (), field: str = "password"
    ) -> str:
        """`password`, normalised, where the rules take it for someone with `names` whose sealed passwords were `old`,
        the newest first. Raises WeakPassword, InvalidRequest for what is no text, Unavailable.
        """
        password = normalise_password(password)
        known = (*names, *self._names)
        is_common = self.rules is PasswordRules.NIST and self._is_common(password, known)
        check_password(password, self.rules, names=known, is_common=is_common, field=field)
        if self.rules is PasswordRules.CLASSIC and any(self.is_right(password, it) for it in old[:CLASSIC_HISTORY]):
            raise WeakPassword.in_field(field, f"{field} must be none of the last {CLASSIC_HISTORY}.")
        return password

    def seal(self, password: str) -> str:
        """What to keep of a normalised password. Raises Unavailable."""
        with self._turn():
            hashed = generate_password_hash(password, method=self._scrypt)
        return self._vault.encrypt(hashed.encode("ascii"))

    def is_right(self, password: str, sealed: str | None) -> bool:
        """Whether `sealed` was kept of `password`; without one, False after the same work. Raises Unavailable."""
        decoy = self._sealed_decoy()
        hashed = self._open(decoy if sealed is None else sealed, decoy)
        with self._turn():
            is_equal = check_password_hash(hashed, normalise_password(password))
        return is_equal and sealed is not None

    def _sealed_decoy(self) -> str:
        """What is compared where there is no account, or no password, so that it costs what one that is there does."""
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
        # Imported only where a password is chosen: its lists cost 10 MB.
        from zxcvbn import zxcvbn

        if not password:
            return True  # the measure knows no empty one
        with self._turn():
            measured = zxcvbn(password[:MEASURED_LENGTH], user_inputs=list(names), max_length=MEASURED_LENGTH)
        return bool(measured["guesses"] < COMMON_GUESSES)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._wait_seconds):
            sentence = "Too many people are signing in at this moment. Try again in a few seconds."
            raise Unavailable(sentence, retry_after_seconds=RETRY_SECONDS)
        try:
            yield
        finally:
            self._turns.release()
