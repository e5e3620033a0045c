"""Forgetting: what is older than the settings say leaves the database."""

from __future__ import annotations

from datetime import timedelta

from letstalk.domain.times import Clock
from letstalk.services.audit import AuditTrail
from letstalk.services.usage import UsageCounter
from letstalk.storage import retention as storage
from letstalk.storage.db import Database

BATCH = 200  # verifications a transaction: some 10 ms in which other writers wait
MAX_BATCHES = 50  # a run, so that a first clean-up of years does not keep the sweeps waiting


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
        """Delete what is too old, up to 10,000 verifications a run. Returns how many verifications went."""
        now = self._clock()
        before = now - timedelta(days=self._days)
        forgotten = 0
        for _ in range(MAX_BATCHES):
            with self._db.write() as connection:
                count = storage.delete_old_verifications(connection, before, BATCH)
            forgotten += count
            if count < BATCH:
                break
        audited_before = now - timedelta(days=self._audit_days)
        self._audit.erase_before(audited_before)
        self._usage.erase_before(audited_before.date())
        return forgotten
