"""How many calls one owner may have placed in an hour and a day: in all, to one country, and to one block of numbers.

Whoever earns money from calls has many numbers of one block called, and nobody types a code. A limit per phone does not
notice that. Each accepted call adds one to the counts of its owner, in the transaction that accepts it, so that
requests at once on several servers can't exceed a limit. This service's own calls to phones that people only claim to
have count as one owner's; a sign-in's call to a proven phone counts for its account, so that nobody else can use it up.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Connection, Integer, String, Table, bindparam, case, func, or_, select, text, update

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import RESERVED_PREFIX, Actor
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import TooManyRequests
from letstalk.core.rates import Rate
from letstalk.db.database import Database, after_commit, delete_in_batches, delete_oldest
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.speaking.repository import count_reported
from letstalk.telephony.phone_numbers import block_of
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications

HOUR_SECONDS, DAY_SECONDS = 3600, 86_400
EVERYWHERE = "all"
MOST_TO_LIST = 100

# The breaker: so many verifications of the last hour must be over before a block is judged, and at most so many of the
# owner's newest are looked at.
FEWEST_TO_JUDGE = 20
LEAST_APPROVED = 0.1
MOST_TO_LOOK_AT = 2000
CLOSED = timedelta(hours=1)

# For an owner that calls a block often and has thousands of calls left, a process counts some calls in advance, for a
# second at most: one for each LEFT_PER_ADVANCE left and each CALLS_PER_ADVANCE of this hour. Otherwise each call would
# write these rows, and on PostgreSQL wait for the owner's other calls. What was counted in advance and not called is
# lost, so a limit is never exceeded.
LEFT_PER_ADVANCE = 1000
CALLS_PER_ADVANCE = 20
MOST_IN_ADVANCE = 100
MOST_PLACES = 4096
BREAKER = "fewer than 10 % approved"

# A window is an hour or a day by the clock, numbered since 1970. In Unix seconds: the breaker has closed a block until
# `closed_until`, and of the limits that were reached the last ends at `reached_until`.
destination_counts = Table(
    "destination_counts",
    metadata,
    Column("user_id", String(128), key="owner_id", primary_key=True),
    Column("destination", String(16), primary_key=True),  # `all`, a country (ISO 3166), or the start of a block
    Column("hour", Integer, nullable=False),
    Column("hour_calls", Integer, nullable=False),
    Column("day", Integer, nullable=False),
    Column("day_calls", Integer, nullable=False),
    Column("closed_until", Integer, nullable=False),
    Column("reached_until", Integer, nullable=False),
)
# No index of a column that each call writes.
partial_index("ix_destination_counts_reached_until", "reached_until > 0", destination_counts.c.reached_until)

# The same text for both databases. Every transaction takes an owner's rows in this order, so that no two of them wait
# for each other.
_COUNT = Statement(
    text("""
        INSERT INTO destination_counts
            (user_id, destination, hour, hour_calls, day, day_calls, closed_until, reached_until)
        VALUES (:owner_id, :everywhere, :hour, :calls, :day, :calls, 0, 0),
               (:owner_id, :country, :hour, :calls, :day, :calls, 0, 0),
               (:owner_id, :block, :hour, :calls, :day, :calls, 0, 0)
        ON CONFLICT (user_id, destination) DO UPDATE SET
            hour_calls = excluded.hour_calls
                + CASE WHEN destination_counts.hour = excluded.hour THEN destination_counts.hour_calls ELSE 0 END,
            day_calls = excluded.day_calls
                + CASE WHEN destination_counts.day = excluded.day THEN destination_counts.day_calls ELSE 0 END,
            hour = excluded.hour, day = excluded.day
        RETURNING destination, hour_calls, day_calls, closed_until
    """).columns(destination=String, hour_calls=Integer, day_calls=Integer, closed_until=Integer)
)
_newest = (
    select(verifications.c.phone, verifications.c.status, verifications.c.expires_at)
    .where(
        verifications.c.owner_id == bindparam("owner_id"),
        verifications.c.created_at > bindparam("since"),
        # Approvals of a test number in a block could hide that no real call to the block is approved.
        ~verifications.c.is_test,
    )
    .order_by(verifications.c.created_at.desc())
    .limit(MOST_TO_LOOK_AT)
    .subquery()
)
_is_over = or_(
    _newest.c.status != VerificationStatus.PENDING.value, _newest.c.expires_at <= bindparam("now", type_=UtcDateTime)
)
_JUDGED = select(func.count(), func.count().filter(_newest.c.status == VerificationStatus.APPROVED.value)).where(
    _newest.c.phone.startswith(bindparam("block")), _is_over
)


_Place = tuple[str, str, str]  # owner, country, block


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """The most calls of one owner, each rate for an hour or a day. Empty for no limit."""

    owner_rates: tuple[Rate, ...] = ()
    country_rates: tuple[Rate, ...] = ()
    block_rates: tuple[Rate, ...] = ()
    has_breaker: bool = False


@dataclass(frozen=True, slots=True)
class ReachedLimit:
    """A limit that lets an owner call a destination no more, `until` a moment in UTC."""

    owner_id: str
    destination: str
    limit: str
    until: datetime


class DestinationLimits:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock, policy: DestinationPolicy) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._policy = policy
        self._lock = threading.Lock()
        self._advances: dict[_Place, tuple[int, int]] = {}  # calls left, and the second in which they were counted
        self._next_advance: dict[_Place, int] = {}

    def count_call(
        self,
        connection: Connection,
        actor: Actor,
        phone: str,
        country: str,
        now: datetime,
        *,
        is_send: bool,
        is_proven: bool = False,
    ) -> None:
        """Count one accepted call to the canonical number `phone`, in the transaction that accepts it.

        The call that reaches a limit, and the send that opens the breaker, is recorded in the audit trail.
        Raises TooManyRequests `destination_limit` if it is one too many. Its text names no limit: the caller may be the
        one whom the limit is meant for.
        """
        if self._policy == DestinationPolicy():
            return
        owner_id = actor.owner_id if is_proven else _counted_owner(actor.owner_id)
        block, seconds = block_of(phone), int(now.timestamp())
        place = (owner_id, country, block)
        if self._is_in_advance(place, seconds):
            return
        added = self._next_advance.get(place, 1)
        counted = {"owner_id": owner_id, "everywhere": EVERYWHERE, "country": country, "block": block, "calls": added}
        windows = {"hour": seconds // HOUR_SECONDS, "day": seconds // DAY_SECONDS}
        left, block_calls = MOST_IN_ADVANCE * LEFT_PER_ADVANCE, 0
        for destination, hour_calls, day_calls, closed_until in _COUNT.all(connection, counted | windows):
            if closed_until > seconds:
                raise _refusal(closed_until - seconds)
            for rate in self._rates_of(destination):
                calls = hour_calls if rate.window_seconds == HOUR_SECONDS else day_calls
                left = min(left, rate.amount - calls)
                if calls >= rate.amount:
                    until = _end_of(rate, seconds)
                    if calls > rate.amount:
                        self._next_advance.pop(place, None)
                        raise _refusal(until - seconds)
                    self._note_reached(connection, actor, owner_id, destination, _in_words(rate), until)
            # This service's own calls are not judged: somebody could shut out the people of a block by not answering.
            is_own = actor.owner_id.startswith(RESERVED_PREFIX)
            if destination == block and is_send and not is_own and _is_turn_to_judge(hour_calls, added):
                self._judge(connection, actor, block, now)
            if destination == block:
                block_calls = hour_calls
        next_calls = min(left // LEFT_PER_ADVANCE, block_calls // CALLS_PER_ADVANCE)
        after_commit(connection, lambda: self._note_advance(place, added - 1, next_calls, seconds))

    def _is_in_advance(self, place: _Place, seconds: int) -> bool:
        """Take one of the calls that this process has counted in advance, if one is left for this second and hour."""
        with self._lock:
            calls, second = self._advances.get(place, (0, 0))
            if not calls or not second <= seconds <= second + 1 or seconds // HOUR_SECONDS != second // HOUR_SECONDS:
                return False
            self._advances[place] = (calls - 1, second)
            return True

    def _note_advance(self, place: _Place, calls: int, next_calls: int, seconds: int) -> None:
        if calls == 0 and next_calls <= 1 and place not in self._next_advance:
            return  # the usual case: the limits are not that high
        with self._lock:
            if len(self._next_advance) >= MOST_PLACES:
                self._next_advance.clear()
                self._advances.clear()
            self._next_advance[place] = max(1, next_calls)
            self._advances[place] = (calls, seconds)

    def list_reached(self, owner_ids: frozenset[str] | None) -> list[ReachedLimit]:
        """The limits that stop calls of these owners now (None: of all), those with the most calls first."""
        table, seconds = destination_counts.c, int(self._clock().timestamp())
        # The condition of the index: SQLite does not conclude it from a parameter.
        statement = select(destination_counts).where(text("reached_until > 0"), table.reached_until > seconds)
        if owner_ids is not None:
            statement = statement.where(table.owner_id.in_(owner_ids))
        with self._db.read() as connection:
            rows = connection.execute(statement.order_by(table.day_calls.desc()).limit(MOST_TO_LIST)).all()
        reached = []
        for owner_id, destination, hour, hour_calls, day, day_calls, closed_until, _ in rows:
            windows = {
                HOUR_SECONDS: hour_calls if hour == seconds // HOUR_SECONDS else 0,
                DAY_SECONDS: day_calls if day == seconds // DAY_SECONDS else 0,
            }
            # By the limits of now: the settings may have changed.
            rates = [rate for rate in self._rates_of(destination) if windows[rate.window_seconds] >= rate.amount]
            found = [(_in_words(rate), _end_of(rate, seconds)) for rate in rates]
            if closed_until > seconds:
                found.append((BREAKER, closed_until))
            reached += [
                ReachedLimit(owner_id, destination, limit, datetime.fromtimestamp(until, UTC)) for limit, until in found
            ]
        return reached

    def forget_old(self) -> None:
        """Delete the counts of the days before yesterday."""
        oldest = int(self._clock().timestamp()) // DAY_SECONDS - 1
        delete_in_batches(self._db, lambda connection: delete_oldest(connection, destination_counts.c.day, oldest))

    def _rates_of(self, destination: str) -> tuple[Rate, ...]:
        if destination == EVERYWHERE:
            return self._policy.owner_rates
        return self._policy.block_rates if destination[0] == "+" else self._policy.country_rates

    def _judge(self, connection: Connection, actor: Actor, block: str, now: datetime) -> None:
        """Close the block where nearly nobody has approved. The send that does it is still accepted."""
        if not self._policy.has_breaker:
            return
        wanted = {"owner_id": actor.owner_id, "since": now - timedelta(hours=1), "now": now, "block": block}
        over, approved = connection.execute(_JUDGED, wanted).one()
        reported, accepted = count_reported(connection, actor.owner_id, block, now - timedelta(hours=1))
        over, approved = over + reported, approved + accepted
        if over < FEWEST_TO_JUDGE or approved >= over * LEAST_APPROVED:
            return
        until = int((now + CLOSED).timestamp())
        self._note_reached(connection, actor, actor.owner_id, block, BREAKER, until, closed_until=until)

    def _note_reached(
        self, connection: Connection, actor: Actor, owner_id: str, destination: str, limit: str, until: int, **also: int
    ) -> None:
        table = destination_counts.c
        is_it = (table.owner_id == owner_id) & (table.destination == destination)
        last = case((table.reached_until < until, until), else_=table.reached_until)
        connection.execute(update(destination_counts).where(is_it).values(reached_until=last, **also))
        detail = {"destination": destination, "limit": limit, "until": _time(until)}
        self._audit.record(connection, actor, "destination.limit_reached", owner_id=owner_id, detail=detail)
        told = NewEvent(AppEventType.DESTINATION_LIMITED, owner_id, detail={"user_id": owner_id, **detail})
        record_event(connection, told, self._clock())


def _counted_owner(owner_id: str) -> str:
    return RESERVED_PREFIX if owner_id.startswith(RESERVED_PREFIX) else owner_id


def _is_turn_to_judge(hour_calls: int, added: int) -> bool:
    """Often where calls are few, and seldom where they are many: it reads up to MOST_TO_LOOK_AT rows."""
    step = 5 if hour_calls <= 100 else 100
    return hour_calls >= FEWEST_TO_JUDGE and hour_calls // step != (hour_calls - added) // step


def _refusal(seconds: int) -> TooManyRequests:
    return TooManyRequests(
        "Too many calls to such numbers. Wait before asking again.",
        code="destination_limit",
        retry_after_seconds=max(1, seconds),
    )


def _end_of(rate: Rate, seconds: int) -> int:
    return (seconds // rate.window_seconds + 1) * rate.window_seconds


def _in_words(rate: Rate) -> str:
    return f"{rate.amount} per {'hour' if rate.window_seconds == HOUR_SECONDS else 'day'}"


def _time(seconds: int) -> str:
    return iso_utc(datetime.fromtimestamp(seconds, UTC))
