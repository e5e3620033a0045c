"""Deleting what is older than the settings say."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection

from letstalk.accounts.access_tokens import signing_keys
from letstalk.accounts.account_session_repository import account_sessions, refresh_tokens
from letstalk.accounts.one_time_links import one_time_links
from letstalk.accounts.second_factors import second_factor_challenges
from letstalk.accounts.sign_in_throttles import sign_in_failures
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.mail.repository import mails
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import forgotten_total
from letstalk.operations import retention_repository
from letstalk.sso.repository import spent_jwts, sso_attempts
from letstalk.tokens.usage import UsageCounter

log = get_logger(__name__)

# What is deleted so many days after which moment; None is as long as verifications are kept. A spent refresh token
# stays while it could still be shown: using it again must end the session. An ended session tells its person when and
# why, and that an address is not a stranger's.
USED_UP: tuple[tuple[str, Column[Any], int | None], ...] = (
    ("refresh_tokens", refresh_tokens.c.expires_at, 1),
    ("sessions", account_sessions.c.expires_at, None),
    ("signing_keys", signing_keys.c.retired_at, 2),
    ("sign_in_failures", sign_in_failures.c.last_failed_at, 1),
    ("second_factor_challenges", second_factor_challenges.c.expires_at, 1),
    ("one_time_links", one_time_links.c.expires_at, 1),
    ("mails", mails.c.created_at, None),
    ("sso_attempts", sso_attempts.c.expires_at, 1),
    ("spent_jwts", spent_jwts.c.expires_at, 1),
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
        forgotten = delete_in_batches(
            self._db, lambda connection: retention_repository.delete_old_verifications(connection, before, BATCH)
        )
        self._forget_sign_ins(now)
        audited_before = now - timedelta(days=self._audit_days)
        audited = self._audit.erase_before(audited_before)
        used = self._usage.erase_before(audited_before.date())
        counts = {"verifications": forgotten, "audit_events": audited, "usage_days": used}
        for what, count in counts.items():
            forgotten_total.labels(what).inc(count)
        if any(counts.values()):
            log.info("old_data_forgotten", **counts)
        return forgotten

    def _forget_sign_ins(self, now: datetime) -> None:
        """Delete what signing in has left behind and nobody can use any more."""
        counts: Counter[str] = Counter()

        def delete_batch(connection: Connection) -> int:
            found = retention_repository.delete_unverified_accounts(connection, now - UNVERIFIED_KEPT_FOR, BATCH)
            counts["unverified_accounts"] += found
            for what, age, days in USED_UP:
                before = now - timedelta(days=self._days if days is None else days)
                count = delete_oldest(connection, age, before, BATCH)
                counts[what] += count
                found += count
            return found

        delete_in_batches(self._db, delete_batch)
        for what, count in counts.items():
            forgotten_total.labels(what).inc(count)
        if counts.total():
            log.info("sign_in_data_forgotten", **counts)
