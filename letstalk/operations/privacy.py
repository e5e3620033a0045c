"""What a person may ask for about their data: a copy, and its erasure (GDPR, articles 15 and 17)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from letstalk.accounts import repository as accounts
from letstalk.accounts.models import Account
from letstalk.calls.event_repository import webhook_events
from letstalk.calls.models import Call
from letstalk.calls.repository import calls, list_call_events, list_calls, lock_calls_to
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import Conflict
from letstalk.db.database import Database
from letstalk.http.idempotency import idempotency_keys
from letstalk.observability.logs import get_logger
from letstalk.observability.redaction import mask_phone
from letstalk.operations.retention import delete_verifications
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.verifications.models import Verification
from letstalk.verifications.repository import verification_from, verifications, wrong_codes

log = get_logger(__name__)


class PrivacyService:
    def __init__(self, db: Database, clock: Clock, *, default_region: str | None) -> None:
        self._db = db
        self._clock = clock
        self._default_region = default_region

    def export_phone(self, phone: str) -> dict[str, Any]:
        """All that is stored about a phone, of all owners, as plain data. Raises InvalidPhone.

        The code and the message of a pending verification are left out, because they are encrypted together.
        """
        e164 = parse_phone(phone, self._default_region).e164
        now = self._clock()
        with self._db.read() as connection:
            exported = [
                _verification(connection, verification, now) for verification in list_all_of_phone(connection, e164)
            ]
            wrong_codes = list_wrong_codes_of_phone(connection, e164)
            first_responses = list_first_responses_of_phone(connection, e164)
            people = accounts.list_accounts_of_phone(connection, e164)
        log.info("phone_exported", phone=mask_phone(e164), verifications=len(exported))
        return {
            "phone": e164,
            "exported_at": iso_utc(now),
            "verifications": exported,
            "accounts": [_account(account) for account in people],
            "wrong_codes_at": [iso_utc(judged_at) for judged_at in wrong_codes],
            "idempotent_requests": [
                {"user_id": user_id, "path": path, "at": iso_utc(at)} for user_id, path, at in first_responses
            ],
        }

    def erase_phone(self, phone: str) -> int:
        """Delete all that is stored about a phone, in accounts too. Returns how many verifications were deleted.

        That includes pending verifications, and the counts for the limits of the phone. Raises InvalidPhone, and
        Conflict `call_live` while a call to it is live, because its row holds a channel.
        """
        e164 = parse_phone(phone, self._default_region).e164
        with self._db.write() as connection:
            self._db.lock(connection, "dispatch")
            self._db.lock(connection, "phone", e164)
            found = list_all_of_phone(connection, e164, for_update=True)
            # Locked until the end: a late event can't make one of the calls live any more.
            if any(call.holds_channel for call in lock_calls_to(connection, e164)):
                raise Conflict("A call to this phone is live. Try again in three minutes.", code="call_live")
            delete_traces(connection, e164)
            forgotten = accounts.forget_phone(connection, e164)
            delete_verifications(connection, [item.verification_id for item in found])
        overwrite_deleted(self._db)
        log.info("phone_erased", phone=mask_phone(e164), verifications=len(found), accounts=forgotten)
        return len(found)


def _account(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "username": account.username,
        "email": account.email,
        "role": account.role.value,
        "state": account.state.value,
        "user_ids": list(account.user_ids),
        "second_factor": account.second_factor,
        "created_at": iso_utc(account.created_at),
        "last_signed_in_at": None if account.last_signed_in_at is None else iso_utc(account.last_signed_in_at),
    }


def _verification(connection: Connection, verification: Verification, now: datetime) -> dict[str, Any]:
    approved_at = verification.approved_at
    found = list_calls(connection, verification.verification_id)
    return {
        "verification_id": verification.verification_id,
        "user_id": verification.user_id,
        "status": verification.status_at(now).value,
        "created_at": iso_utc(verification.created_at),
        "expires_at": iso_utc(verification.expires_at),
        "approved_at": None if approved_at is None else iso_utc(approved_at),
        "attempts_used": verification.attempts_used,
        "replays_used": verification.replays_used,
        "locale": verification.locale,
        "calls": [_call(connection, call) for call in found],
    }


def _call(connection: Connection, call: Call) -> dict[str, Any]:
    events = list_call_events(connection, [call.call_id])[call.call_id]
    reported = list_provider_events(connection, call.call_id)
    return {
        "call_id": call.call_id,
        "provider_call_id": call.provider_call_id,
        "status": call.status.value,
        "reason": call.reason,
        "created_at": iso_utc(call.created_at),
        "answered_at": None if call.answered_at is None else iso_utc(call.answered_at),
        "ended_at": None if call.ended_at is None else iso_utc(call.ended_at),
        "events": [{"at": iso_utc(at), "type": type_} for at, type_ in events],
        "reported": [{"at": iso_utc(at), "type": type_, **json.loads(detail)} for at, type_, detail in reported],
    }


def list_all_of_phone(connection: Connection, phone: str, *, for_update: bool = False) -> list[Verification]:
    """Every owner's verifications of `phone`, oldest first. With `for_update` they are locked."""
    statement = select(verifications).where(verifications.c.phone == phone).order_by(verifications.c.created_at)
    rows = connection.execute(statement.with_for_update() if for_update else statement)
    return [verification_from(row) for row in rows]


def list_wrong_codes_of_phone(connection: Connection, phone: str) -> list[datetime]:
    """When wrong codes were judged, over all owners, oldest first."""
    statement = select(wrong_codes.c.judged_at).where(wrong_codes.c.phone == phone).order_by(wrong_codes.c.judged_at)
    return list(connection.execute(statement).scalars())


def list_first_responses_of_phone(connection: Connection, phone: str) -> Sequence[tuple[str, str, datetime]]:
    """(owner, path, when) of the stored responses to idempotent requests that name `phone`, oldest first."""
    table = idempotency_keys.c
    statement = select(table.user_id, table.path, table.created_at).where(_names(phone)).order_by(table.created_at)
    return [(row.user_id, row.path, row.created_at) for row in connection.execute(statement)]


def list_provider_events(connection: Connection, call_id: str) -> Sequence[tuple[datetime, str, str]]:
    """(when, type, detail as JSON) of what the provider reported of a call, oldest first."""
    table = webhook_events.c
    statement = select(table.occurred_at, table.type, table.detail).where(table.call_id == call_id)
    return [
        (row.occurred_at, row.type, row.detail) for row in connection.execute(statement.order_by(table.received_at))
    ]


def delete_traces(connection: Connection, phone: str) -> None:
    """Delete what refers to `phone` besides its verifications and calls, which must still be there.

    That is: provider events of the calls, wrong codes, and responses to idempotent requests.
    """
    table = webhook_events.c
    reported = or_(
        table.call_id.in_(select(calls.c.call_id).where(calls.c.phone == phone)),
        table.provider_call_id.in_(
            select(calls.c.provider_call_id).where(calls.c.phone == phone, calls.c.provider_call_id.is_not(None))
        ),
    )
    connection.execute(delete(webhook_events).where(reported))
    connection.execute(delete(wrong_codes).where(wrong_codes.c.phone == phone))
    connection.execute(delete(idempotency_keys).where(_names(phone)))


def overwrite_deleted(db: Database) -> None:
    """Remove what was deleted from SQLite's log. In the file itself it is overwritten at once (see `db.engines`).

    On PostgreSQL nobody can read deleted rows, and its next vacuum removes them.
    """
    if db.is_sqlite:
        with closing(db.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _names(phone: str) -> ColumnElement[bool]:
    """Whether a stored response is about `phone`."""
    return idempotency_keys.c.answer.contains(f'"{phone}"')
