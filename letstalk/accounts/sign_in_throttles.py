"""Waiting after failures to sign in. A try is counted before its password is compared: many at once can't share one."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from letstalk.accounts import repository as accounts
from letstalk.accounts import session_repository as account_sessions
from letstalk.accounts.models import name_key
from letstalk.accounts.sign_in_failures import FailureRow, delete_failures, find_failures, put_failures
from letstalk.accounts.throttles import SignInThrottles, Throttle
from letstalk.core.clock import Clock
from letstalk.core.errors import TooManyRequests
from letstalk.core.ip_addresses import subscriber_of
from letstalk.db.database import Database


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that is counted as failed until it is `taken_back`. Without an account `account_id` is None."""

    account_id: str | None
    password_sealed: str | None
    keys: tuple[bytes, ...]


class SignInThrottle:
    def __init__(self, db: Database, key: bytes, clock: Clock, throttles: SignInThrottles) -> None:
        """`key` keeps what people type from being guessed from the table."""
        self._db = db
        self._key = key
        self._clock = clock
        self._throttles = throttles

    def begin(self, name: str, address: str) -> Attempt:
        """Count a try to sign in as `name`, whoever that is, from `address`.

        A name that nobody has takes the same statements as one that somebody has. Raises TooManyRequests
        `sign_in_throttled`, having counted nothing.
        """
        subscriber = subscriber_of(address)
        with self._db.write() as connection:
            now = self._clock()
            found = accounts.find_password(connection, name if name.isprintable() else "")
            account_id = None if found is None else found.account_id
            is_known = account_sessions.has_signed_in_from(connection, account_id or "", subscriber)
            counted = self._counted(name, subscriber, is_known)
            for key in sorted(counted):
                self._db.lock(connection, "sign_in", key.hex())
            rows = find_failures(connection, list(counted))
            self._refuse_waiting(rows, now)
            put_failures(connection, [_one_more(key, how, rows.get(key), now) for key, how in counted.items()])
        return Attempt(account_id, None if found is None else found.password_sealed, tuple(counted))

    def take_back(self, connection: Connection, attempt: Attempt, now: datetime) -> None:
        """It was no failure: forget those of this name from there, and this one wherever else it was counted."""
        own, *others = attempt.keys
        delete_failures(connection, [own])
        rows = find_failures(connection, others).values()
        fewer = [replace(row, failures=row.failures - 1, wait_until=now) for row in rows if row.failures > 0]
        if fewer:
            put_failures(connection, fewer)

    def _counted(self, name: str, subscriber: str, is_known: bool) -> dict[bytes, Throttle]:
        name = name_key(name)
        throttles = self._throttles
        counted = {
            self._digest("name_and_address", name, subscriber): throttles.name_and_address,
            self._digest("address", subscriber): throttles.address,
        }
        if not is_known:
            counted[self._digest("name", name)] = throttles.name
        return counted

    def _refuse_waiting(self, rows: dict[bytes, FailureRow], now: datetime) -> None:
        wait_until = max((row.wait_until for row in rows.values()), default=now)
        if wait_until > now:
            seconds = max(1, math.ceil((wait_until - now).total_seconds()))
            sentence = f"Too many tries to sign in. Wait {seconds} s."
            raise TooManyRequests(sentence, code="sign_in_throttled", retry_after_seconds=seconds)

    def _digest(self, *parts: str) -> bytes:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()


def _one_more(key: bytes, throttle: Throttle, row: FailureRow | None, now: datetime) -> FailureRow:
    before = 0 if row is None else throttle.failures_at(row.failures, row.last_failed_at, now)
    failures = before + 1
    return FailureRow(key, failures, now, now + timedelta(seconds=throttle.wait_seconds(failures)))
