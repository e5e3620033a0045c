"""What every test shares. Sockets reach loopback only, which pyproject.toml says."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.services_at_hand import LEFT_OUT

pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.logs",
    "tests.fixtures.openid",
    "tests.fixtures.postgresql",
    "tests.fixtures.redis",
]

# How long an example takes says more about what else the machine does than about our code.
settings.register_profile("letstalk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("letstalk")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says which programs were missing, and how many tests that cost."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    services = Counter(reason.split(LEFT_OUT, 1)[1].rstrip("')") for reason in reasons if LEFT_OUT in reason)
    if services:
        parts = ", ".join(f"{service} ({count} tests)" for service, count in sorted(services.items()))
        terminalreporter.write_line(f"Left out, not on this machine: {parts}. REQUIRE_ALL=1 makes that a failure.")
