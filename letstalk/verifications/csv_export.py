"""The list of verifications as CSV: which cells a row has. Phones are masked, as in the list."""

from __future__ import annotations

from datetime import datetime

from letstalk.core.clock import iso_utc
from letstalk.observability.redaction import mask_phone
from letstalk.telephony.phone_numbers import region_of
from letstalk.verifications.browsing import Listed

COLUMNS = (
    *("created_at", "verification_id", "phone", "country", "status", "reason", "last_call", "reference", "user_id"),
    *("token_id", "token_name", "locale", "attempts_used", "replays_used", "approved_at", "ended_at", "is_test"),
    "request_id",
)


def cells_of(row: Listed) -> tuple[str, ...]:
    one, token = row.verification, row.token
    return (
        *(iso_utc(one.created_at), one.verification_id, mask_phone(one.e164), one.country or region_of(one.e164)),
        *(row.status.value, row.reason.value, row.last_call.value if row.last_call else "", one.reference or ""),
        *(one.owner_id, one.token_id or "", (token.name if token else None) or "", one.locale or ""),
        *(str(one.attempts_used), str(one.replays_used), _time(one.approved_at), _time(one.ended_at)),
        *("true" if one.is_test else "false", one.request_id or ""),
    )


def _time(moment: datetime | None) -> str:
    return "" if moment is None else iso_utc(moment)
