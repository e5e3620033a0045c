"""Limits of calls by owner, country and block of numbers, and the breaker: what is counted, and for whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from letstalk.audit.repository import audit_events
from letstalk.core.rates import Rate
from letstalk.db.database import Database
from letstalk.events.models import AppEventType
from letstalk.events.repository import list_newest
from letstalk.http.idempotency import IdempotencyKey
from letstalk.verifications.destinations import BREAKER, DestinationPolicy, destination_counts
from tests.support.world import BUSY, NO_ANSWER, SEND_PATH, World, at_once, phone_number, refusal_of

HOUR, DAY = 3600, 86_400
GHANA = [f"+23324234{number:04d}" for number in range(100)]


def make_world(db: Database, *, breaker: bool = False, **rates: tuple[Rate, ...]) -> World:
    """A world at 12:00 with these limits, with room for every call in the queue."""
    return World(db, channels=1000, destination_policy=DestinationPolicy(**rates, has_breaker=breaker))


def recorded(world: World) -> Sequence[dict[str, str]]:
    with world.db.read() as connection:
        statement = sa.select(audit_events.c.detail).where(audit_events.c.action == "destination.limit_reached")
        return [json.loads(detail) for detail in connection.execute(statement).scalars()]


def told_limits(world: World) -> list[tuple[str, str]]:
    with world.db.read() as connection:
        events = list_newest(connection, None, after=None, limit=1000)
    limited = [event for event in events if event.type is AppEventType.DESTINATION_LIMITED]
    return [(event.owner_id, event.detail["destination"]) for event in limited]


def counted(world: World) -> dict[tuple[str, str], int]:
    table = destination_counts.c
    with world.db.read() as connection:
        rows = connection.execute(sa.select(table.owner_id, table.destination, table.day_calls))
        return {(owner_id, destination): calls for owner_id, destination, calls in rows}


def send_many(world: World, phones: Sequence[str], owner: str = "acme") -> None:
    for phone in phones:
        world.send(phone, owner=owner)


def test_calls_of_one_owner_to_one_block_are_limited_by_hour_and_by_day(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(3, HOUR), Rate(5, DAY)))
    send_many(world, [phone_number(number) for number in range(3)])
    assert told_limits(world) == [("acme", phone_number(0)[:9])]
    error = refusal_of(lambda: world.send(phone_number(3)), "destination_limit")
    assert error.retry_after_seconds == HOUR
    assert len(told_limits(world)) == 1
    world.clock.move(HOUR)
    send_many(world, [phone_number(number) for number in range(3, 5)])
    error = refusal_of(lambda: world.send(phone_number(5)), "destination_limit")
    assert error.retry_after_seconds == 11 * HOUR
    world.clock.move(11 * HOUR)
    world.send(phone_number(5))


def test_the_refusal_does_not_say_which_limit_it_is_but_the_audit_trail_and_the_dashboard_do(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(1, HOUR),))
    world.send(phone_number(0))
    for number in (1, 2):
        error = refusal_of(partial(world.send, phone_number(number)), "destination_limit")
        assert not any(word in error.message for word in ("block", "hour", "day", "+256", "UG", "1 "))
    [event] = recorded(world)
    assert event == {"destination": "+25670010", "limit": "1 per hour", "until": "2026-11-20T13:00:00.000Z"}
    [reached] = world.destinations.list_reached(frozenset({"acme"}))
    assert (reached.owner_id, reached.destination, reached.limit) == ("acme", "+25670010", "1 per hour")
    assert world.destinations.list_reached(frozenset({"globex"})) == []
    assert world.destinations.list_reached(None) == [reached]
    world.clock.move(HOUR)
    assert world.destinations.list_reached(None) == []


def test_other_blocks_countries_and_owners_are_counted_apart(db: Database) -> None:
    one, two, three = (Rate(amount, HOUR) for amount in (1, 2, 3))
    world = make_world(db, block_rates=(one,), country_rates=(two,), owner_rates=(three,))
    world.send("+256700100001")
    refusal_of(lambda: world.send("+256700100002"), "destination_limit")  # its block
    world.send("+256701100001")
    refusal_of(lambda: world.send("+256772100001"), "destination_limit")  # its country
    world.send(GHANA[0])
    refusal_of(lambda: world.send("+12025550143"), "destination_limit")  # its owner
    world.send("+256700100002", owner="globex")


def test_a_refused_call_is_not_counted_and_leaves_nothing(db: Database) -> None:
    world = make_world(db, country_rates=(Rate(2, HOUR),))
    send_many(world, GHANA[:2])
    before = counted(world)
    refusal_of(lambda: world.send(GHANA[2]), "destination_limit")
    assert counted(world) == before
    refusal_of(lambda: world.check_phone(GHANA[2], "123456"), "no_pending_verification")


def test_a_repeat_of_a_request_counts_nothing_and_is_answered_when_the_limit_is_reached(db: Database) -> None:
    world = make_world(db, owner_rates=(Rate(1, HOUR),))
    key = IdempotencyKey(SEND_PATH, "a key", "0" * 64)
    first = world.send(GHANA[0], idempotency=key)
    again = world.send(GHANA[0], idempotency=key)
    assert (again.call_id, again.is_first_response) == (first.call_id, False)
    assert counted(world)["acme", "all"] == 1


def test_a_replay_by_a_new_call_is_a_call(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(2, HOUR),))
    accepted = world.send(BUSY)
    world.pass_time(30)
    world.replay(accepted.verification_id)
    world.pass_time(30)
    refusal_of(lambda: world.replay(accepted.verification_id), "destination_limit")


def test_a_phone_is_counted_in_one_block_by_whichever_number_it_is_called(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(2, HOUR),))
    world.send("+390549886377")
    world.send("+3780549886378")
    refusal_of(lambda: world.send("+390549886379"), "destination_limit")


def test_the_calls_that_prove_the_phones_of_all_people_count_as_one_owners(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(2, HOUR),))
    world.send(GHANA[0], owner="letstalk:one")
    world.send(GHANA[1], owner="letstalk:two")
    refusal_of(lambda: world.send(GHANA[2], owner="letstalk:three"), "destination_limit")
    world.send(GHANA[2], owner="acme")


def test_requests_at_once_do_not_exceed_a_limit(db: Database) -> None:
    world = make_world(db, block_rates=(Rate(5, HOUR),))
    outcomes = at_once([partial(world.send, phone) for phone in GHANA[:12]])
    assert sorted(outcomes) == ["destination_limit"] * 7 + ["ok"] * 5
    assert counted(world)["acme", "+23324234"] == 5


def test_two_servers_count_together(db: Database) -> None:
    one = make_world(db, block_rates=(Rate(6, HOUR),))
    other = replace(one)
    sends: list[Callable[[], object]] = [partial((one, other)[number % 2].send, GHANA[number]) for number in range(12)]
    assert sorted(at_once(sends)) == ["destination_limit"] * 6 + ["ok"] * 6


def expire(world: World, phones: Sequence[str]) -> None:
    """Send codes that nobody types in, and let them expire."""
    send_many(world, phones)
    world.clock.move(301)


def test_the_breaker_closes_a_block_that_nearly_nobody_approves_for_an_hour(db: Database) -> None:
    world = make_world(db, breaker=True)
    expire(world, GHANA[:20])
    send_many(world, GHANA[20:25])
    error = refusal_of(lambda: world.send(GHANA[25]), "destination_limit")
    assert error.retry_after_seconds == HOUR
    assert [event["limit"] for event in recorded(world)] == [BREAKER]
    assert [reached.limit for reached in world.destinations.list_reached(None)] == [BREAKER]
    world.send(phone_number(0))
    world.send(GHANA[25], owner="globex")
    world.clock.move(HOUR)
    world.send(GHANA[26])


def test_the_breaker_stays_shut_where_one_in_ten_approves(db: Database) -> None:
    world = make_world(db, breaker=True)
    for number, phone in enumerate(GHANA[:20]):
        accepted = world.send(phone)
        if number % 10 == 0:
            world.check(accepted.verification_id, world.code_of(accepted.verification_id))
    world.clock.move(301)
    send_many(world, GHANA[20:60])
    assert recorded(world) == []


def test_codes_that_people_may_still_type_are_not_judged(db: Database) -> None:
    world = make_world(db, breaker=True)
    send_many(world, GHANA[:60])
    assert recorded(world) == []


def test_nobody_shuts_the_people_of_a_block_out_of_signing_in(db: Database) -> None:
    world = make_world(db, breaker=True)
    for phone in GHANA[:20]:
        world.send(phone, owner="letstalk:one")
    world.clock.move(301)
    for phone in GHANA[20:50]:
        world.send(phone, owner="letstalk:one")
    assert recorded(world) == []


def test_without_limits_nothing_is_counted(db: Database) -> None:
    world = make_world(db)
    world.send(NO_ANSWER)
    assert counted(world) == {}


def test_counts_of_past_days_are_forgotten(db: Database) -> None:
    world = make_world(db, owner_rates=(Rate(5, DAY),))
    world.send(GHANA[0])
    world.clock.move(DAY)
    world.destinations.forget_old()
    assert counted(world) != {}
    world.clock.move(DAY)
    world.destinations.forget_old()
    assert counted(world) == {}


@pytest.mark.parametrize(
    ("phone", "block"), [("+12025550143", "+1202555"), ("+79161234567", "+7916123"), ("+256700123456", "+25670012")]
)
def test_a_block_is_seven_digits_or_eight(db: Database, phone: str, block: str) -> None:
    world = make_world(db, owner_rates=(Rate(5, DAY),))
    world.send(phone)
    assert ("acme", block) in counted(world)


def make_busy(db: Database, calls: int, *rates: Rate) -> World:
    """A world whose owner has had so many calls in this hour, to the block of GHANA."""
    world = make_world(db, block_rates=rates)
    world.send(GHANA[0])
    with db.write() as connection:
        connection.execute(sa.update(destination_counts).values(hour_calls=calls, day_calls=calls))
    world.clock.move(2)
    world.send(GHANA[1])
    return world


def test_where_thousands_are_left_a_busy_owner_is_counted_in_advance_and_never_too_low(db: Database) -> None:
    world = make_busy(db, 1000, Rate(1_000_000, HOUR))
    seen = set()
    for phone in GHANA[2:60]:
        world.send(phone)
        seen.add(counted(world)["acme", "+23324234"])
    assert len(seen) < 10
    assert max(seen) >= 1059


def test_calls_counted_in_advance_end_with_their_second_and_their_hour(db: Database) -> None:
    world = make_busy(db, 1000, Rate(1_000_000, HOUR))
    for moved in (0, 2, 2):
        world.clock.move(moved)
        before = counted(world)["acme", "+23324234"]
        world.send(GHANA[10 + moved + before % 7])
        assert counted(world)["acme", "+23324234"] > before
    world.clock.move(HOUR - 7)
    world.send(GHANA[50])
    world.clock.move(1)
    world.send(GHANA[51])
    with world.db.read() as connection:
        hours = connection.execute(sa.select(destination_counts.c.hour).distinct()).scalars().all()
    assert hours == [int(world.clock().timestamp()) // HOUR]


def test_near_a_high_limit_it_is_not_exceeded_by_calls_at_once(db: Database) -> None:
    world = make_busy(db, 9990, Rate(10_000, HOUR))
    outcomes = at_once([partial(world.send, phone) for phone in GHANA[2:22]])
    assert outcomes.count("ok") == 9
    refusal_of(lambda: world.send(GHANA[30]), "destination_limit")
    assert [event["limit"] for event in recorded(world)] == ["10000 per hour"]
