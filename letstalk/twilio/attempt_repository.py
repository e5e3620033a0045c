"""Attempts: the calls of the verifications of services, those with codes of ours and those with an app's own.

They are read in the order of their verifications, the newest first, by the index of an owner's verifications: so a page
is found without reading the owner's other calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import calls
from letstalk.speaking.repository import HAS_SESSION, spoken_codes
from letstalk.twilio.models import Attempt, AttemptFilter
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications

Place = tuple[datetime, str]  # when a verification was made, and the id of its call


class _Subjects:
    """What calls are about: one of the two tables, and which of its columns say what."""

    def __init__(
        self, table: sa.Table, subject_id: sa.Column[str], is_approved: sa.ColumnElement[bool], *of_index: sa.TextClause
    ) -> None:
        """`of_index` is the condition of the partial index that is used."""
        self._table = table
        self._subject_id = subject_id
        self._is_approved = is_approved
        self._of_index = of_index

    def select_attempts(
        self, owner_id: str, services: Mapping[str, str], wanted: AttemptFilter, before: Place | None
    ) -> sa.Select[Any]:
        row = self._table.c
        statement = sa.select(
            calls.c.call_id,
            self._subject_id,
            row.created_at,
            row.session_digest,
            calls.c.phone,
            calls.c.phone_as_given,
            row.country,
            calls.c.status,
            calls.c.created_at,
            calls.c.ended_at,
            self._is_approved,
        )
        statement = statement.where(*self._conditions(owner_id, services, wanted))
        if before is not None:
            at, call_id = before
            is_earlier = sa.or_(row.created_at < at, calls.c.call_id < call_id)
            statement = statement.where(row.created_at <= at, is_earlier)
        return statement.order_by(row.created_at.desc(), calls.c.call_id.desc())

    def select_counts(self, owner_id: str, services: Mapping[str, str], wanted: AttemptFilter) -> sa.Select[int, int]:
        counts = sa.select(sa.func.count(), sa.func.count().filter(self._is_approved))
        return counts.where(*self._conditions(owner_id, services, wanted))

    def _conditions(
        self, owner_id: str, services: Mapping[str, str], wanted: AttemptFilter
    ) -> list[sa.ColumnElement[bool] | sa.TextClause]:
        row = self._table.c
        conditions: list[sa.ColumnElement[bool] | sa.TextClause] = [
            *self._of_index,
            calls.c.subject_id == self._subject_id,
            row.owner_id == owner_id,
            row.session_digest.in_(list(services)),
        ]
        if wanted.since is not None:
            conditions.append(row.created_at >= wanted.since)
        if wanted.until is not None:
            conditions.append(row.created_at < wanted.until)
        if wanted.phone is not None:
            conditions.append(row.phone == wanted.phone)
        if wanted.phone_prefix is not None:
            conditions.append(row.phone.startswith(wanted.phone_prefix, autoescape=True))
        if wanted.country is not None:
            conditions.append(row.country == wanted.country)
        if wanted.verification_id is not None:
            conditions.append(self._subject_id == wanted.verification_id)
        if wanted.is_converted is not None:
            conditions.append(self._is_approved == wanted.is_converted)
        return conditions


_OWN = _Subjects(
    verifications, verifications.c.verification_id, verifications.c.status == VerificationStatus.APPROVED.value
)
_CUSTOM = _Subjects(
    spoken_codes, spoken_codes.c.spoken_id, sa.func.coalesce(spoken_codes.c.approved, sa.false()), HAS_SESSION
)


def list_attempts(
    connection: sa.Connection,
    owner_id: str,
    services: Mapping[str, str],
    wanted: AttemptFilter,
    *,
    before: Place | None,
    limit: int,
) -> list[Attempt]:
    """The newest attempts that come after `before`. `services` are ids, by the digests of their sessions."""
    found: list[Attempt] = []
    for subjects in (_OWN, _CUSTOM):
        statement = subjects.select_attempts(owner_id, services, wanted, before).limit(limit)
        found += [_attempt_from(row, services) for row in connection.execute(statement)]
    found.sort(key=lambda attempt: (attempt.verification_at, attempt.call_id), reverse=True)
    return found[:limit]


def find_attempt(connection: sa.Connection, owner_id: str, services: Mapping[str, str], call_id: str) -> Attempt | None:
    for subjects in (_OWN, _CUSTOM):
        statement = subjects.select_attempts(owner_id, services, AttemptFilter(), None)
        row = connection.execute(statement.where(calls.c.call_id == call_id)).one_or_none()
        if row is not None:
            return _attempt_from(row, services)
    return None


def count_attempts(
    connection: sa.Connection, owner_id: str, services: Mapping[str, str], wanted: AttemptFilter
) -> tuple[int, int]:
    """(all, those of an approved verification)."""
    both = [
        connection.execute(subjects.select_counts(owner_id, services, wanted)).one() for subjects in (_OWN, _CUSTOM)
    ]
    return sum(row[0] for row in both), sum(row[1] for row in both)


def _attempt_from(row: Any, services: Mapping[str, str]) -> Attempt:
    call_id, subject_id, subject_at, digest, phone, as_given, country, status, created_at, ended_at, approved = row
    return Attempt(
        call_id=call_id,
        verification_id=subject_id,
        verification_at=subject_at,
        service_id=services[digest],
        e164=as_given or phone,
        country=country,
        call_status=CallStatus(status),
        created_at=created_at,
        ended_at=ended_at,
        is_converted=bool(approved),
    )
