from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.calls.scheduling import (
    LONGEST_BACK_OFF_SECONDS,
    back_off_seconds,
    estimate_wait_seconds,
    is_queue_full,
    is_too_late,
    next_turn,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "channels", "mean", "ttl", "is_full"),
    [
        (0, 10, 25, 60, False),
        (0, 1, 25, 29, True),
        # 108 ahead on 10 channels are 270 s of waiting, and 30 s of hearing: just in time.
        (108, 10, 25, 300, False),
        (109, 10, 25, 300, True),
        (12, 10, 25, 60, False),
        (13, 10, 25, 60, True),
        (10_000, 10, 0.25, 300, False),
    ],
)
def test_a_queue_is_full_when_the_code_would_be_dead_before_it_is_heard(
    ahead: int, channels: int, mean: float, ttl: int, is_full: bool
) -> None:
    assert is_queue_full(ahead, channels, mean, ttl) is is_full


def test_the_wait_is_shared_by_the_channels() -> None:
    assert estimate_wait_seconds(20, 10, 25.0) == 50.0
    assert estimate_wait_seconds(0, 10, 25.0) == 0.0


def test_a_call_is_too_late_when_less_is_left_than_placing_takes() -> None:
    assert not is_too_late(NOON + timedelta(seconds=15), NOON)
    assert is_too_late(NOON + timedelta(seconds=14.999), NOON)
    assert not is_too_late(NOON + timedelta(seconds=1), NOON, placing_seconds=0.15)


def test_a_newcomer_is_served_with_the_turn_that_is_being_served() -> None:
    assert next_turn(None, None) == 0
    assert next_turn(None, 7) == 7
    assert next_turn(3, 3) == 4
    assert next_turn(9, 7) == 10


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_in_one_turn_each_owner_is_served_once(arrivals: list[str]) -> None:
    queue: list[tuple[int, int, str]] = []
    for place, owner in enumerate(arrivals):
        own = [turn for turn, _, whose in queue if whose == owner]
        turn = next_turn(max(own, default=None), min((turn for turn, _, _ in queue), default=None))
        queue.append((turn, place, owner))
    assert max(Counter((turn, owner) for turn, _, owner in queue).values()) == 1

    served = [owner for _, _, owner in sorted(queue)]
    for owner in set(arrivals):
        places = [place for place, whose in enumerate(served) if whose == owner]
        for first, second in pairwise(places):
            # One that stood behind it in this turn, and one that stands before it in the next.
            assert max(Counter(served[first + 1 : second]).values(), default=0) <= 2


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40))
def test_an_owners_own_calls_keep_their_order(arrivals: list[str]) -> None:
    last: dict[str, int] = {}
    for owner in arrivals:
        turn = next_turn(last.get(owner), min(last.values(), default=None))
        assert turn > last.get(owner, -1)
        last[owner] = turn


@given(st.integers(1, 1000), st.floats(0, 1))
def test_the_pause_doubles_up_to_a_longest_and_half_of_it_is_chance(attempt: int, jitter: float) -> None:
    longest = min(LONGEST_BACK_OFF_SECONDS, 2.0 ** min(attempt - 1, 10))
    assert longest / 2 <= back_off_seconds(attempt, jitter=jitter) <= longest


def test_calls_that_failed_together_do_not_come_back_together() -> None:
    assert len({back_off_seconds(4) for _ in range(20)}) > 10
