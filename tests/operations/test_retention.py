"""What is too old goes, a little at a time; what is still of use stays, however old."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import event, func, insert, select, update

from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.calls.models import CallStatus
from letstalk.calls.repository import call_events, calls
from letstalk.db.database import MAX_BATCHES, Database, delete_in_batches, delete_oldest
from letstalk.http.idempotency import IdempotencyKey, store_first_response
from letstalk.operations.retention import BATCH, RetentionService
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications
from letstalk.verifications.wrong_codes import insert_wrong_code, wrong_codes
from tests.support.fixtures.databases import all_tables
from tests.support.token_setup import OWNER, TokenSetup
from tests.support.world import NOON, PHONE, World, at_once, phone_number

DAYS, AUDIT_DAYS = 90, 365


def retention_of(world: World, parts: TokenSetup | None = None) -> RetentionService:
    parts = parts or TokenSetup(world.db, world.vault)
    return RetentionService(world.db, parts.audit, parts.usage, world.clock, days=DAYS, audit_days=AUDIT_DAYS)


def count_rows(db: Database) -> dict[str, int]:
    with db.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in all_tables()
        }


def move_days(world: World, days: float) -> None:
    world.clock.move(days * 86_400)


def finished(world: World, phone: str = PHONE) -> str:
    """A verification that was heard and approved, its call over."""
    verification_id = world.send(phone).verification_id
    world.pass_time(40)
    world.check_phone(phone, world.heard(phone)[-1])
    world.pass_time(60)
    assert world.calls_of(verification_id)[-1].is_over
    return verification_id


def insert_finished(db: Database, count: int, at: datetime) -> None:
    """`count` verifications that expired, each with a call and two events."""
    ids = [f"{number:08d}-0000-4000-8000-{int(at.timestamp()):012d}" for number in range(count)]
    verification = {
        "owner_id": "acme",
        "phone": PHONE,
        "status": VerificationStatus.EXPIRED.value,
        "created_at": at,
        "expires_at": at + timedelta(minutes=5),
        "last_spoken_for_at": at,
        "attempts_used": 0,
        "replays_used": 0,
        "code_digest": "0" * 64,
        "digest_key_id": "none",
    }
    call = {
        "owner_id": "acme",
        "phone": PHONE,
        "status": CallStatus.COMPLETED.value,
        "created_at": at,
        "ended_at": at + timedelta(minutes=1),
        "turn": 1,
        "not_before": at,
        "speak_before": at + timedelta(minutes=5),
    }
    with db.write() as connection:
        connection.execute(insert(verifications), [{"verification_id": one, **verification} for one in ids])
        connection.execute(insert(calls), [{"call_id": one, "subject_id": one, **call} for one in ids])
        events = [{"call_id": one, "at": at, "type": type_} for one in ids for type_ in ("dialing", "completed")]
        connection.execute(insert(call_events), events)


@pytest.fixture
def commits(world: World) -> Iterator[list[int]]:
    """One entry for each transaction that was committed."""
    seen: list[int] = []

    def note(_connection: object) -> None:
        seen.append(1)

    event.listen(world.db.engine, "commit", note)
    yield seen
    event.remove(world.db.engine, "commit", note)


def test_old_verifications_go_with_their_calls_and_younger_ones_stay(world: World) -> None:
    finished(world)
    move_days(world, 1)
    kept = finished(world)
    move_days(world, DAYS - 0.5)
    assert retention_of(world).forget_old() == 1
    assert world.verification(kept).status is VerificationStatus.APPROVED
    call = world.calls_of(kept)[0]
    assert world.events_of(call.call_id)
    counted = count_rows(world.db)
    assert (counted["verifications"], counted["calls"]) == (1, 1)
    assert counted["call_events"] == len(world.events_of(call.call_id))
    assert retention_of(world).forget_old() == 0


def test_what_is_awaited_or_on_the_line_stays_however_old(world: World) -> None:
    pending = world.send(phone_number(1)).verification_id
    live = world.send(phone_number(2))
    world.pass_time(8)
    world.cancel(live.verification_id)
    world.change_call(live.call_id, status="unknown", ended_at=NOON, holds_channel=True)
    busy = {"status": "busy", "ended_at": NOON, "script_sealed": None, "holds_channel": False}
    world.change_call(world.calls_of(pending)[0].call_id, **busy)
    move_days(world, DAYS + 1)
    with world.db.write() as connection:
        later = world.clock() + timedelta(minutes=1)
        connection.execute(
            update(verifications).where(verifications.c.verification_id == pending).values(expires_at=later)
        )
    assert retention_of(world).forget_old() == 0
    assert world.verification(pending).status is VerificationStatus.PENDING
    assert world.call(live.call_id).holds_channel

    world.change_call(live.call_id, holds_channel=False)
    world.cancel(pending)
    assert retention_of(world).forget_old() == 2
    assert count_rows(world.db)["calls"] == 0


def test_it_goes_in_small_transactions(world: World, commits: list[int]) -> None:
    insert_finished(world.db, 2 * BATCH + 10, NOON - timedelta(days=DAYS + 1))
    insert_finished(world.db, 3, NOON)
    commits.clear()
    assert retention_of(world).forget_old() == 2 * BATCH + 10
    # Three batches, and one look that finds nothing for each of verifications, sign-ins, audit events and usage.
    assert len(commits) == 7
    counted = count_rows(world.db)
    assert (counted["verifications"], counted["calls"], counted["call_events"]) == (3, 3, 6)


def test_a_run_ends_though_there_is_more(sqlite_db: Database) -> None:
    world = World(sqlite_db)
    with world.db.write() as connection:
        for _ in range(MAX_BATCHES + 10):
            insert_wrong_code(connection, "acme", PHONE, "", NOON)
    one_by_one = partial(delete_oldest, age=wrong_codes.c.judged_at, before=NOON + timedelta(1), limit=1)
    assert delete_in_batches(world.db, one_by_one) == MAX_BATCHES
    assert delete_in_batches(world.db, one_by_one) == 10
    assert count_rows(world.db)["wrong_codes"] == 0


def test_others_write_while_a_large_clean_up_goes_on(world: World) -> None:
    longest_wait_behind_a_large_clean_up(world, 0)


@pytest.mark.timing
def test_nobody_waits_long_behind_a_large_clean_up(world: World) -> None:
    # A batch takes some 10 ms; the bound is for a machine that has other things to do. One that paused for longer does
    # so once, and a clean-up that keeps everybody waiting does so each time.
    slowest = [longest_wait_behind_a_large_clean_up(world, 0)]
    while slowest[-1] >= 1.0 and len(slowest) < 3:
        slowest.append(longest_wait_behind_a_large_clean_up(world, len(slowest)))
    assert slowest[-1] < 1.0, slowest


def longest_wait_behind_a_large_clean_up(world: World, nth: int) -> float:
    sent_before = count_rows(world.db)["verifications"]
    insert_finished(world.db, 3000, NOON - timedelta(days=DAYS + 1))
    waits, done = [0.0], threading.Event()

    def write_all_the_time() -> None:
        # No more than wait in the queue, which is full at some hundred.
        for number in range(60):
            started = time.perf_counter()
            world.send(phone_number(number), owner=f"owner {nth}")
            waits.append(time.perf_counter() - started)
            if done.is_set():
                return

    thread = threading.Thread(target=write_all_the_time, daemon=True)
    thread.start()
    assert retention_of(world).forget_old() == 3000
    done.set()
    thread.join(30)
    # How many got through depends on how quick the clean-up was; that some did does not.
    assert len(waits) > 1
    assert count_rows(world.db)["verifications"] == sent_before + len(waits) - 1
    return max(waits)


def test_several_workers_clean_up_side_by_side(world: World) -> None:
    insert_finished(world.db, 5 * BATCH, NOON - timedelta(days=DAYS + 1))
    forgotten: list[int] = []
    outcomes = at_once([lambda: forgotten.append(retention_of(world).forget_old())] * 3)
    assert outcomes == ["ok"] * 3
    assert sum(forgotten) == 5 * BATCH
    assert count_rows(world.db)["verifications"] == 0


def test_sessions_of_the_owner_go_as_late_as_those_of_people(world: World) -> None:
    owner_sessions = OwnerSessionService(world.db, "correct horse battery staple", world.clock, 3600, key=b"k")
    owner_sessions.sign_in("correct horse battery staple", "192.0.2.1")
    move_days(world, DAYS)
    retention_of(world).forget_old()
    assert count_rows(world.db)["sessions"] == 1
    move_days(world, 1)
    retention_of(world).forget_old()
    assert count_rows(world.db)["sessions"] == 0


def test_audit_and_usage_go_at_their_own_time_and_tokens_keep_their_totals(world: World) -> None:
    parts = TokenSetup(world.db, world.vault)
    token_id = parts.issue().record.token_id
    parts.usage.count(token_id, "/calls/otp")
    parts.audit.record_refusal("invalid_token", address="203.0.113.9")
    parts.usage.stop()
    parts.clocks.move(2 * 86_400)
    parts.usage.count(token_id, "/calls/otp")
    parts.audit.record_refusal("invalid_token", address="203.0.113.10")
    parts.usage.stop()

    move_days(world, DAYS + 2)
    retention_of(world, parts).forget_old()
    assert count_rows(world.db)["token_usage"] == 2
    assert count_rows(world.db)["audit_events"] == 3

    move_days(world, AUDIT_DAYS - DAYS - 1)
    retention_of(world, parts).forget_old()
    assert count_rows(world.db)["token_usage"] == 1
    assert [one.address for one in parts.events()] == ["203.0.113.10"]
    assert parts.service.get_token(OWNER, token_id).requests_total == 2


def test_the_slow_sweep_forgets_each_kind_at_its_time(world: World) -> None:
    verification_id = finished(world)
    world.clock.move(1)
    again = world.send().verification_id
    world.guess_wrong(again)
    with world.db.write() as connection:
        store_first_response(connection, "acme", IdempotencyKey("/calls/otp", "key", "0" * 64), {}, world.clock())
    world.pass_time(320)

    def left(after: timedelta) -> tuple[bool, ...]:
        world.clock.now = started + after
        world.sweep_slowly()
        world.heartbeat.forget_silent()
        counted = count_rows(world.db)
        return tuple(counted[name] > 0 for name in ("workers", "wrong_codes", "idempotency_keys", "webhook_events"))

    started = world.clock()
    assert left(timedelta(minutes=9)) == (True, True, True, True)
    assert left(timedelta(minutes=50)) == (False, True, True, True)
    assert left(timedelta(hours=23)) == (False, True, True, True)
    assert left(timedelta(hours=25)) == (False, False, False, True)
    assert left(timedelta(days=8)) == (False, False, False, False)
    assert world.verification(verification_id).status is VerificationStatus.APPROVED
    assert left(timedelta(days=DAYS + 1)) == (False, False, False, False)
    assert count_rows(world.db)["verifications"] == 0
