"""All that is stored about one phone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from letstalk.calls.event_repository import webhook_events
from letstalk.calls.repository import calls
from letstalk.db.database import Database
from letstalk.http.idempotency import idempotency_keys
from letstalk.telephony.simulator.repository import delete_calls_to
from letstalk.test_numbers.repository import test_numbers
from letstalk.verifications.models import Verification
from letstalk.verifications.repository import verification_from, verifications
from letstalk.verifications.wrong_codes import wrong_codes


def list_all_of_phone(connection: Connection, phone: str, *, for_update: bool = False) -> list[Verification]:
    """Every owner's verifications of `phone`, oldest first. With `for_update` they are locked."""
    statement = select(verifications).where(verifications.c.phone == phone).order_by(verifications.c.created_at)
    rows = connection.execute(statement.with_for_update() if for_update else statement)
    return [verification_from(row) for row in rows]


def list_wrong_codes_of_phone(connection: Connection, phone: str) -> list[datetime]:
    """When wrong codes were judged, over all owners, oldest first."""
    statement = select(wrong_codes.c.judged_at).where(wrong_codes.c.phone == phone).order_by(wrong_codes.c.judged_at)
    return list(connection.execute(statement).scalars())


def list_first_responses_of_phone(connection: Connection, numbers: list[str]) -> Sequence[tuple[str, str, datetime]]:
    """(owner, path, when) of the stored responses to idempotent requests that name one of `numbers`, oldest first."""
    table = idempotency_keys.c
    statement = select(table.owner_id, table.path, table.created_at).where(_names(numbers)).order_by(table.created_at)
    return [(row.owner_id, row.path, row.created_at) for row in connection.execute(statement)]


def list_provider_events(connection: Connection, call_id: str) -> Sequence[tuple[datetime, str, str]]:
    """(when, type, detail as JSON) of what the provider reported of a call, oldest first."""
    table = webhook_events.c
    statement = select(table.occurred_at, table.type, table.detail).where(table.call_id == call_id)
    rows = connection.execute(statement.order_by(table.received_at))
    return [(row.occurred_at, row.type, row.detail) for row in rows]


def delete_traces(connection: Connection, phone: str, numbers: list[str]) -> None:
    """Delete what refers to `phone`, or to one of its `numbers`, besides its verifications and calls.

    These must still be there. It is: provider events of the calls, wrong codes, test numbers, responses to idempotent
    requests, and the calls of the simulator's phone.
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
    connection.execute(delete(test_numbers).where(test_numbers.c.phone == phone))
    connection.execute(delete(idempotency_keys).where(_names(numbers)))
    delete_calls_to(connection, numbers)


def overwrite_deleted(db: Database) -> None:
    """Remove what was deleted from SQLite's log. In the file itself it is overwritten at once (see `db.engines`).

    On PostgreSQL nobody can read deleted rows, and its next vacuum removes them.
    """
    if db.is_sqlite:
        with closing(db.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _names(numbers: list[str]) -> ColumnElement[bool]:
    """Whether a stored response is about one of `numbers`."""
    return or_(*(idempotency_keys.c.answer.contains(f'"{number}"') for number in numbers))
