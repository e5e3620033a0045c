"""The table of statistics, and reading what verifications are counted from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import HOLDS_CHANNEL, IS_QUEUED, calls
from letstalk.core.ids import first_id
from letstalk.db.database import BATCH
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import Statement, insert_into
from letstalk.statistics.models import ALL, DAY, HOUR, Figures, Holder, Seen, Selection, add_up_stored
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications


class Period(StrEnum):
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return HOUR if self is Period.HOUR else DAY


# A row for each owner and token that sent something, and one of all, which every hour has that was rolled up. Without
# personal data, so it stays when verifications are deleted.
statistics = sa.Table(
    "statistics",
    metadata,
    sa.Column("period", sa.String(4), primary_key=True),
    sa.Column("user_id", sa.String(128), key="owner_id", primary_key=True),  # empty: of all
    sa.Column("starts_at", UtcDateTime, primary_key=True),
    sa.Column("token_id", sa.String(36), primary_key=True),  # empty: none, or of all
    sa.Column("figures", sa.Text, nullable=False),  # JSON of `Figures`
    sa.CheckConstraint("period IN ('hour', 'day')", name="period"),
    sa.Index(None, "period", "starts_at"),
)

# Found by their ids, which begin with the time: the primary key is the only index that has all owners in that order.
_SEEN = Statement(
    sa.select(
        verifications.c.verification_id,
        verifications.c.owner_id,
        verifications.c.token_id,
        verifications.c.country,
        verifications.c.status,
        verifications.c.created_at,
        verifications.c.expires_at,
        verifications.c.approved_at,
        verifications.c.is_test,
        calls.c.status,
        calls.c.rang_at,
        calls.c.answered_at,
        calls.c.heard_at,
    )
    .select_from(verifications.outerjoin(calls, calls.c.subject_id == verifications.c.verification_id))
    .where(
        verifications.c.verification_id >= sa.bindparam("first"), verifications.c.verification_id < sa.bindparam("end")
    )
    .order_by(verifications.c.verification_id, calls.c.created_at)
)
_FIRST = sa.select(verifications.c.created_at).order_by(verifications.c.verification_id).limit(1)
_STATUSES = {status.value: status for status in VerificationStatus}
_CALL_STATUSES = {status.value: status for status in CallStatus}


@dataclass(frozen=True, slots=True)
class Row:
    """Stored figures of one owner's token, or of all, in one period."""

    starts_at: datetime
    holder: Holder
    figures: Figures


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What is stored: the hours from `first_hour` to before `end`, and the whole days from `first_day` on.

    There is no gap, so all days that end until `end` are stored. `first_day` is None before one is complete.
    """

    first_hour: datetime
    end: datetime
    first_day: datetime | None

    @property
    def start(self) -> datetime:
        return self.first_hour if self.first_day is None else min(self.first_hour, self.first_day)

    def has_day(self, day: datetime) -> bool:
        return self.first_day is not None and self.first_day <= day and day + DAY <= self.end


def list_seen(connection: sa.Connection, start: datetime, end: datetime, now: datetime) -> list[Seen]:
    """What became, by `now`, of the verifications that were made from `start` to before `end`."""
    found: dict[str, Seen] = {}
    for row in _SEEN.all(connection, {"first": first_id(start), "end": first_id(end)}):
        key, owner_id, token_id, country, status, created_at, expires_at, approved_at, is_test, *of_call = row
        seen = found.get(key)
        if seen is None:
            is_over = status == VerificationStatus.PENDING.value and expires_at <= now
            seen = found[key] = Seen(
                owner_id=owner_id,
                token_id=token_id or "",
                country=country or "",
                created_at=created_at,
                is_test=bool(is_test),
                status=VerificationStatus.EXPIRED if is_over else _STATUSES[status],
                approved_at=approved_at,
            )
        call_status, rang_at, answered_at, heard_at = of_call
        if call_status is not None:
            seen.add_call(_CALL_STATUSES[call_status], rang_at, answered_at, heard_at)
    return list(found.values())


def find_first(connection: sa.Connection) -> datetime | None:
    """When the oldest verification was made; None without any."""
    moment: datetime | None = connection.execute(_FIRST).scalar_one_or_none()
    return moment


def has_any(connection: sa.Connection, owner_ids: frozenset[str] | None) -> bool:
    """Whether these owners (None: all) have a verification."""
    if owner_ids is None:
        return find_first(connection) is not None
    statement = sa.select(verifications.c.owner_id).where(verifications.c.owner_id.in_(sorted(owner_ids))).limit(1)
    return connection.execute(statement).first() is not None


def find_rolled_up(connection: sa.Connection) -> RolledUp | None:
    """None before the first hour was."""
    first_hour = _end_of_progress(connection, Period.HOUR, is_first=True)
    last_hour = _end_of_progress(connection, Period.HOUR, is_first=False)
    if first_hour is None or last_hour is None:
        return None
    return RolledUp(first_hour, last_hour + HOUR, _end_of_progress(connection, Period.DAY, is_first=True))


def _end_of_progress(connection: sa.Connection, period: Period, *, is_first: bool) -> datetime | None:
    order = statistics.c.starts_at if is_first else statistics.c.starts_at.desc()
    of_all = statistics.c.period == period.value, statistics.c.owner_id == ALL[0]
    statement = sa.select(statistics.c.starts_at).where(*of_all).order_by(order).limit(1)
    moment: datetime | None = connection.execute(statement).scalar_one_or_none()
    return moment


def insert_figures(
    connection: sa.Connection, period: Period, starts_at: datetime, figures: Mapping[Holder, Figures]
) -> bool:
    """Store the figures of a period. Returns False, and changes nothing, if they are there already."""
    rows = [
        {
            "period": period.value,
            "starts_at": starts_at,
            "owner_id": owner_id,
            "token_id": token_id,
            "figures": one.to_json(),
        }
        for (owner_id, token_id), one in figures.items()
    ]
    of_all = [row for row in rows if not row["owner_id"]]
    statement = insert_into(statistics, connection.dialect.name).on_conflict_do_nothing()
    if connection.execute(statement, of_all).rowcount == 0:
        return False
    others = [row for row in rows if row["owner_id"]]
    if others:
        connection.execute(sa.insert(statistics), others)
    return True


def list_rows(
    connection: sa.Connection,
    period: Period,
    selection: Selection,
    start: datetime,
    end: datetime,
    *,
    is_by_token: bool,
) -> list[Row]:
    """The stored figures of a selection in the periods that start from `start` to before `end`.

    In a row for each owner and token, or without `is_by_token` in one for each period, whose holder is `ALL`.
    """
    table = statistics.c
    # One owner at a time is what the primary key is made for.
    owner_ids = [ALL[0]] if selection.owner_ids is None else sorted(selection.owner_ids)
    conditions = [
        table.period == period.value,
        table.starts_at >= start,
        table.starts_at < end,
        table.owner_id.in_(owner_ids),
        *([] if selection.token_id is None else [table.token_id == selection.token_id]),
    ]
    if is_by_token:
        return [_row_from(row) for row in connection.execute(_ROWS.where(*conditions))]
    texts = sa.select(table.starts_at, sa.func.aggregate_strings(table.figures, ",")).group_by(table.starts_at)
    rows = connection.execute(texts.where(*conditions))
    return [Row(starts_at, ALL, add_up_stored(figures)) for starts_at, figures in rows]


def list_all_rows(connection: sa.Connection, period: Period, start: datetime, end: datetime) -> list[Row]:
    """The stored figures of every owner and token, and of all."""
    table = statistics.c
    statement = _ROWS.where(table.period == period.value, table.starts_at >= start, table.starts_at < end)
    return [_row_from(row) for row in connection.execute(statement)]


_ROWS = sa.select(statistics.c.starts_at, statistics.c.owner_id, statistics.c.token_id, statistics.c.figures)


def _row_from(row: Sequence[Any]) -> Row:
    starts_at, owner_id, token_id, figures = row
    return Row(starts_at, (owner_id, token_id), Figures.from_json(figures))


def delete_rows(connection: sa.Connection, period: Period, start: datetime, before: datetime) -> int:
    """Delete some rows of the periods that start from `start` to before `before`, oldest first. Returns how many."""
    key = list(statistics.primary_key.columns)
    table = statistics.c
    oldest = (
        sa.select(*key)
        .where(table.period == period.value, table.starts_at >= start, table.starts_at < before)
        .order_by(table.starts_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(sa.delete(statistics).where(sa.tuple_(*key).in_(oldest))).rowcount


@dataclass(frozen=True, slots=True)
class Queue:
    """Calls of some owners: how many are live, how many wait, and since when the first of them waits."""

    live: int
    waiting: int
    waits_since: datetime | None


def read_queue(connection: sa.Connection, owner_ids: frozenset[str] | None) -> Queue:
    """The calls of these owners; None is all."""
    of_owners = () if owner_ids is None else (calls.c.owner_id.in_(sorted(owner_ids)),)
    live = sa.select(sa.func.count()).select_from(calls).where(HOLDS_CHANNEL, *of_owners)
    waiting = sa.select(sa.func.count(), sa.func.min(calls.c.created_at)).where(IS_QUEUED, *of_owners)
    count, waits_since = connection.execute(waiting).one()
    return Queue(connection.execute(live).scalar_one(), count, waits_since)
