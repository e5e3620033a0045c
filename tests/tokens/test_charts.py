"""The bar charts of requests."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from letstalk.tokens.views import Chart, draw_chart

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
