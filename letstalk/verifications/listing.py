"""Pages of verifications, newest first, by any combination of filters, for a bounded amount of work.

No index serves every combination. So one index is read from its newest entry on, and the other filters are applied to
the rows that it finds: at most `MOST_CANDIDATES` of them. A page with fewer rows than it has room for says how far back
they were looked for, and the next page goes on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from letstalk.calls.repository import calls
from letstalk.verifications.models import MAX_TTL_SECONDS, Verification, VerificationStatus
from letstalk.verifications.outcomes import REASON_OF_CALL, REASON_OF_STATUS, Reason
from letstalk.verifications.repository import IS_PENDING, verification_from, verifications

MOST_CANDIDATES = 10_000
MOST_CANDIDATES_BY_REASON = 1_500  # for each of them its newest call is looked up
FIRST_CANDIDATES = 200
FEWEST_OF_A_BRANCH = 30  # more than a page has rows, so that one branch alone can fill it
GROWTH = 4  # of the number of candidates from one step to the next: most pages are full after the first

REQUEST_ID_VERSION = 7  # of UUIDs that begin with the time; request ids of older versions do not
CLOCK_SLACK = timedelta(seconds=1)  # a clock may be set back between two readings
LONGEST_REQUEST = timedelta(minutes=1)  # from its begin to its verification

# The exact text of the partial index: neither database uses it for a parameter.
IS_IN_INDEX_OF_FAILED = sa.text("verifications.status NOT IN ('pending', 'approved')")
FIRST_ID, LAST_ID = str(UUID(int=0)), str(UUID(int=2**128 - 1))
# A subquery with a limit, however high, is carried out as it stands: neither database moves the other filters into it,
# which would let them choose another index.
AS_IT_STANDS = 1_000_000_000

_STATUS_OF_REASON = {reason: status for status, reason in REASON_OF_STATUS.items()}
_CALLS_OF_REASON = {
    reason: [call for call, explained in REASON_OF_CALL.items() if explained is reason]
    for reason in set(Reason) - set(_STATUS_OF_REASON)
}
_EXPLAINED_BY_CALL = (VerificationStatus.EXPIRED, VerificationStatus.FAILED)
_NOT_IN_INDEX_OF_FAILED = {VerificationStatus.PENDING, VerificationStatus.APPROVED}

_TABLE = verifications.c
Condition = sa.ColumnElement[bool] | sa.TextClause
Key = Any  # a time, or an id


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which verifications to list. None means all. `owner_ids` are the owners that may be seen.

    `phone` is canonical. `since` is included, `until` is not.
    """

    owner_ids: frozenset[str] | None = None
    phone: str | None = None
    status: VerificationStatus | None = None
    reason: Reason | None = None
    country: str | None = None
    token_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: with the first row that is older than this time and id, or newer for `is_newer`."""

    at: datetime
    row_id: str
    is_newer: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """`rows`, newest first. `gave_up_at` is where the search ended for being too long, None where it was complete."""

    rows: tuple[Verification, ...]
    gave_up_at: Place | None


def time_of(verification_id: str) -> datetime:
    """When a verification was made, to the millisecond: its id begins with it (`core.ids.new_id`)."""
    milliseconds = int(verification_id[:8] + verification_id[9:13], 16)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def first_id_at(moment: datetime) -> str:
    """The least id of a verification that was made at `moment` or later."""
    digits = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:12]}-0000-0000-000000000000"


def list_newest(
    connection: sa.Connection, wanted: Wanted, now: datetime, *, limit: int, place: Place | None = None
) -> Found:
    """At most `limit` verifications at `place`, the newest ones without one."""
    return _Search(connection, wanted, now, place).run(limit)


def find_one(connection: sa.Connection, verification_id: str) -> Verification | None:
    """The verification with that id, of any owner."""
    row = connection.execute(sa.select(verifications).where(_TABLE.verification_id == verification_id)).one_or_none()
    return None if row is None else verification_from(row)


def find_by_request(connection: sa.Connection, request_id: str) -> Verification | None:
    """The verification that the request with that id has asked for, of any owner.

    Both ids begin with the time, so only the verifications of the minute after the request are looked at, by the
    primary key.
    """
    if UUID(request_id).version != REQUEST_ID_VERSION:
        return None
    requested_at = time_of(request_id)
    earliest, latest = requested_at - CLOCK_SLACK, requested_at + LONGEST_REQUEST
    statement = sa.select(verifications).where(
        _TABLE.verification_id >= first_id_at(earliest),
        _TABLE.verification_id < first_id_at(latest),
        _TABLE.request_id == request_id,
    )
    row = connection.execute(statement.limit(1)).one_or_none()
    return None if row is None else verification_from(row)


def list_by_reference(
    connection: sa.Connection, owner_ids: tuple[str, ...], reference: str, *, limit: int
) -> list[Verification]:
    """The newest verifications with this reference of these owners, newest first."""
    statement = sa.select(verifications).where(_TABLE.owner_id.in_(owner_ids), _TABLE.reference == reference)
    rows = connection.execute(statement.order_by(_TABLE.created_at.desc()).limit(limit))
    return [verification_from(row) for row in rows]


def find_successor(connection: sa.Connection, verification: Verification) -> str | None:
    """The id of the next verification of the same owner, phone and session."""
    statement = sa.select(_TABLE.verification_id).where(
        _TABLE.phone == verification.phone,
        _TABLE.owner_id == verification.owner_id,
        _TABLE.session_digest == verification.session_digest,
        _TABLE.created_at > verification.created_at,
    )
    found: str | None = connection.execute(statement.order_by(_TABLE.created_at).limit(1)).scalar()
    return found


@dataclass(frozen=True, slots=True)
class _Route:
    """A way to read candidates in their order: `branches` are conditions that an index serves, a scan for each.

    `key` is the column of the order: `created_at`, except where all owners' rows are read, by the primary key. `reads`
    are conditions for the same rows, in fewer statements. Where there are `owner_ids`, each of them has a scan.
    """

    branches: tuple[tuple[Condition, ...], ...]
    reads: tuple[tuple[Condition, ...], ...]
    key: sa.Column[Any] = field(default=_TABLE.created_at)
    owner_ids: tuple[str, ...] = ()

    @property
    def scans(self) -> int:
        return len(self.branches) * max(1, len(self.owner_ids))

    @property
    def is_by_id(self) -> bool:
        return self.key is _TABLE.verification_id


_WHOLE_TABLE = _Route(((),), ((),), _TABLE.verification_id)


class _Search:
    def __init__(self, connection: sa.Connection, wanted: Wanted, now: datetime, place: Place | None) -> None:
        self._connection = connection
        self._wanted = wanted
        self._now = now
        self._place = place
        self._is_newer = place is not None and place.is_newer
        self._statuses = _statuses_of(wanted)
        is_by_call = wanted.reason in _CALLS_OF_REASON
        self._most = MOST_CANDIDATES_BY_REASON if is_by_call else MOST_CANDIDATES

    def run(self, limit: int) -> Found:
        if self._statuses == frozenset() or self._wanted.owner_ids == frozenset():
            return Found((), None)  # a status and a reason that exclude each other, or nobody's
        route = self._choose_route()
        rows: list[Verification] = []
        start, end = self._start_of(route), None
        left, step = self._most, min(FIRST_CANDIDATES, self._most)
        while True:
            end = self._find_end(route, start, step)
            for conditions in route.reads:
                rows += self._read(route, conditions, start, end, limit)
            left -= step
            if end is None or len(rows) >= limit or left <= 0:
                break
            start, step = end, min(step * GROWTH, left)
        rows.sort(key=_id_of if route.is_by_id else _time_and_id_of, reverse=not self._is_newer)
        shown = tuple(rows[:limit])
        is_given_up = end is not None and len(rows) < limit
        return Found(
            tuple(reversed(shown)) if self._is_newer else shown,
            self._place_of(end) if is_given_up and end is not None else None,
        )

    def _choose_route(self) -> _Route:
        """The route by which the same work looks back the furthest."""
        wanted = self._wanted
        if wanted.phone is not None:  # of which there are few in any case
            return self._route_of_owners(_TABLE.phone == wanted.phone)
        routes = []
        if wanted.token_id is not None:
            routes.append(_route_of(((_TABLE.token_id == wanted.token_id,),)))
        if wanted.country is not None:
            routes.append(_route_of(((_TABLE.country == wanted.country,),)))
        if wanted.owner_ids is not None:
            routes.append(self._route_of_owners())
        if self._statuses is not None and not self._statuses & _NOT_IN_INDEX_OF_FAILED:
            routes.append(_route_of_statuses(self._statuses, self._now))
        if len(routes) < 2:
            return routes[0] if routes else _WHOLE_TABLE
        ends: list[Any] = [self._find_end(route, self._start_of(route), self._most) for route in routes]
        if None in ends:
            return routes[ends.index(None)]
        return routes[ends.index(max(ends) if self._is_newer else min(ends))]

    def _route_of_owners(self, *conditions: Condition) -> _Route:
        owner_ids = self._wanted.owner_ids
        if owner_ids is None:
            return _route_of((conditions,))
        if len(owner_ids) == 1:
            return _route_of(((*conditions, *(_TABLE.owner_id == owner_id for owner_id in owner_ids)),))
        several = tuple(sorted(owner_ids))
        return _Route((conditions,), ((*conditions, _TABLE.owner_id.in_(several)),), owner_ids=several)

    def _start_of(self, route: _Route) -> Key | None:
        if self._place is None:
            return None
        return self._place.row_id if route.is_by_id else self._place.at

    def _find_end(self, route: _Route, start: Key | None, count: int) -> Key | None:
        """The key up to which there are at most `count` candidates from `start` on, each branch having its share.

        It is the key of the next candidate. None where there are no more.
        """
        share = max(FEWEST_OF_A_BRANCH, count // route.scans)
        bounds = self._bounds(route, start)
        end = self._nearest([self._key_of(route, [*branch, *bounds], share) for branch in route.branches])
        if end is not None and end == start:  # more candidates than `count` have one time: all of them are one step
            bounds = self._bounds(route, None, after=end)
            end = self._nearest([self._key_of(route, [*branch, *bounds], 0) for branch in route.branches])
        return end

    def _key_of(self, route: _Route, conditions: list[Condition], skipped: int) -> sa.ScalarSelect[Any]:
        """The key of the first candidate after `skipped` ones; of several owners' ones, that which comes first."""
        statement = self._ordered(sa.select(route.key).where(*conditions), route.key).limit(1).offset(skipped)
        if not route.owner_ids:
            return statement.scalar_subquery()
        # One short statement for any number of owners: SQLAlchemy took longer to write a long one than it took to run.
        owners = _as_table(self._connection, route.owner_ids)
        key = statement.where(_TABLE.owner_id == owners.c.value).correlate(owners).scalar_subquery()
        nearest = sa.func.min(key) if self._is_newer else sa.func.max(key)
        return sa.select(nearest).select_from(owners).scalar_subquery()

    def _nearest(self, keys: list[sa.ScalarSelect[Any]]) -> Key | None:
        """The key that comes first. None where there is none."""
        known = [key for key in self._connection.execute(sa.select(*keys)).one() if key is not None]
        if not known:
            return None
        return min(known) if self._is_newer else max(known)

    def _read(
        self, route: _Route, conditions: tuple[Condition, ...], start: Key | None, end: Key | None, limit: int
    ) -> list[Verification]:
        """The wanted rows among the candidates from `start` on and before `end`."""
        within: list[Condition] = [*conditions, *self._bounds(route, start, before=end)]
        candidates = sa.select(verifications).where(*within).limit(AS_IT_STANDS).subquery("candidates")
        statement = sa.select(candidates).where(*self._conditions(candidates.c, route))
        statement = self._ordered(statement, candidates.c[route.key.key], candidates.c.verification_id)
        return [verification_from(row) for row in self._connection.execute(statement.limit(limit))]

    def _bounds(
        self, route: _Route, start: Key | None, *, before: Key | None = None, after: Key | None = None
    ) -> list[Condition]:
        """What holds of the keys of all candidates from `start` on, or after the key `after`, and before `before`.

        One lower and one upper bound at most: of two, SQLite takes whichever comes first, and reads all from there.
        """
        since, until = self._wanted.since, self._wanted.until
        if self._statuses == frozenset({VerificationStatus.PENDING}):  # none is older than the longest time to live
            oldest = self._now - timedelta(seconds=MAX_TTL_SECONDS)
            since = oldest if since is None else max(since, oldest)
        # Each with whether the key itself is left out.
        lower: list[tuple[Key, bool]] = []
        upper: list[tuple[Key, bool]] = []
        if since is not None:
            lower.append((first_id_at(since) if route.is_by_id else since, False))
        elif route.is_by_id:
            lower.append((FIRST_ID, False))  # of all of them, so that the index is used without other bounds too
        if until is not None:
            upper.append((first_id_at(until) if route.is_by_id else until, True))
        near, far = (lower, upper) if self._is_newer else (upper, lower)
        near += [(key, is_open) for key, is_open in ((start, False), (after, True)) if key is not None]
        far += [(before, True)] if before is not None else []
        bounds: list[Condition] = []
        if lower:
            key, is_open = max(lower)
            bounds.append(route.key > key if is_open else route.key >= key)
        if upper:
            key, is_closed = min((key, not is_open) for key, is_open in upper)
            bounds.append(route.key <= key if is_closed else route.key < key)
        return bounds

    def _conditions(self, row: Any, route: _Route) -> list[sa.ColumnElement[bool]]:
        """All filters, as conditions of a candidate."""
        wanted = self._wanted
        conditions: list[sa.ColumnElement[bool]] = []
        if wanted.owner_ids is not None:
            conditions.append(row.owner_id.in_(wanted.owner_ids))
        for column, value in (
            (row.phone, wanted.phone),
            (row.country, wanted.country),
            (row.token_id, wanted.token_id),
        ):
            if value is not None:
                conditions.append(column == value)
        if self._statuses is not None:
            conditions.append(sa.or_(*(_has_status(row, status, self._now) for status in sorted(self._statuses))))
        if wanted.reason in _CALLS_OF_REASON:
            conditions.append(_has_last_call(row, wanted.reason))
        if self._place is not None:
            at, row_id = self._place.at, self._place.row_id
            if route.is_by_id:
                conditions.append(row.verification_id > row_id if self._is_newer else row.verification_id < row_id)
            else:
                has_other_id = row.verification_id > row_id if self._is_newer else row.verification_id < row_id
                is_beyond = row.created_at > at if self._is_newer else row.created_at < at
                conditions.append(sa.or_(is_beyond, sa.and_(row.created_at == at, has_other_id)))
        return conditions

    def _ordered(self, statement: sa.Select[Any], *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return statement.order_by(*(column.asc() if self._is_newer else column.desc() for column in columns))

    def _place_of(self, end: Key) -> Place:
        """The place before which everything was looked at: the row with the key `end` comes next."""
        if isinstance(end, datetime):
            return Place(end, FIRST_ID if self._is_newer else LAST_ID, self._is_newer)
        neighbour = str(UUID(int=UUID(end).int + (-1 if self._is_newer else 1)))
        return Place(time_of(end), neighbour, self._is_newer)


def _statuses_of(wanted: Wanted) -> frozenset[VerificationStatus] | None:
    """The statuses that both filters allow, None for all. Those that only the last call explains are among them."""
    allowed = None if wanted.status is None else frozenset({wanted.status})
    if wanted.reason is None:
        return allowed
    own = _STATUS_OF_REASON.get(wanted.reason)
    of_reason = frozenset(_EXPLAINED_BY_CALL if own is None else (own,))
    return of_reason if allowed is None else allowed & of_reason


def _as_table(connection: sa.Connection, texts: tuple[str, ...]) -> sa.TableValuedAlias:
    """A row for each text, in the column `value`."""
    listed = json.dumps(texts)
    if connection.dialect.name == "sqlite":
        return sa.func.json_each(listed).table_valued("value", name="listed")
    return sa.func.json_array_elements_text(sa.cast(sa.literal(listed, sa.Text), sa.JSON)).table_valued(
        "value", name="listed"
    )


def _route_of(branches: tuple[tuple[Condition, ...], ...]) -> _Route:
    return _Route(branches, branches)


def _route_of_statuses(statuses: frozenset[VerificationStatus], now: datetime) -> _Route:
    values = sorted(statuses)
    branches: list[tuple[Condition, ...]] = [(IS_IN_INDEX_OF_FAILED, _TABLE.status == status) for status in values]
    reads: list[tuple[Condition, ...]] = [(IS_IN_INDEX_OF_FAILED, _TABLE.status.in_(values))]
    if VerificationStatus.EXPIRED in statuses:  # no sweep has written so yet
        ran_out = (IS_PENDING, _TABLE.expires_at <= now)
        branches.append(ran_out)
        reads.append(ran_out)
    return _Route(tuple(branches), tuple(reads))


def _has_status(row: Any, status: VerificationStatus, now: datetime) -> sa.ColumnElement[bool]:
    """As `Verification.status_at`."""
    is_marked = row.status == status.value
    if status is VerificationStatus.PENDING:
        return sa.and_(is_marked, row.expires_at > now)
    if status is VerificationStatus.EXPIRED:
        ran_out = sa.and_(row.status == VerificationStatus.PENDING.value, row.expires_at <= now)
        return sa.or_(is_marked, ran_out)
    return cast("sa.ColumnElement[bool]", is_marked)


def _has_last_call(row: Any, reason: Reason | None) -> sa.ColumnElement[bool]:
    """As `outcomes.reason_of`, for a verification that its last call explains."""
    last_call = (
        sa.select(calls.c.status)
        .where(calls.c.subject_id == row.verification_id)
        .order_by(calls.c.created_at.desc())  # no two are of one moment: a replay has its cool-down
        .limit(1)
        .scalar_subquery()
    )
    statuses = _CALLS_OF_REASON[reason] if reason is not None else []
    is_one_of = last_call.in_([status.value for status in statuses if status is not None])
    return sa.or_(is_one_of, last_call.is_(None)) if None in statuses else is_one_of


def _id_of(verification: Verification) -> str:
    return verification.verification_id


def _time_and_id_of(verification: Verification) -> tuple[datetime, str]:
    return verification.created_at, verification.verification_id
