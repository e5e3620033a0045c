"""How findings are judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from letstalk.operations.checks import CheckState, judge_account, judge_admin, judge_clock, judge_provider, judge_queue
from letstalk.telephony.provider import AccountReport, Finding

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0.0, "ok"), (-4.9, "ok"), (6.0, "warning"), (-100.0, "warning"), (121.0, "failing"), (-86400.0, "failing")],
)
def test_clocks_may_be_a_few_seconds_apart(seconds: float, state: str) -> None:
    result = judge_clock("clock", NOON + timedelta(seconds=seconds), NOON)
    assert result.state == state
    assert bool(result.remedy) is (state != "ok")


def test_a_clock_that_is_wrong_is_said_to_be_ahead_or_behind() -> None:
    assert judge_clock("clock", NOON + timedelta(seconds=60), NOON).measure == "60 s ahead of ours."
    assert judge_clock("clock", NOON - timedelta(seconds=60), NOON).measure == "60 s behind ours."


@pytest.mark.parametrize(
    ("has_admin", "owner_may", "is_development", "state"),
    [
        (True, False, False, "ok"),
        (False, True, True, "ok"),
        (False, True, False, "warning"),
        (False, False, False, "failing"),
    ],
)
def test_somebody_must_be_able_to_administer(
    has_admin: bool, owner_may: bool, is_development: bool, state: str
) -> None:
    result = judge_admin(has_admin=has_admin, owner_may_sign_in=owner_may, is_development=is_development)
    assert result.state == state


def test_the_simulator_is_pointed_out_in_production_only() -> None:
    def state_of(*, is_simulated: bool, is_development: bool) -> CheckState:
        return judge_provider("telnyx", is_simulated=is_simulated, is_development=is_development).state

    assert state_of(is_simulated=True, is_development=False) is CheckState.WARNING
    assert state_of(is_simulated=True, is_development=True) is CheckState.OK
    assert state_of(is_simulated=False, is_development=False) is CheckState.OK


def test_a_connection_is_not_called_well_while_the_credentials_are_refused() -> None:
    report = AccountReport(Finding(False, "Refused.", "Set another key."), None, None)
    credentials, connection = judge_account(report)
    assert (credentials.state, credentials.remedy) == (CheckState.FAILING, "Set another key.")
    assert connection.state is CheckState.FAILING


def test_calls_may_wait_and_late_events_may_not() -> None:
    judge = partial(judge_queue, waiting=2, waits_since=NOON - timedelta(seconds=9), now=NOON)
    assert judge(has_late_events=False).measure == "2 calls are waiting, the longest for 9 s."
    assert judge(has_late_events=True).state is CheckState.FAILING
