"""Counting requests: no request is lost, and no request causes a write of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from letstalk.tokens.usage import ENDPOINTS, DailyRequests
from tests.support.token_setup import NOON, OWNER, TokenSetup, make_setup, make_sqlite_setup


@pytest.fixture(params=["sqlite", "postgresql"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenSetup]:
    is_sqlite = request.param == "sqlite"
    made = make_sqlite_setup(tmp_path) if is_sqlite else make_setup(request.getfixturevalue("migrated_postgresql_url"))
    yield made
    made.usage.stop()
    made.db.close()


def test_a_count_shows_in_the_token_and_in_its_list_at_once(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    setup.usage.count(token_id, "/calls/otp")
    setup.clocks.move(3)
    setup.usage.count(token_id, "/calls/otp")
    for token in (setup.service.get_token(OWNER, token_id), setup.service.list_tokens(OWNER).tokens[0]):
        assert (token.requests_total, token.last_used) == (2, NOON + timedelta(seconds=3))


def test_counting_touches_no_database(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    statements: list[str] = []

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    for _ in range(100):
        setup.usage.count(token_id, "/calls/otp")
    assert statements == []
    assert setup.usage.flush()
    assert len([statement for statement in statements if statement.split()[0] in ("UPDATE", "INSERT")]) == 3


def test_days_are_utc_days_and_the_quiet_ones_are_zero(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    setup.usage.count(token_id, "/calls/otp", datetime(2026, 11, 18, 23, 59, 59, tzinfo=UTC))
    setup.usage.count(token_id, "/calls/otp")
    setup.usage.count(token_id, "/calls/otp")
    days = setup.usage.daily_requests(token_id)
    assert len(days) == 14
    assert days[0].day == (NOON - timedelta(days=13)).date()
    assert days[-3:] == (
        DailyRequests(datetime(2026, 11, 18, tzinfo=UTC).date(), 1),
        DailyRequests(datetime(2026, 11, 19, tzinfo=UTC).date(), 0),
        DailyRequests(NOON.date(), 2),
    )
    assert setup.usage.erase_before(NOON.date()) == 2, "its total, and what was called"
    assert [day.requests for day in setup.usage.daily_requests(token_id, days=3)] == [0, 0, 2]
    assert setup.service.get_token(OWNER, token_id).requests_total == 3


def test_requests_are_counted_by_what_was_called_and_the_kinds_stay_few(setup: TokenSetup) -> None:
    token_id, other = setup.issue().record.token_id, setup.issue().record.token_id
    for route in (
        "/calls/otp",
        "/calls/otp",
        "/calls/verify",
        "/calls/replay",
        "/calls",
        "/calls/<uuid:verification_id>",
    ):
        setup.usage.count(token_id, route)
    assert setup.usage.flush()
    for route in ("/calls/<uuid:verification_id>/cancel", "/calls/otp", "/api/tokens/current", *map(str, range(1000))):
        setup.usage.count(token_id, route)
    setup.usage.count(token_id, "/calls/otp", NOON - timedelta(days=14))
    setup.usage.count(other, "/calls")
    counted = {found.endpoint: found.requests for found in setup.usage.requests_by_endpoint(token_id)}
    assert counted == {"send": 3, "check": 1, "replay": 1, "cancel": 1, "read": 2, "tokens": 1, "other": 1000}
    assert list(counted) == list(ENDPOINTS)
    assert sum(day.requests for day in setup.usage.daily_requests(token_id)) == sum(counted.values())
    assert [(found.endpoint, found.requests) for found in setup.usage.requests_by_endpoint(other)] == [("read", 1)]
    assert setup.usage.erase_before(NOON.date()) == 2, "its total, and what was called"
    assert {found.endpoint: found.requests for found in setup.usage.requests_by_endpoint(token_id, days=30)} == counted


def test_a_flush_that_fails_loses_nothing(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    is_down = True

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if is_down and "token_usage" in statement:
            raise OperationalError(statement, None, Exception("the disk is full"))

    setup.usage.count(token_id, "/calls/otp")
    assert not setup.usage.flush()
    setup.usage.count(token_id, "/calls/otp", NOON - timedelta(seconds=1))
    assert not setup.usage.flush()
    is_down = False
    assert setup.usage.flush()
    token = setup.service.get_token(OWNER, token_id)
    assert (token.requests_total, token.last_used) == (2, NOON)
    assert setup.usage.daily_requests(token_id, days=1)[0].requests == 2


def test_the_thread_writes_within_a_moment_and_outlives_failures(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    failures: list[str] = []

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def fail_twice(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "token_usage" in statement and len(failures) < 2:
            failures.append(statement)
            raise RuntimeError("not even a database error" if len(failures) == 1 else "again")

    setup.usage.start()
    setup.usage.start()
    assert [thread.name for thread in threading.enumerate()].count("usage") == 1
    deadline = time.monotonic() + 30
    while len(failures) < 2 and time.monotonic() < deadline:
        setup.usage.count(token_id, "/calls/otp")
        time.sleep(0.01)
    assert len(failures) == 2
    setup.usage.count(token_id, "/calls/otp")
    setup.usage.stop()
    assert [thread.name for thread in threading.enumerate()].count("usage") == 0


def test_what_waits_is_written_at_the_stop(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    setup.usage.count(token_id, "/calls/otp")
    setup.audit.record_refusal("invalid_token")
    setup.usage.stop()
    setup.usage.stop()
    assert setup.another_instance().get_token(OWNER, token_id).requests_total == 1
    assert len(setup.events("refused")) == 1


def test_counts_from_many_threads_all_arrive(setup: TokenSetup) -> None:
    token_ids = [setup.issue().record.token_id for _ in range(3)]
    setup.usage.start()

    def use() -> None:
        for number in range(300):
            setup.usage.count(token_ids[number % 3], "/calls/otp")
            if number % 100 == 0:
                setup.usage.flush()

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    setup.usage.stop()
    assert [setup.service.get_token(OWNER, token_id).requests_total for token_id in token_ids] == [600] * 3
