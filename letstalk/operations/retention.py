"""Deletes what is older than the settings say, and accounts whose address was never confirmed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from letstalk.accounts.access_tokens import signing_keys
from letstalk.accounts.account_session_repository import account_sessions, refresh_tokens
from letstalk.accounts.challenges import second_factor_challenges
from letstalk.accounts.models import AccountState
from letstalk.accounts.one_time_links import one_time_links
from letstalk.accounts.owner_sessions import sessions as owner_sessions
from letstalk.accounts.repository import accounts
from letstalk.accounts.sign_in_throttles import sign_in_failures
from letstalk.audit.service import AuditTrail
from letstalk.calls.repository import calls, delete_calls_about
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.events.delivery_repository import delete_deliveries_about
from letstalk.events.repository import delete_events_about
from letstalk.mail.repository import mails
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import forgotten_total
from letstalk.speaking.repository import delete_old as delete_old_spoken_codes
from letstalk.sso.repository import spent_jwts, sso_attempts
from letstalk.test_numbers.repository import test_numbers
from letstalk.tokens.usage import UsageCounter
from letstalk.verifications.repository import PENDING, verifications

log = get_logger(__name__)

# What is deleted so many days after which moment; None is as long as verifications are kept. A spent refresh token
# stays while it could still be shown: using it again must end the session. An ended session tells its person when and
# why, and that an address is not a stranger's.
USED_UP: tuple[tuple[str, sa.Column[Any], int | None], ...] = (
    ("refresh_tokens", refresh_tokens.c.expires_at, 1),
    ("sessions", account_sessions.c.expires_at, None),
    ("owner_sessions", owner_sessions.c.expires_at, None),
    ("signing_keys", signing_keys.c.retired_at, 2),
    ("sign_in_failures", sign_in_failures.c.last_failed_at, 1),
    ("second_factor_challenges", second_factor_challenges.c.expires_at, 1),
    ("one_time_links", one_time_links.c.expires_at, 1),
    ("mails", mails.c.created_at, None),
    ("sso_attempts", sso_attempts.c.expires_at, 1),
    ("spent_jwts", spent_jwts.c.expires_at, 1),
    ("test_numbers", test_numbers.c.expires_at, None),
)

# So long somebody else's address, or a name, can be held by who registered with it.
UNVERIFIED_KEPT_FOR = timedelta(days=7)
BATCH = 200  # calls a transaction, whose events go with them: some 10 ms in which other writers wait


class RetentionService:
    def __init__(
        self, db: Database, audit: AuditTrail, usage: UsageCounter, clock: Clock, *, days: int, audit_days: int
    ) -> None:
        """`days` for verifications and their calls, `audit_days` for the audit trail and the tokens' usage."""
        self._db = db
        self._audit = audit
        self._usage = usage
        self._clock = clock
        self._days = days
        self._audit_days = audit_days

    def forget_old(self) -> int:
        """Delete what is too old, some 10,000 verifications at most. Returns how many verifications were deleted."""
        now = self._clock()
        before = now - timedelta(days=self._days)
        forgotten = self._forget_calls(before)
        self._forget_sign_ins(now)
        audited_before = now - timedelta(days=self._audit_days)
        audited = self._audit.erase_before(audited_before)
        used = self._usage.erase_before(audited_before.date())
        _report("old_data_forgotten", {"verifications": forgotten, "audit_events": audited, "usage_days": used})
        return forgotten

    def _forget_calls(self, before: datetime) -> int:
        """Delete old verifications and spoken codes with their calls. Returns how many verifications."""
        counts: Counter[str] = Counter()

        def delete_batch(connection: sa.Connection) -> int:
            # Both are found by the oldest calls: what is left of one kind would hide the other.
            verified = delete_old_verifications(connection, before, BATCH)
            counts["verifications"] += verified
            return verified + delete_old_spoken_codes(connection, before, BATCH)

        delete_in_batches(self._db, delete_batch)
        return counts["verifications"]

    def _forget_sign_ins(self, now: datetime) -> None:
        """Delete what signing in has left behind and nobody can use any more."""
        counts: Counter[str] = Counter()

        def delete_batch(connection: sa.Connection) -> int:
            found = delete_unverified_accounts(connection, now - UNVERIFIED_KEPT_FOR, BATCH)
            counts["unverified_accounts"] += found
            for what, age, days in USED_UP:
                before = now - timedelta(days=self._days if days is None else days)
                count = delete_oldest(connection, age, before, BATCH)
                counts[what] += count
                found += count
            return found

        delete_in_batches(self._db, delete_batch)
        _report("sign_in_data_forgotten", counts)


def _report(event: str, counts: dict[str, int]) -> None:
    for what, count in counts.items():
        forgotten_total.labels(what).inc(count)
    if any(counts.values()):
        log.info(event, **counts)


def delete_old_verifications(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Delete verifications made before that time with their calls, up to `limit` calls. Returns how many were deleted.

    A verification that is pending, or has a call that holds a channel, is kept until it is over.
    """
    # Found by when their calls ended, for which there is an index. A verification always has a call.
    ended = sa.select(calls.c.subject_id).where(calls.c.ended_at < before).order_by(calls.c.ended_at).limit(limit)
    live = sa.exists().where(calls.c.subject_id == verifications.c.verification_id, calls.c.holds_channel)
    statement = (
        sa.select(verifications.c.verification_id)
        .where(
            verifications.c.verification_id.in_(ended),
            verifications.c.created_at < before,
            verifications.c.status != PENDING,
            ~live,
        )
        # Locked before their calls, as everywhere. Those that another worker is deleting are left to it.
        .with_for_update(skip_locked=True)
    )
    old = list(connection.execute(statement).scalars())
    delete_verifications(connection, old)
    return len(old)


def delete_verifications(connection: sa.Connection, verification_ids: list[str]) -> None:
    """Delete these verifications, which this transaction has locked, with their calls and their events for apps."""
    delete_deliveries_about(connection, verification_ids)
    delete_events_about(connection, verification_ids)
    delete_calls_about(connection, verification_ids)
    connection.execute(sa.delete(verifications).where(verifications.c.verification_id.in_(verification_ids)))


def delete_unverified_accounts(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` accounts registered before that time whose address was never confirmed."""
    old = (
        sa.select(accounts.c.account_id)
        .where(accounts.c.state == AccountState.UNVERIFIED.value, accounts.c.created_at < before)
        # Somebody used it before migration 0009 took back what nobody had proven.
        .where(accounts.c.last_signed_in_at.is_(None))
        .order_by(accounts.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(sa.delete(accounts).where(accounts.c.account_id.in_(old))).rowcount
