"""Figures are those of the rows, of whatever age, and never another owner's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from letstalk.db.database import Database
from letstalk.statistics.histograms import count_ranges, quantile_seconds
from letstalk.statistics.models import DAY, HOUR, Figures, Selection, start_of_day, start_of_hour
from letstalk.statistics.repository import Period
from letstalk.statistics.rollups import RollupService
from letstalk.statistics.service import StatisticsService
from tests.statistics.stored import NOW, Stored, approved, not_entered, store, store_call, unanswered, waiting
from tests.statistics.test_rollups import ACME, EVERYBODY, GLOBEX, TODAY, roll_up_all
from tests.support.world import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOW)


@pytest.fixture
def service(db: Database, clock: StandingClock) -> StatisticsService:
    return StatisticsService(db, clock, channels=10)


def total_of(db: Database, *everything: Stored) -> Figures:
    store(db, *everything)
    return StatisticsService(db, StandingClock(NOW), channels=1).read_last_hour(ACME).total()


def test_the_newest_verification_is_counted_before_any_rollup_and_after_it(
    db: Database, service: StatisticsService, clock: StandingClock
) -> None:
    store(db, approved(NOW), approved(NOW - 2 * HOUR))
    window = (ACME, TODAY, TODAY + DAY, Period.DAY)
    assert service.read(*window).total().funnel.sent == 2
    roll_up_all(RollupService(db, clock, retention_days=90))
    assert service.read(*window).total().funnel.sent == 2
    store(db, approved(NOW))
    clock.move(4)
    assert service.read(*window).total().funnel.sent == 3


def test_what_was_counted_a_moment_ago_is_counted_again_when_it_has_ended(
    db: Database, service: StatisticsService, clock: StandingClock
) -> None:
    store(db, Stored(NOW - timedelta(minutes=4), status="pending", call_status="speaking", is_heard=False))
    assert service.read_last_hour(ACME).total().reasons == {"pending": 1}
    clock.move(90)
    assert service.read_last_hour(ACME).total().reasons == {"heard_not_entered": 1}  # no sweep has said so yet


def test_whoever_came_to_a_step_has_come_past_those_before(db: Database) -> None:
    quick = approved(NOW - timedelta(minutes=1), is_heard=False)  # entered while it was being read
    busy = unanswered(NOW - timedelta(minutes=2), call_status="busy")
    failed = unanswered(NOW - timedelta(minutes=2), status="failed", call_status="failed", ring_seconds=None)
    found = total_of(db, quick, busy, failed, unanswered(NOW), not_entered(NOW))
    assert found.funnel.as_dict() == {"sent": 5, "rung": 3, "answered": 2, "heard": 2, "approved": 1}
    assert found.reasons == {"approved": 1, "busy": 1, "failed": 1, "no_answer": 1, "heard_not_entered": 1}


def test_the_last_of_several_calls_says_why_and_the_first_ring_when(db: Database, service: StatisticsService) -> None:
    one = unanswered(NOW - timedelta(minutes=3), ring_seconds=4.0)
    (verification_id,) = store(db, one)
    store_call(db, verification_id, unanswered(one.at, call_status="machine", is_answered=True))
    found = service.read_last_hour(ACME).total()
    assert found.funnel.as_dict() == {"sent": 1, "rung": 1, "answered": 1, "heard": 0, "approved": 0}
    assert found.reasons == {"machine": 1}
    median = quantile_seconds(found.to_ring, 0.5)
    assert median == pytest.approx(4.0, rel=0.2)


def test_a_test_number_is_counted_apart(db: Database) -> None:
    found = total_of(db, approved(NOW, is_test=True, call_status=None), approved(NOW))
    assert (found.tests, found.funnel.sent, found.reasons.total()) == (1, 1, 1)


def test_an_owner_sees_only_the_own_figures_whatever_is_asked(
    db: Database, service: StatisticsService, clock: StandingClock
) -> None:
    for at in (NOW, NOW - 2 * HOUR, NOW - 2 * DAY):
        store(db, approved(at, token_id="one"), *(unanswered(at, owner_id="globex", token_id="two") for _ in range(3)))
    roll_up_all(RollupService(db, clock, retention_days=90))
    for period in Period:
        found = service.read(ACME, start_of_day(NOW - 3 * DAY), TODAY + DAY, period)
        assert found.total().funnel.as_dict() == dict.fromkeys(("sent", "rung", "answered", "heard", "approved"), 3)
        by_token = service.read(ACME, found.start, found.end, period, is_by_token=True)
        assert set(by_token.by_token()) == {"one"}
        assert service.read(GLOBEX, found.start, found.end, period).total().funnel.sent == 9
        assert service.read(EVERYBODY, found.start, found.end, period).total().funnel.sent == 12
        both = Selection(frozenset({"acme", "globex"}))
        of_both = service.read(both, found.start, found.end, period)
        apart = service.read(both, found.start, found.end, period, is_by_token=True)
        assert of_both.total().funnel.sent == 12
        assert of_both.total() == apart.total()
        assert len(of_both.parts) < len(apart.parts)
        of_nobody = service.read(Selection(frozenset()), found.start, found.end, period)
        assert of_nobody.total() == Figures()
        foreign_token = service.read(Selection(frozenset({"acme"}), "two"), found.start, found.end, period)
        assert foreign_token.total() == Figures()


def test_this_moment_has_the_calls_of_the_owners_alone(db: Database, service: StatisticsService) -> None:
    store(
        db,
        waiting(NOW - timedelta(seconds=50)),
        waiting(NOW - timedelta(seconds=20)),
        waiting(NOW, call_status="dialing"),
        waiting(NOW - timedelta(minutes=4), owner_id="globex"),
    )
    mine, everybody = service.read_now(ACME), service.read_now(EVERYBODY)
    assert (mine.live, mine.waiting, mine.longest_wait_seconds) == (1, 2, 50.0)
    assert (everybody.live, everybody.waiting, everybody.longest_wait_seconds) == (1, 3, 240.0)
    assert mine.today.funnel.sent == 3
    nobody = service.read_now(Selection(frozenset()))
    assert (nobody.live, nobody.waiting, nobody.longest_wait_seconds, nobody.today.funnel.sent) == (0, 0, 0.0, 0)


def test_parts_are_filled_up_to_the_end_of_what_was_asked_for(db: Database, service: StatisticsService) -> None:
    store(db, approved(NOW - 3 * HOUR + timedelta(minutes=31)))
    found = service.read(ACME, start_of_hour(NOW) - 5 * HOUR, NOW + 30 * DAY, Period.HOUR)
    by_hour = found.by_start(start_of_hour, HOUR)
    assert [figures.funnel.sent for _, figures in by_hour] == [0, 0, 0, 1, 0, 0]
    assert by_hour[-1][0] == start_of_hour(NOW)
    later = service.read(ACME, TODAY + 5 * DAY, TODAY + 6 * DAY, Period.DAY)
    assert later.by_start(start_of_day, DAY) == []


def test_figures_say_when_old_ones_are_not_counted_yet(
    db: Database, service: StatisticsService, clock: StandingClock
) -> None:
    store(db, approved(NOW - 2 * DAY))
    week, month = TODAY - 6 * DAY, TODAY - 29 * DAY
    assert not service.read(ACME, month, TODAY + DAY, Period.DAY).is_complete
    roll_up_all(RollupService(db, clock, retention_days=90))
    assert service.read(ACME, month, TODAY + DAY, Period.DAY).is_complete
    clock.now += 5 * HOUR  # and no worker
    assert not service.read(ACME, week, TODAY + DAY, Period.DAY).is_complete


def test_quantiles_are_near_those_of_all_durations() -> None:
    durations = [0.3 + number / 40 for number in range(1_000)]
    histogram = count_ranges(durations)
    for share in (0.05, 0.5, 0.95):
        assert quantile_seconds(histogram, share) == pytest.approx(durations[int(share * 1_000)], rel=0.1)
    assert quantile_seconds(count_ranges([]), 0.5) is None
    assert count_ranges([-5.0, 0.0, 1e9]).total() == 3  # a clock that was set back, and a call of last year
