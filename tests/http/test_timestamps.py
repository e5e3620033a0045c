"""Times and durations, as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from letstalk.http.timestamps import day_and_time, in_words, time_ago, wait_in_words

NOW = datetime(2026, 11, 20, 17, 14, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (7199, "120 minutes"),
        (7201, "3 hours"),
    ],
)
def test_a_wait_is_never_said_to_be_shorter_than_it_is(seconds: int, words: str) -> None:
    assert wait_in_words(seconds) == words
