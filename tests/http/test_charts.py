"""Charts and moments, as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from letstalk.http.charts import Chart, draw_chart
from letstalk.http.timestamps import day_and_time, in_words, time_ago

NOW = datetime(2026, 11, 20, 17, 14, tzinfo=UTC)
DAYS = [date(2026, 11, 7) + timedelta(days=number) for number in range(14)]


def draw(*counts: int) -> Chart:
    return draw_chart(list(zip(DAYS, counts, strict=False)), width=100, height=50, gap=2)


def test_the_highest_bar_fills_the_height_and_the_others_are_in_proportion() -> None:
    bars = draw(10, 5, 0, 20).bars
    assert [(bar.y, bar.height) for bar in bars] == [(25, 25), (37.5, 12.5), (49, 1), (0, 50)]


def test_the_bars_stay_inside_the_box_and_apart() -> None:
    bars = draw(*range(14)).bars
    assert all(left.x + left.width < right.x for left, right in pairwise(bars))
    assert bars[0].x == 0
    assert bars[-1].x + bars[-1].width <= 100.1
    assert all(bar.y >= 0 and bar.y + bar.height <= 50 for bar in bars)


def test_one_request_beside_a_million_still_shows() -> None:
    few, many = draw(1, 1_000_000).bars
    assert few.height > draw(0, 1).bars[0].height
    assert few.height < many.height


@pytest.mark.parametrize(
    ("counts", "summary"),
    [
        ((0, 0, 0), "No requests in the last 3 days"),
        ((0, 1, 0), "1 request in the last 3 days, at most 1 a day, on 8 Nov"),
        ((1200, 30, 4), "1,234 requests in the last 3 days, at most 1,200 a day, on 7 Nov"),
    ],
)
def test_a_chart_says_in_words_what_it_shows(counts: tuple[int, ...], summary: str) -> None:
    assert draw(*counts).summary == summary


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(seconds=-5), "in a moment"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5, minutes=59), "5 hours ago"),
        (timedelta(days=30), "30 days ago"),
        (timedelta(days=80), "1 Sep 2026"),
        (timedelta(hours=-1), "in 1 hour"),
    ],
)
def test_a_moment_reads_as_a_distance_from_now(ago: timedelta, text: str) -> None:
    assert time_ago(NOW - ago, NOW) == text


def test_a_moment_reads_as_a_date_in_utc() -> None:
    assert day_and_time(NOW) == "20 Nov 2026, 17:14 UTC"


def test_a_span_reads_in_its_largest_unit() -> None:
    assert [in_words(seconds) for seconds in (0, 60, 3600, 7 * 86400)] == ["0 minutes", "1 minute", "1 hour", "7 days"]
