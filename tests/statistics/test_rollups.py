"""Each hour is counted once, whoever counts it and however often; what is counted is what is stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from letstalk.calls.repository import calls
from letstalk.db.database import Database
from letstalk.statistics import repository
from letstalk.statistics.models import ALL, DAY, HOUR, Figures, Selection, start_of_day, start_of_hour
from letstalk.statistics.repository import Period, RolledUp, find_rolled_up, insert_figures, list_rows, statistics
from letstalk.statistics.rollups import RollupService
from letstalk.statistics.service import StatisticsService
from letstalk.verifications.repository import verifications
from tests.statistics.stored import NOW, approved, not_entered, store, unanswered
from tests.support.world import StandingClock, at_once

EVERYBODY = Selection(None)
ACME, GLOBEX = Selection(frozenset({"acme"})), Selection(frozenset({"globex"}))
TODAY = start_of_day(NOW)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOW)


@pytest.fixture
def rollups(db: Database, clock: StandingClock) -> RollupService:
    return RollupService(db, clock, retention_days=90)


@pytest.fixture
def statistics_service(db: Database, clock: StandingClock) -> StatisticsService:
    return StatisticsService(db, clock, channels=10)


def roll_up_all(rollups: RollupService) -> None:
    while rollups.roll_up():
        pass


def sent_in(db: Database, selection: Selection, period: Period, start: datetime) -> int:
    with db.read() as connection:
        rows = list_rows(connection, period, selection, start, start + period.length, is_by_token=True)
    return sum(row.figures.funnel.sent for row in rows)


def count_rows(db: Database) -> int:
    with db.read() as connection:
        return connection.execute(select(func.count()).select_from(statistics)).scalar_one()


def test_an_hour_is_counted_for_its_owner_its_token_and_for_all(db: Database, rollups: RollupService) -> None:
    hour = start_of_hour(NOW) - 2 * HOUR
    store(
        db,
        approved(hour, token_id="one"),
        unanswered(hour + timedelta(minutes=59, seconds=59), token_id="two"),
        approved(hour + timedelta(minutes=30), owner_id="globex"),
    )
    roll_up_all(rollups)
    assert sent_in(db, EVERYBODY, Period.HOUR, hour) == 3
    assert sent_in(db, ACME, Period.HOUR, hour) == 2
    assert sent_in(db, Selection(ACME.owner_ids, "two"), Period.HOUR, hour) == 1
    assert sent_in(db, GLOBEX, Period.HOUR, hour) == 1
    assert sent_in(db, Selection(GLOBEX.owner_ids, "two"), Period.HOUR, hour) == 0
    assert sent_in(db, EVERYBODY, Period.HOUR, hour - HOUR) == sent_in(db, EVERYBODY, Period.HOUR, hour + HOUR) == 0


def test_an_hour_is_not_counted_before_nothing_in_it_can_change(
    db: Database, rollups: RollupService, clock: StandingClock
) -> None:
    hour = start_of_hour(NOW)
    store(db, approved(hour + timedelta(minutes=59)))
    clock.now = hour + HOUR + timedelta(minutes=19)
    roll_up_all(rollups)
    assert sent_in(db, EVERYBODY, Period.HOUR, hour) == 0
    clock.now = hour + HOUR + timedelta(minutes=20)
    roll_up_all(rollups)
    assert sent_in(db, EVERYBODY, Period.HOUR, hour) == 1


def test_counting_again_changes_nothing(db: Database, rollups: RollupService) -> None:
    store(db, approved(NOW - 3 * HOUR))
    roll_up_all(rollups)
    before = count_rows(db)
    assert rollups.roll_up() == 0
    assert count_rows(db) == before


def test_two_workers_count_each_hour_once(db: Database, clock: StandingClock) -> None:
    store(db, *(approved(NOW - number * HOUR, token_id="one") for number in range(2, 37)))
    workers = [RollupService(db, clock, retention_days=90) for _ in range(3)]
    at_once([partial(roll_up_all, one) for one in workers])
    for number in range(2, 37):
        hour = start_of_hour(NOW - number * HOUR)
        assert sent_in(db, EVERYBODY, Period.HOUR, hour) == sent_in(db, ACME, Period.HOUR, hour) == 1
    assert sent_in(db, EVERYBODY, Period.DAY, TODAY - DAY) == sent_in(db, ACME, Period.DAY, TODAY - DAY) == 24


def test_a_worker_that_was_killed_leaves_no_half_of_an_hour(
    db: Database, rollups: RollupService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = start_of_hour(NOW) - 2 * HOUR
    store(db, approved(hour))

    def insert_and_die(*arguments: Any) -> bool:
        insert_figures(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(repository, "insert_figures", insert_and_die)
        with pytest.raises(KeyboardInterrupt):
            rollups.roll_up()
    assert count_rows(db) == 0
    roll_up_all(rollups)
    assert sent_in(db, EVERYBODY, Period.HOUR, hour) == sent_in(db, ACME, Period.HOUR, hour) == 1


def test_old_verifications_are_counted_down_to_the_first_and_the_newest_hours_come_first(
    db: Database, clock: StandingClock
) -> None:
    first = TODAY - 3 * DAY + timedelta(hours=9)
    store(db, approved(first), approved(NOW - 2 * HOUR))
    seconds = iter(range(10_000))
    rollups = RollupService(db, clock, retention_days=90, monotonic=lambda: next(seconds) * 0.4)
    assert rollups.roll_up() == 1  # half a second is over
    with db.read() as connection:
        rolled_up = find_rolled_up(connection)
    assert rolled_up is not None
    assert (rolled_up.first_hour, rolled_up.end) == (start_of_hour(NOW) - HOUR, start_of_hour(NOW))
    roll_up_all(rollups)
    with db.read() as connection:
        rolled_up = find_rolled_up(connection)
    assert rolled_up is not None
    assert rolled_up.start == start_of_day(first)
    assert sent_in(db, ACME, Period.DAY, TODAY - 3 * DAY) == 1
    assert sent_in(db, EVERYBODY, Period.DAY, TODAY - 2 * DAY) == 0


def test_a_day_has_the_sum_of_its_hours(
    db: Database, rollups: RollupService, statistics_service: StatisticsService
) -> None:
    yesterday = TODAY - DAY
    store(db, *(approved(yesterday + number * HOUR, token_id=f"t{number % 2}") for number in range(24)))
    store(db, not_entered(yesterday, country="DE"), unanswered(yesterday, country=None))
    roll_up_all(rollups)
    by_hour = statistics_service.read(ACME, yesterday, TODAY, Period.HOUR)
    by_day = statistics_service.read(ACME, yesterday, TODAY, Period.DAY)
    assert len(by_day.parts) < len(by_hour.parts)
    assert by_hour.total() == by_day.total()
    assert by_day.total().funnel.as_dict() == {"sent": 26, "rung": 26, "answered": 25, "heard": 25, "approved": 24}
    assert by_day.total().reasons == {"approved": 24, "heard_not_entered": 1, "no_answer": 1}
    assert {name: one.sent for name, one in by_day.total().countries.items()} == {"UG": 24, "DE": 1, "": 1}


def test_old_hours_go_when_their_day_is_stored_and_all_else_stays(db: Database, clock: StandingClock) -> None:
    first_day = TODAY - 38 * DAY
    hours = (first_day - HOUR, first_day, first_day + HOUR, TODAY - 35 * DAY, TODAY)
    with db.write() as connection:
        for hour in hours:
            insert_figures(connection, Period.HOUR, hour, {ALL: Figures(), ("acme", ""): Figures()})
        insert_figures(connection, Period.DAY, first_day, {ALL: Figures()})
    rollups = RollupService(db, clock, retention_days=1)
    assert rollups.forget_old() == 4
    assert rollups.forget_old() == 0
    with db.read() as connection:
        left = connection.execute(select(statistics.c.starts_at).where(statistics.c.owner_id == "acme")).scalars()
        assert set(left) == {first_day - HOUR, TODAY - 35 * DAY, TODAY}  # the first one's day is not stored yet


def test_figures_stay_when_their_verifications_are_deleted(
    db: Database, rollups: RollupService, statistics_service: StatisticsService
) -> None:
    store(db, approved(TODAY - DAY, token_id="one"), approved(TODAY))
    roll_up_all(rollups)
    with db.write() as connection:
        connection.execute(delete(calls))
        connection.execute(delete(verifications))
    assert rollups.roll_up() == rollups.forget_old() == 0
    assert statistics_service.read(ACME, TODAY - DAY, TODAY + DAY, Period.DAY).total().funnel.sent == 2


def test_days_older_than_a_year_go(db: Database, clock: StandingClock) -> None:
    old, younger = TODAY - 402 * DAY, TODAY - 401 * DAY
    with db.write() as connection:
        insert_figures(connection, Period.HOUR, TODAY, {ALL: Figures()})
        for day in (old, younger):
            insert_figures(connection, Period.DAY, day, {ALL: Figures(), ("acme", ""): Figures()})
    assert RollupService(db, clock, retention_days=403).forget_old() == 0
    assert RollupService(db, clock, retention_days=90).forget_old() == 2
    with db.read() as connection:
        assert find_rolled_up(connection) == RolledUp(TODAY, TODAY + HOUR, younger)


def test_an_empty_installation_has_progress_and_no_figures(
    db: Database, rollups: RollupService, statistics_service: StatisticsService
) -> None:
    roll_up_all(rollups)
    with db.read() as connection:
        rolled_up = find_rolled_up(connection)
    assert rolled_up is not None
    assert rolled_up.end == start_of_hour(NOW)
    found = statistics_service.read(EVERYBODY, TODAY - 30 * DAY, TODAY + DAY, Period.DAY)
    assert found.total().funnel.sent == 0
    assert found.is_complete
