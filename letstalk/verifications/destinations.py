"""How many calls one owner may have placed in an hour and a day: in all, to one country, and to one block of numbers.

Whoever earns money from calls has many numbers of one block called, and nobody types a code. A limit per phone does not
notice that. Each accepted call adds one to the counts of its owner, in the transaction that accepts it, so that
requests at once on several servers can't exceed a limit. This service's own calls to phones that people only claim to
have count as one owner's; a sign-in's call to a proven phone counts for its account, so that nobody else can use it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Connection, Integer, String, Table, bindparam, func, or_, select, text, update

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import RESERVED_PREFIX, Actor
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import TooManyRequests
from letstalk.core.rates import Rate
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import Statement
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
BREAKER = "fewer than 10 % approved"

# A window is an hour or a day by the clock, numbered since 1970. The breaker has closed a block until `closed_until`,
# in Unix seconds.
destination_counts = Table(
    "destination_counts",
    metadata,
    Column("user_id", String(128), key="owner_id", primary_key=True),
    Column("destination", String(16), primary_key=True),  # `all`, a country (ISO 3166), or the start of a block
    Column("hour", Integer, nullable=False),
    Column("hour_calls", Integer, nullable=False),
    Column("day", Integer, nullable=False, index=True),
    Column("day_calls", Integer, nullable=False),
    Column("closed_until", Integer, nullable=False),
)

# The same text for both databases. Every transaction takes an owner's rows in this order, so that no two of them wait
# for each other.
_COUNT = Statement(
    text("""
        INSERT INTO destination_counts (user_id, destination, hour, hour_calls, day, day_calls, closed_until)
        VALUES (:owner_id, :everywhere, :hour, 1, :day, 1, 0),
               (:owner_id, :country, :hour, 1, :day, 1, 0),
               (:owner_id, :block, :hour, 1, :day, 1, 0)
        ON CONFLICT (user_id, destination) DO UPDATE SET
            hour_calls = CASE WHEN destination_counts.hour = excluded.hour
                              THEN destination_counts.hour_calls + 1 ELSE 1 END,
            day_calls = CASE WHEN destination_counts.day = excluded.day
                             THEN destination_counts.day_calls + 1 ELSE 1 END,
            hour = excluded.hour, day = excluded.day
        RETURNING destination, hour_calls, day_calls, closed_until
    """).columns(destination=String, hour_calls=Integer, day_calls=Integer, closed_until=Integer)
)
_newest = (
    select(verifications.c.phone, verifications.c.status, verifications.c.expires_at)
    .where(verifications.c.owner_id == bindparam("owner_id"), verifications.c.created_at > bindparam("since"))
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


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """The most calls of one owner, each rate for an hour or a day. Empty for no limit."""

    owner_rates: tuple[Rate, ...] = ()
    country_rates: tuple[Rate, ...] = ()
    block_rates: tuple[Rate, ...] = ()
    has_breaker: bool = False


@dataclass(frozen=True, slots=True)
class ReachedLimit:
    """A limit that lets an owner call a destination no more. `until` is a time as the API writes it."""

    owner_id: str
    destination: str
    limit: str
    until: str


class DestinationLimits:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock, policy: DestinationPolicy) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._policy = policy

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
        counted = {"owner_id": owner_id, "everywhere": EVERYWHERE, "country": country, "block": block}
        windows = {"hour": seconds // HOUR_SECONDS, "day": seconds // DAY_SECONDS}
        for destination, hour_calls, day_calls, closed_until in _COUNT.all(connection, counted | windows):
            if closed_until > seconds:
                raise _refusal(closed_until - seconds)
            for rate, calls, until in self._rates_of(destination, hour_calls, day_calls, seconds):
                if calls > rate.amount:
                    raise _refusal(until - seconds)
                if calls == rate.amount:
                    self._record(connection, actor, ReachedLimit(owner_id, destination, _in_words(rate), _time(until)))
            # This service's own calls are not judged: somebody could shut out the people of a block by not answering.
            is_own = actor.owner_id.startswith(RESERVED_PREFIX)
            if destination == block and is_send and not is_own and _is_turn_to_judge(hour_calls):
                self._judge(connection, actor, block, now)

    def list_reached(self, owner_ids: frozenset[str] | None) -> list[ReachedLimit]:
        """The limits that stop calls of these owners now (None: of all), those with the most calls first."""
        table, seconds = destination_counts.c, int(self._clock().timestamp())
        statement = select(destination_counts).where(table.day >= seconds // DAY_SECONDS - 1)
        if owner_ids is not None:
            statement = statement.where(table.owner_id.in_(owner_ids))
        with self._db.read() as connection:
            rows = connection.execute(statement.order_by(table.day_calls.desc()).limit(MOST_TO_LIST)).all()
        reached = []
        for owner_id, destination, hour, hour_calls, day, day_calls, closed_until in rows:
            hour_calls = hour_calls if hour == seconds // HOUR_SECONDS else 0
            day_calls = day_calls if day == seconds // DAY_SECONDS else 0
            found = [
                (_in_words(rate), until)
                for rate, calls, until in self._rates_of(destination, hour_calls, day_calls, seconds)
                if calls >= rate.amount
            ]
            if closed_until > seconds:
                found.append((BREAKER, closed_until))
            reached += [ReachedLimit(owner_id, destination, limit, _time(until)) for limit, until in found]
        return reached

    def forget_old(self) -> None:
        """Delete the counts of the days before yesterday."""
        oldest = int(self._clock().timestamp()) // DAY_SECONDS - 1
        delete_in_batches(self._db, lambda connection: delete_oldest(connection, destination_counts.c.day, oldest))

    def _rates_of(
        self, destination: str, hour_calls: int, day_calls: int, seconds: int
    ) -> Iterator[tuple[Rate, int, int]]:
        """(rate, calls in its window, when that ends) for each rate of a destination."""
        policy = self._policy
        if destination == EVERYWHERE:
            rates = policy.owner_rates
        else:
            rates = policy.block_rates if destination.startswith("+") else policy.country_rates
        for rate in rates:
            calls = hour_calls if rate.window_seconds == HOUR_SECONDS else day_calls
            yield rate, calls, (seconds // rate.window_seconds + 1) * rate.window_seconds

    def _judge(self, connection: Connection, actor: Actor, block: str, now: datetime) -> None:
        """Close the block where nearly nobody has approved. The send that does it is still accepted."""
        if not self._policy.has_breaker:
            return
        wanted = {"owner_id": actor.owner_id, "since": now - timedelta(hours=1), "now": now, "block": block}
        over, approved = connection.execute(_JUDGED, wanted).one()
        if over < FEWEST_TO_JUDGE or approved >= over * LEAST_APPROVED:
            return
        until = int((now + CLOSED).timestamp())
        table = destination_counts.c
        is_block = (table.owner_id == actor.owner_id) & (table.destination == block)
        connection.execute(update(destination_counts).where(is_block).values(closed_until=until))
        self._record(connection, actor, ReachedLimit(actor.owner_id, block, BREAKER, _time(until)))

    def _record(self, connection: Connection, actor: Actor, reached: ReachedLimit) -> None:
        detail = asdict(reached)
        del detail["owner_id"]
        self._audit.record(connection, actor, "destination.limit_reached", detail=detail)


def _counted_owner(owner_id: str) -> str:
    return RESERVED_PREFIX if owner_id.startswith(RESERVED_PREFIX) else owner_id


def _is_turn_to_judge(hour_calls: int) -> bool:
    """Often where calls are few, and seldom where they are many: it reads up to MOST_TO_LOOK_AT rows."""
    return hour_calls >= FEWEST_TO_JUDGE and hour_calls % (5 if hour_calls <= 100 else 100) == 0


def _refusal(seconds: int) -> TooManyRequests:
    return TooManyRequests(
        "Too many calls to such numbers. Wait before asking again.",
        code="destination_limit",
        retry_after_seconds=max(1, seconds),
    )


def _in_words(rate: Rate) -> str:
    return f"{rate.amount} per {'hour' if rate.window_seconds == HOUR_SECONDS else 'day'}"


def _time(seconds: int) -> str:
    return iso_utc(datetime.fromtimestamp(seconds, UTC))
