"""Waiting after failed sign-ins: longer each time, never for ever.

Failures are counted by several keys. No key is an account alone, except for addresses that never signed in to it, so
that nobody can lock the owner of an account out by failing on purpose (NIST SP 800-63B-4, section 3.2.2; OWASP ASVS
5.0, 6.3.1). An attempt is counted before its password is compared, so that concurrent attempts cannot share one.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, Column, Connection, Index, Integer, LargeBinary, Table, delete, select

from letstalk.accounts import account_session_repository as session_repository
from letstalk.accounts import repository
from letstalk.core.clock import Clock
from letstalk.core.errors import TooManyRequests
from letstalk.core.ip_addresses import subscriber_of
from letstalk.core.name_keys import name_key
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into


@dataclass(frozen=True, slots=True)
class Throttle:
    """The first `free` failures have no wait. Then the wait doubles from one second up to `longest_seconds`. Failures
    are forgotten after `forget_seconds` without another.
    """

    free: int
    longest_seconds: int
    forget_seconds: int

    def wait_seconds(self, failures: int) -> int:
        over = failures - self.free
        return 0 if over <= 0 else min(self.longest_seconds, 2 ** min(over - 1, 30))

    def failures_at(self, failures: int, last_failed_at: datetime, now: datetime) -> int:
        """How many of `failures` still count."""
        is_forgotten = now - last_failed_at > timedelta(seconds=self.forget_seconds)
        return 0 if is_forgotten else failures


@dataclass(frozen=True, slots=True)
class SignInThrottles:
    """By name and address; by the address alone; by the name alone, for addresses that never signed in to it."""

    name_and_address: Throttle = Throttle(free=4, longest_seconds=300, forget_seconds=1800)
    address: Throttle = Throttle(free=20, longest_seconds=300, forget_seconds=900)
    name: Throttle = Throttle(free=20, longest_seconds=60, forget_seconds=1800)


sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    # A keyed digest: people sometimes type a password as the name.
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", UtcDateTime, nullable=False),
    Column("wait_until", UtcDateTime, nullable=False),
    CheckConstraint("failures >= 0", name="failures"),
    Index(None, "last_failed_at"),
)


@dataclass(frozen=True, slots=True)
class FailureRow:
    key_hash: bytes
    failures: int
    last_failed_at: datetime
    wait_until: datetime


def find_failures(connection: Connection, key_hashes: list[bytes]) -> dict[bytes, FailureRow]:
    statement = select(sign_in_failures).where(sign_in_failures.c.key_hash.in_(key_hashes))
    return {row.key_hash: FailureRow(*row) for row in connection.execute(statement)}


def put_failures(connection: Connection, rows: list[FailureRow]) -> None:
    """Insert `rows`, or replace those with the same key."""
    statement = insert_into(sign_in_failures, connection.dialect.name)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key_hash"],
            set_={"failures": new.failures, "last_failed_at": new.last_failed_at, "wait_until": new.wait_until},
        ),
        [asdict(row) for row in rows],
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that counts as failed until `take_back`. Without an account `account_id` is None."""

    account_id: str | None
    password_sealed: str | None
    keys: tuple[bytes, ...]


class SignInThrottle:
    def __init__(self, db: Database, key: bytes, clock: Clock, throttles: SignInThrottles) -> None:
        """`key` prevents guessing from the table what people typed."""
        self._db = db
        self._key = key
        self._clock = clock
        self._throttles = throttles

    def begin(self, name: str, address: str) -> Attempt:
        """Count an attempt to sign in as `name` from `address`.

        The statements are the same whether an account has that name or not. Raises TooManyRequests `sign_in_throttled`,
        and counts nothing then.
        """
        subscriber = subscriber_of(address)
        with self._db.write() as connection:
            now = self._clock()
            found = repository.find_password(connection, name if name.isprintable() else "")
            account_id = None if found is None else found.account_id
            is_known = session_repository.has_signed_in_from(connection, account_id or "", subscriber)
            counted = self._counted(name, subscriber, is_known)
            for key in sorted(counted):
                self._db.lock(connection, "sign_in", key.hex())
            rows = find_failures(connection, list(counted))
            self._ensure_no_wait(rows, now)
            put_failures(connection, [_one_more(key, how, rows.get(key), now) for key, how in counted.items()])
        return Attempt(account_id, None if found is None else found.password_sealed, tuple(counted))

    def take_back(self, connection: Connection, attempt: Attempt, now: datetime) -> None:
        """The attempt succeeded: forget the failures of this name from this address, uncount this attempt elsewhere."""
        own, *others = attempt.keys
        connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key_hash == own))
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

    def _ensure_no_wait(self, rows: dict[bytes, FailureRow], now: datetime) -> None:
        wait_until = max((row.wait_until for row in rows.values()), default=now)
        if wait_until > now:
            seconds = max(1, math.ceil((wait_until - now).total_seconds()))
            sentence = f"Too many attempts to sign in. Wait {seconds} s."
            raise TooManyRequests(sentence, code="sign_in_throttled", retry_after_seconds=seconds)

    def _digest(self, *parts: str) -> bytes:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()


def _one_more(key: bytes, throttle: Throttle, row: FailureRow | None, now: datetime) -> FailureRow:
    before = 0 if row is None else throttle.failures_at(row.failures, row.last_failed_at, now)
    failures = before + 1
    return FailureRow(key, failures, now, now + timedelta(seconds=throttle.wait_seconds(failures)))
