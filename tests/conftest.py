"""What every test shares. Sockets reach loopback only, which pyproject.toml says."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from itertools import islice

import pytest
from hypothesis import HealthCheck, settings

from tests.support.needs import mark_what_is_needed
from tests.support.services import LEFT_OUT
from tests.support.stopwatches import OPTION, leave_to_each_its_own
from tests.support.surroundings import leave_the_caller_behind

# Before anything else: what a test starts inherits what is left.
leave_the_caller_behind(os.environ)
# Of PYTHONDONTWRITEBYTECODE, Python has taken note: each test process would compile every test each time.
sys.dont_write_bytecode = False
# An application is some 70,000 objects that refer to each other. Python would look for garbage a hundred times while
# one is made, and at what thousands of tests have imported as well: that took a quarter of the time of all tests.
gc.set_threshold(20_000, 20, 20)

pytest_plugins = [
    "tests.support.fixtures.databases",
    "tests.support.fixtures.logs",
    "tests.support.fixtures.openid",
    "tests.support.fixtures.postgresql",
    "tests.support.fixtures.redis",
    "tests.support.fixtures.webhooks",
    "tests.support.fixtures.world",
    "tests.support.fixtures.within",
]

# How long an example takes says more about what else the machine does than about our code.
settings.register_profile("letstalk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("letstalk")

# Tests that start programs and mostly wait for them. Those that share one service come first.
WAITING = ("tests/flows/", "tests/benchmarks/", "tests/browser/", "tests/operations/test_", "tests/test_")
SHARED = {"service", "quiet_service"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="run the tests that judge the clock, and those alone")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_itemcollected(item: pytest.Item) -> None:
    mark_what_is_needed(item)


@pytest.hookimpl(trylast=True)  # after the order was left to chance
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_to_each_its_own(config, items)
    _let_those_that_wait_begin(items)


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays to the end, and is not looked at again."""
    gc.collect()
    gc.freeze()


def _let_those_that_wait_begin(items: list[pytest.Item]) -> None:
    """Give those that wait to all test processes but one, at their beginning: none of them is left for the end, where
    the others would have nothing more to do, and all the while one process keeps the machine busy with the rest.

    A process begins with a run of as many tests as each of the others, and takes from another's end when it is done.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    shared = [item for item in items if _waits(item) and SHARED & set(getattr(item, "fixturenames", ()))]
    is_shared = set(shared)
    waiting = [item for item in items if _waits(item) and item not in is_shared]
    modules = list(dict.fromkeys(item.nodeid.split("::")[0] for item in waiting))
    runs: list[list[pytest.Item]] = [[] for _ in range(processes)]
    runs[0] += shared
    for item in waiting:
        runs[modules.index(item.nodeid.split("::")[0]) % (processes - 1)].append(item)
    rest = iter([item for item in items if not _waits(item)])
    for number, run in enumerate(runs):
        size = len(items) * (number + 1) // processes - len(items) * number // processes
        run += islice(rest, max(0, size - len(run)))
    items[:] = [item for run in runs for item in run] + list(rest)


def _waits(item: pytest.Item) -> bool:
    return item.nodeid.startswith(WAITING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says which programs were missing, and how many tests that cost."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    services = Counter(reason.split(LEFT_OUT, 1)[1].rstrip("')") for reason in reasons if LEFT_OUT in reason)
    if services:
        parts = ", ".join(f"{service} ({count} tests)" for service, count in sorted(services.items()))
        terminalreporter.write_line(f"Left out, not on this machine: {parts}. REQUIRE_ALL=1 makes that a failure.")
