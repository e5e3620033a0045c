"""The chaos run for seconds instead of minutes."""

from __future__ import annotations

import pytest

from tests.support.services import needed, postgres_binaries, redis_binary
from tools.reliability.chaos import Plan, run_load
from tools.reliability.journeys import QUICK


@pytest.mark.timeout(240)
def test_kills_at_random_break_no_promise() -> None:
    needed("PostgreSQL", postgres_binaries())
    needed("Redis", redis_binary())
    plan = Plan(
        seconds=9,
        kill_every_seconds=1.8,
        sends_per_second=3,
        channels=8,
        servers=2,
        workers=1,
        telnyx_speed=10,
        retry_speed=4,
        kinds=QUICK,
    )
    outcome = run_load(plan)
    broken = {promise.sentence: promise.breaches for promise in outcome.promises if not promise.is_kept}
    assert broken == {}
    assert sum(outcome.facts["kills"].values()) >= 3
    assert outcome.facts["answers"]["POST /calls/verify 200"] >= 5
