"""The audit trail as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from letstalk.audit.models import AuditEntry
from letstalk.core.clock import iso_utc

COLUMNS = (
    *("at", "action", "sentence", "actor_kind", "actor", "actor_account_id", "actor_token_id", "user_id", "token_id"),
    *("account_id", "address", "request_id", "detail", "event_id"),
)
# A cell that begins with one of these can be a formula, full-width ones too (OWASP, CSV Injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
BATCH = 500  # lines that are sent at once


def write_csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """The header, then a line for each of `entries`, in pieces of up to BATCH lines."""
    yield _lines([COLUMNS])
    rest = iter(entries)
    while True:
        lines = [_cells(entry) for _, entry in zip(range(BATCH), rest, strict=False)]
        if not lines:
            return
        yield _lines(lines)


def safe_cell(text: str) -> str:
    """`text`, behind an apostrophe if a spreadsheet could take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    event = entry.event
    return (
        *(iso_utc(event.at), event.action, entry.sentence, event.actor_kind or "", entry.actor),
        *(event.actor_account_id or "", event.actor_token_id or "", event.owner_id or "", event.token_id or ""),
        *(event.account_id or "", event.address or "", event.request_id or ""),
        *(json.dumps(event.detail, ensure_ascii=False), event.event_id),
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()
