"""Waiting after failed sign-ins: longer each time, never for ever.

Failures are counted by several keys. The account as a whole is one of them, because an attacker may have many
addresses; but not for a browser or an address that has signed in to it before, so that nobody can lock the owner of an
account out by failing on purpose (NIST SP 800-63B-4, section 3.2.2; OWASP ASVS 5.0, 6.3.1). A known browser is counted
by itself, and together with the other known browsers of the account: no stranger can make it wait. A browser and an
address are known until the password changes. An attempt is counted before its password is compared, so that concurrent
attempts cannot share one.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, Index, Integer, LargeBinary, Row, Table, delete, select

from letstalk.accounts import account_session_repository as session_repository
from letstalk.accounts import repository
from letstalk.accounts.models import BUILT_IN_OWNER, MAX_EMAIL_LENGTH, Device
from letstalk.core.clock import Clock
from letstalk.core.errors import TooManyRequests
from letstalk.core.ip_addresses import networks_around, subscriber_of
from letstalk.core.name_keys import name_key
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into


@dataclass(frozen=True, slots=True)
class Throttle:
    """The first `free` failures have no wait. Then the wait doubles from `first_seconds` up to `longest_seconds`.
    Failures are forgotten after `forget_seconds` without another.
    """

    free: int
    longest_seconds: int
    forget_seconds: int
    first_seconds: int = 1

    def wait_seconds(self, failures: int) -> int:
        over = failures - self.free
        return 0 if over <= 0 else min(self.longest_seconds, self.first_seconds * 2 ** min(over - 1, 30))

    def failures_at(self, failures: int, last_failed_at: datetime, now: datetime) -> int:
        """How many of `failures` still count."""
        is_forgotten = now - last_failed_at > timedelta(seconds=self.forget_seconds)
        return 0 if is_forgotten else failures


@dataclass(frozen=True, slots=True)
class SignInThrottles:
    """By name and address, or by name and known browser (`owner` for the built-in owner); by the address alone, and by
    a household's and a business's (`network`) networks around it; by the name alone, for what never signed in to it.
    All known browsers of an account count together (`browsers`): somebody may have collected their cookies.
    `successes` are counted by account: who has the password can use up the time of the processor, and nobody else can.
    """

    name_and_address: Throttle = Throttle(free=4, longest_seconds=300, forget_seconds=1800)
    address: Throttle = Throttle(free=20, longest_seconds=300, forget_seconds=900)
    name: Throttle = Throttle(free=20, longest_seconds=60, forget_seconds=1800)
    network: Throttle = Throttle(free=60, longest_seconds=300, forget_seconds=900)
    owner: Throttle = Throttle(free=4, longest_seconds=300, forget_seconds=1800, first_seconds=15)
    browsers: Throttle = Throttle(free=20, longest_seconds=60, forget_seconds=1800)
    successes: Throttle = Throttle(free=30, longest_seconds=20, forget_seconds=600, first_seconds=20)


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
    """A sign-in that counts as failed from `begin` until `take_back`. Without an account `account_id` is None.

    `is_known` says that somebody signed in to the account with this browser, or from this address, before. `holder` is
    whose place among those that compare passwords it takes: a stranger's is by the name, which says nothing about
    accounts. `success_key` is None for the built-in owner, whose password takes no time to compare.
    """

    account_id: str | None
    password_sealed: str | None
    is_known: bool
    holder: str
    counted: dict[bytes, Throttle]
    success_key: bytes | None


class SignInThrottle:
    def __init__(self, db: Database, key: bytes, clock: Clock, throttles: SignInThrottles) -> None:
        """`key` prevents guessing from the table what people typed."""
        self._db = db
        self._key = key
        self._clock = clock
        self._throttles = throttles

    def prepare(self, name: str, device: Device, *, is_known: bool = False) -> Attempt:
        """An attempt to sign in as `name` with `device`, which `begin` counts.

        The statements are the same whether an account has that name or not. Raises TooManyRequests `sign_in_throttled`
        for who has to wait: such a request must not take a place from others.
        """
        name = _short(name)
        found, is_known_address = self._find(name, device)
        account_id, mark = ("", "") if found is None else (found.account_id, str(found.credentials_epoch))
        key, is_known_browser = name_key(name), _is_known_browser(device, account_id, mark)
        counted = (
            self._counted_together(account_id, device, self._throttles.name_and_address)
            if is_known_browser
            else self._counted("", key, device, is_known_address=is_known_address)
        )
        successes = self._digest("successes", account_id, "" if account_id else key)
        with self._db.read() as connection:
            self._ensure_no_wait(find_failures(connection, [*counted, successes]), self._clock())
        sealed = None if found is None else found.password_sealed
        is_known = is_known or is_known_address or is_known_browser
        return Attempt(account_id or None, sealed, is_known, account_id if is_known else key, counted, successes)

    def begin(self, attempt: Attempt) -> None:
        """Count the attempt. Raises TooManyRequests `sign_in_throttled`, and counts nothing then."""
        self._count(attempt.counted)

    def count_new_password(self, account_id: str) -> None:
        """Count a password that somebody chooses for an account, by a mailed link or with the present one. Not together
        with sign-ins: a thief who has the password must not delay its replacement. Raises as `begin`.
        """
        self._count({self._digest("new passwords", account_id): self._throttles.successes})

    @contextmanager
    def count_owner(self, device: Device, mark: str, *, is_known_address: bool) -> Iterator[None]:
        """Count an attempt at the built-in owner's password, which has this mark, as failed, unless the block ends
        without an exception. `is_known_address` says that the owner signed in from there before. Raises TooManyRequests
        `sign_in_throttled`, and counts nothing then.
        """
        counted = (
            self._counted_together(BUILT_IN_OWNER, device, self._throttles.owner)
            if _is_known_browser(device, BUILT_IN_OWNER, mark)
            else self._counted(BUILT_IN_OWNER, "", device, is_known_address=is_known_address)
        )
        self._count(counted)
        yield
        with self._db.write() as connection:
            self.take_back(connection, Attempt(None, None, False, "", counted, None), self._clock())

    def take_back(self, connection: Connection, attempt: Attempt, now: datetime) -> None:
        """The attempt succeeded: forget the failures of this name from this address, uncount this attempt elsewhere,
        and count it as a success of the account.
        """
        own, *others = attempt.counted
        key = attempt.success_key
        if key is not None:
            self._db.lock(connection, "sign_in", key.hex())
        connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key_hash == own))
        rows = find_failures(connection, others if key is None else [*others, key])
        succeeded = None if key is None else _one_more(key, self._throttles.successes, rows.pop(key, None), now)
        fewer = [replace(row, failures=row.failures - 1, wait_until=now) for row in rows.values() if row.failures > 0]
        changed = fewer if succeeded is None else [*fewer, succeeded]
        if changed:
            put_failures(connection, changed)

    def _find(self, name: str, device: Device) -> tuple[Row[Any, Any, Any] | None, bool]:
        """The account of that name, if any, and whether somebody signed in to it from this address before."""
        with self._db.read() as connection:
            found = repository.find_password(connection, name if name.isprintable() else "")
            account_id = "" if found is None else found.account_id
            return found, session_repository.has_signed_in_from(connection, account_id, subscriber_of(device.address))

    def _counted_together(self, account_id: str, device: Device, own: Throttle) -> dict[bytes, Throttle]:
        """What an attempt with a known browser counts against, its own key first."""
        return {
            self._digest("browser", account_id, device.browser_id or ""): own,
            self._digest("browsers", account_id): self._throttles.browsers,
        }

    def _counted(self, whose: str, name: str, device: Device, *, is_known_address: bool) -> dict[bytes, Throttle]:
        """What another attempt counts against. Made before the transaction, which all writers wait for.

        `whose` tells the built-in owner from an account, which may have any `name`.
        """
        throttles, subscriber = self._throttles, subscriber_of(device.address)
        own = throttles.owner if whose else throttles.name_and_address
        counted = {
            self._digest("name_and_address", whose, name, subscriber): own,
            self._digest("address", subscriber): throttles.address,
        }
        if not is_known_address:
            counted[self._digest("name", whose, name)] = throttles.name
            for network, throttle in zip(
                networks_around(subscriber), (throttles.address, throttles.network), strict=False
            ):
                counted[self._digest("address", network)] = throttle
        return counted

    def _count(self, counted: dict[bytes, Throttle]) -> None:
        with self._db.write() as connection:
            now = self._clock()
            for key in sorted(counted):
                self._db.lock(connection, "sign_in", key.hex())
            rows = find_failures(connection, list(counted))
            self._ensure_no_wait(rows, now)
            put_failures(connection, [_one_more(key, how, rows.get(key), now) for key, how in counted.items()])

    def _ensure_no_wait(self, rows: dict[bytes, FailureRow], now: datetime) -> None:
        wait_until = max((row.wait_until for row in rows.values()), default=now)
        if wait_until > now:
            seconds = max(1, math.ceil((wait_until - now).total_seconds()))
            sentence = f"Too many attempts to sign in. Wait {seconds} s."
            raise TooManyRequests(sentence, code="sign_in_throttled", retry_after_seconds=seconds)

    def _digest(self, *parts: str) -> bytes:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()


def _is_known_browser(device: Device, account_id: str, mark: str) -> bool:
    return device.browser_id is not None and (account_id, mark) in device.known_to


def _one_more(key: bytes, throttle: Throttle, row: FailureRow | None, now: datetime) -> FailureRow:
    before = 0 if row is None else throttle.failures_at(row.failures, row.last_failed_at, now)
    failures = before + 1
    return FailureRow(key, failures, now, now + timedelta(seconds=throttle.wait_seconds(failures)))


def _short(name: str) -> str:
    """No account has a longer name, and the key of a long text takes long."""
    return name if len(name) <= MAX_EMAIL_LENGTH else ""
