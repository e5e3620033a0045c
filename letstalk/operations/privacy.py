"""What a person may ask for about their data: a copy, and its erasure (GDPR, articles 15 and 17)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from letstalk.accounts import challenges, recovery_code_repository
from letstalk.accounts import repository as accounts
from letstalk.accounts.models import Account
from letstalk.calls import repository as calls
from letstalk.calls.models import Call
from letstalk.connect.repository import delete_of_calls, list_of_calls
from letstalk.core.clock import Clock, iso_utc, iso_utc_or_none
from letstalk.core.errors import Conflict
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.redaction import mask_phone
from letstalk.operations import privacy_repository
from letstalk.operations.retention import delete_verifications
from letstalk.speaking.models import SpokenCode
from letstalk.speaking.repository import delete_spoken_codes
from letstalk.speaking.repository import list_all_of_phone as list_spoken_of_phone
from letstalk.telephony.phone_numbers import Phone, parse_phone
from letstalk.telephony.simulator.repository import list_calls_to
from letstalk.test_numbers.models import TestNumber
from letstalk.test_numbers.repository import list_of_phone
from letstalk.verifications.models import Verification
from letstalk.verifications.service import VerificationService

log = get_logger(__name__)


class PrivacyService:
    def __init__(self, db: Database, clock: Clock, *, default_region: str | None) -> None:
        self._db = db
        self._clock = clock
        self._default_region = default_region

    def export_phone(self, phone: str) -> dict[str, Any]:
        """All that is stored about a phone, of all owners, as plain data. Raises InvalidPhone.

        The code and the message of a pending verification are left out, because they are encrypted together, and so is
        the code of a test number.
        """
        wanted = parse_phone(phone, self._default_region)
        now = self._clock()
        with self._db.read() as connection:
            found = privacy_repository.list_all_of_phone(connection, wanted.canonical)
            verifications = [_verification(connection, verification, now) for verification in found]
            wrong_codes = privacy_repository.list_wrong_codes_of_phone(connection, wanted.canonical)
            test_numbers = list_of_phone(connection, wanted.canonical)
            codes = list_spoken_of_phone(connection, wanted.canonical)
            spoken = [_spoken_code(connection, code) for code in codes]
            received = list_of_calls(connection, [code.call_id for code in codes])
            numbers = _numbers_of(wanted, found)
            first_responses = privacy_repository.list_first_responses_of_phone(connection, numbers)
            simulated = list_calls_to(connection, numbers)
            people = [person for number in numbers for person in accounts.list_accounts_of_phone(connection, number)]
        log.info("phone_exported", phone=mask_phone(wanted.e164), verifications=len(verifications))
        return {
            "phone": wanted.e164,
            "exported_at": iso_utc(now),
            "verifications": verifications,
            "accounts": [_account(account) for account in people],
            "spoken_codes": spoken,
            "connection_deliveries": [
                {"connection_id": each.connection_id, "at": iso_utc(each.received_at), "outcome": each.outcome.value}
                for each in received
            ],
            "test_numbers": [_test_number(number) for number in test_numbers],
            "simulated_calls": [
                {"call_id": call.call_id, "state": call.state, "at": iso_utc(call.created_at)} for call in simulated
            ],
            "wrong_codes_at": [iso_utc(judged_at) for judged_at in wrong_codes],
            "idempotent_requests": [
                {"user_id": owner_id, "path": path, "at": iso_utc(at)} for owner_id, path, at in first_responses
            ],
        }

    def erase_phone(self, phone: str) -> int:
        """Delete all that is stored about a phone, in accounts too. Returns how many verifications were deleted.

        That includes pending verifications, and the counts for the limits of the phone. Raises InvalidPhone, and
        Conflict `call_live` while a call to it is live, because its row holds a channel.
        """
        wanted = parse_phone(phone, self._default_region)
        counted_as = wanted.canonical
        with self._db.write() as connection:
            self._db.lock(connection, "dispatch")
            self._db.lock(connection, "phone", counted_as)
            found = privacy_repository.list_all_of_phone(connection, counted_as, for_update=True)
            # Locked until the end: a late event can't make one of the calls live any more.
            if any(call.holds_channel for call in calls.lock_calls_to(connection, counted_as)):
                raise Conflict("A call to this phone is live. Try again in three minutes.", code="call_live")
            numbers = _numbers_of(wanted, found)
            privacy_repository.delete_traces(connection, counted_as, numbers)
            for number in numbers:
                challenges.forget_phone(connection, number)
                for person in accounts.list_accounts_of_phone(connection, number):
                    recovery_code_repository.delete_codes(connection, person.account_id)
            forgotten = sum(accounts.forget_phone(connection, number) for number in numbers)
            delete_verifications(connection, [item.verification_id for item in found])
            codes = list_spoken_of_phone(connection, counted_as)
            delete_of_calls(connection, [code.call_id for code in codes])
            delete_spoken_codes(connection, [code.spoken_id for code in codes])
        privacy_repository.overwrite_deleted(self._db)
        log.info("phone_erased", phone=mask_phone(wanted.e164), verifications=len(found), accounts=forgotten)
        return len(found)


def _numbers_of(phone: Phone, found: list[Verification]) -> list[str]:
    """The numbers of one phone that it was called by, with the one that was asked about."""
    return sorted({phone.e164, phone.canonical, *(verification.e164 for verification in found)})


def _account(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "username": account.username,
        "email": account.email,
        "email_verified_at": iso_utc_or_none(account.email_verified_at),
        "role": account.role.value,
        "state": account.state.value,
        "user_ids": list(account.owner_ids),
        "second_factor": account.second_factor,
        "created_at": iso_utc(account.created_at),
        "last_signed_in_at": iso_utc_or_none(account.last_signed_in_at),
    }


def _verification(connection: Connection, verification: Verification, now: datetime) -> dict[str, Any]:
    approved_at = verification.approved_at
    found = calls.list_calls(connection, verification.verification_id)
    return {
        "verification_id": verification.verification_id,
        "phone": verification.e164,
        "user_id": verification.owner_id,
        "status": verification.status_at(now).value,
        "created_at": iso_utc(verification.created_at),
        "expires_at": iso_utc(verification.expires_at),
        "approved_at": iso_utc_or_none(approved_at),
        "attempts_used": verification.attempts_used,
        "replays_used": verification.replays_used,
        "locale": verification.locale,
        "spoken_locale": VerificationService.spoken_locale(verification),
        "reference": verification.reference,
        "has_session": bool(verification.session_digest),
        "is_test": verification.is_test,
        "calls": [_call(connection, call) for call in found],
    }


def _spoken_code(connection: Connection, spoken: SpokenCode) -> dict[str, Any]:
    return {
        "phone": spoken.e164,
        "user_id": spoken.owner_id,
        "created_at": iso_utc(spoken.created_at),
        "expires_at": iso_utc(spoken.expires_at),
        "locale": spoken.locale,
        "reference": spoken.reference,
        "is_test": spoken.is_test,
        "approved": spoken.approved,
        "calls": [_call(connection, call) for call in calls.list_calls(connection, spoken.spoken_id)],
    }


def _test_number(number: TestNumber) -> dict[str, Any]:
    return {
        "test_number_id": number.test_number_id,
        "user_id": number.owner_id,
        "phone": number.e164,
        "name": number.name,
        "created_at": iso_utc(number.created_at),
        "expires_at": iso_utc_or_none(number.expires_at),
    }


def _call(connection: Connection, call: Call) -> dict[str, Any]:
    events = calls.list_call_events(connection, [call.call_id])[call.call_id]
    reported = privacy_repository.list_provider_events(connection, call.call_id)
    return {
        "call_id": call.call_id,
        "provider_call_id": call.provider_call_id,
        "status": call.status.value,
        "reason": call.reason,
        "created_at": iso_utc(call.created_at),
        "answered_at": iso_utc_or_none(call.answered_at),
        "ended_at": iso_utc_or_none(call.ended_at),
        "events": [{"at": iso_utc(at), "type": type_} for at, type_ in events],
        "reported": [{"at": iso_utc(at), "type": type_, **json.loads(detail)} for at, type_, detail in reported],
    }
