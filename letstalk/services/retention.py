"""Forgetting: what is older than the settings say leaves the database."""

from __future__ import annotations

from datetime import timedelta

from letstalk.domain.times import Clock
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import forgotten_total
from letstalk.services.audit import AuditTrail
from letstalk.services.usage import UsageCounter
from letstalk.storage import retention as storage
from letstalk.storage.db import Database
from letstalk.storage.deletions import delete_in_batches

log = get_logger(__name__)

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
        """Delete what is too old, some 10,000 verifications a run at most. Returns how many verifications went."""
        now = self._clock()
        before = now - timedelta(days=self._days)
        forgotten = delete_in_batches(
            self._db, lambda connection: storage.delete_old_verifications(connection, before, BATCH)
        )
        audited_before = now - timedelta(days=self._audit_days)
        audited = self._audit.erase_before(audited_before)
        used = self._usage.erase_before(audited_before.date())
        counts = {"verifications": forgotten, "audit_events": audited, "usage_days": used}
        for what, count in counts.items():
            forgotten_total.labels(what).inc(count)
        if any(counts.values()):
            log.info("old_data_forgotten", **counts)
        return forgotten
