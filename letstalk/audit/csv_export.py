"""The audit trail as CSV: which cells an entry has."""

from __future__ import annotations

import json

from letstalk.audit.models import AuditEntry
from letstalk.core.clock import iso_utc

COLUMNS = (
    *("at", "action", "sentence", "actor_kind", "actor", "actor_account_id", "actor_token_id", "user_id", "token_id"),
    *("account_id", "address", "request_id", "detail", "event_id"),
)


def cells_of(entry: AuditEntry) -> tuple[str, ...]:
    event = entry.event
    return (
        *(iso_utc(event.at), event.action, entry.sentence, event.actor_kind or "", entry.actor),
        *(event.actor_account_id or "", event.actor_token_id or "", event.owner_id or "", event.token_id or ""),
        *(event.account_id or "", event.address or "", event.request_id or ""),
        *(json.dumps(event.detail, ensure_ascii=False), event.event_id),
    )
