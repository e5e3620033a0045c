"""The wait after failed sign-ins: it grows, has a limit, and is forgotten."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

from letstalk.accounts.sign_in_throttles import SignInThrottles, Throttle

THROTTLE = Throttle(free=3, longest_seconds=60, forget_seconds=600)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_the_first_failures_cost_nothing_and_then_waits_double_up_to_the_longest() -> None:
    assert [THROTTLE.wait_seconds(failures) for failures in range(12)] == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert THROTTLE.wait_seconds(10**9) == 60


def test_failures_are_forgotten_after_a_while_without_another() -> None:
    assert THROTTLE.failures_at(7, NOON, NOON + timedelta(seconds=600)) == 7
    assert THROTTLE.failures_at(7, NOON, NOON + timedelta(seconds=601)) == 0


def test_no_wait_is_longer_than_five_minutes() -> None:
    throttles = SignInThrottles()
    waits = [getattr(throttles, each.name).wait_seconds(10**6) for each in fields(throttles)]
    assert max(waits) <= 300
