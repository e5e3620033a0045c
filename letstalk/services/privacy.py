"""What a person may ask of whoever keeps data about them: a copy, and its erasure (GDPR, articles 15 and 17)."""

from __future__ import annotations

from typing import Any

from letstalk.domain.errors import Conflict
from letstalk.domain.phones import parse_phone
from letstalk.domain.times import Clock, iso_utc
from letstalk.observability.logs import get_logger, mask_phone
from letstalk.storage import calls as call_storage
from letstalk.storage import privacy as storage
from letstalk.storage import retention
from letstalk.storage.db import Database

log = get_logger(__name__)


class PrivacyService:
    def __init__(self, db: Database, clock: Clock, *, default_region: str | None) -> None:
        self._db = db
        self._clock = clock
        self._default_region = default_region

    def export_phone(self, phone: str) -> dict[str, Any]:
        """All that is stored of a phone, over all owners, as plain data. No code is in it. Raises InvalidPhone."""
        e164 = parse_phone(phone, self._default_region).e164
        now = self._clock()
        with self._db.read() as connection:
            found = storage.list_all_of_phone(connection, e164)
            wrong_codes = storage.count_wrong_codes(connection, e164)
            verifications = []
            for verification in found:
                calls = call_storage.list_calls(connection, verification.verification_id)
                events = call_storage.list_call_events(connection, [call.call_id for call in calls])
                verifications.append(
                    {
                        "verification_id": verification.verification_id,
                        "user_id": verification.user_id,
                        "status": verification.status_at(now).value,
                        "created_at": iso_utc(verification.created_at),
                        "locale": verification.locale,
                        "calls": [
                            {
                                "call_id": call.call_id,
                                "status": call.status.value,
                                "reason": call.reason,
                                "created_at": iso_utc(call.created_at),
                                "events": [{"at": iso_utc(at), "type": type_} for at, type_ in events[call.call_id]],
                            }
                            for call in calls
                        ],
                    }
                )
        return {"phone": e164, "wrong_codes": wrong_codes, "verifications": verifications}

    def erase_phone(self, phone: str) -> int:
        """Delete all that is stored of a phone. Returns how many verifications went.

        Raises InvalidPhone; Conflict while a call to it is live, since that row keeps a channel.
        """
        e164 = parse_phone(phone, self._default_region).e164
        with self._db.write() as connection:
            self._db.lock(connection, "dispatch")
            self._db.lock(connection, "phone", e164)
            if storage.has_live_call(connection, e164):
                raise Conflict("A call to this phone is live. Try again in three minutes.", code="call_live")
            found = storage.list_all_of_phone(connection, e164)
            retention.delete_verifications(connection, [item.verification_id for item in found])
            storage.delete_traces(connection, e164)
        log.info("phone_erased", phone=mask_phone(e164), verifications=len(found))
        return len(found)
