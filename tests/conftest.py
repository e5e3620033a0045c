"""What every test shares. Sockets reach loopback only, which pyproject.toml says."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.services_at_hand import LEFT_OUT

pytest_plugins = ["tests.fixtures.postgresql", "tests.fixtures.redis"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says which programs were missing, and how many tests that cost."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    services = Counter(reason.split(LEFT_OUT, 1)[1].rstrip("')") for reason in reasons if LEFT_OUT in reason)
    if services:
        parts = ", ".join(f"{service} ({count} tests)" for service, count in sorted(services.items()))
        terminalreporter.write_line(f"Left out, not on this machine: {parts}. REQUIRE_ALL=1 makes that a failure.")
