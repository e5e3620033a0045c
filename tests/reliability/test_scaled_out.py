"""A sample of Schemathesis and the attacks, against three servers and two workers on PostgreSQL and Redis.

`python -m tools.reliability schemathesis` and `python -m tools.reliability attacks` run all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.seeded_app import LIMITS
from tests.support.services import needed, postgres_binaries, redis_binary
from tools.reliability.chaos import drain, error_lines
from tools.reliability.fleets import Fleet, running_fleet
from tools.reliability.scaled_out_checks import TELNYX_SPEED, check_attacks, check_described

CASES = 4  # of each operation, where it has so many: some 300 in all
SHARED = ("tokens", "scopes", "owners", "codes", "calls", "webhooks", "pages")  # what instances share


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One of the servers is a supervisor of two processes."""
    needed("PostgreSQL", postgres_binaries())
    needed("Redis", redis_binary())
    folder, telnyx = tmp_path_factory.mktemp("fleet"), {"speed": TELNYX_SPEED}
    with running_fleet(
        folder, servers=3, workers=2, channels=20, first_web_processes="2", telnyx=telnyx, **LIMITS
    ) as running:
        yield running
        assert drain(running).breaches == []
        assert running.telnyx.state()["violations"] == []
        assert set(error_lines(running).values()) == {0}


def test_every_answer_over_all_servers_is_described(fleet: Fleet, tmp_path: Path) -> None:
    described, met = check_described(fleet, tmp_path, CASES)
    assert described.breaches == []
    assert int(described.measured.split()[0]) >= 300
    assert {" 200", " 202", " 400", " 401", " 403", " 404"} <= {part[-4:] for part in met.measured.split(",")}


@pytest.mark.timeout(240)
def test_the_attacks_on_what_servers_share_find_nothing(fleet: Fleet) -> None:
    promise, table = check_attacks(fleet, SHARED)
    assert promise.breaches == [], table
    # What is left out waits for cool-downs.
    assert promise.measured.endswith(" held, 0 FOUND, 0 BROKE, 1 skipped"), table
