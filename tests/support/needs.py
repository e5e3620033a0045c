"""What a test needs beside this process, as markers that no test has to name.

`make check` leaves out those that have one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDERS = {"browser": "browser", "flows": "flow"}
FIXTURES = {
    "postgresql_folder": "postgresql",
    "redis_port": "redis",
    "certified_provider": "node",
    "installation": "process",
    "pytester": "process",
}
# Fixtures that are chosen by a parameter, such as `db`, are not among a test's own.
PARAMETERS = {"postgresql"}
MODULES = {
    "test_authentication_guide.py": "node",
    "test_limits_and_redis.py": "redis",
    "test_readme.py": "node",
    "test_faults.py": "postgresql",
    "test_short_chaos.py": "postgresql",
    "test_schemathesis.py": "generated",
}
# What a test names that starts a program.
STARTERS = {"Installation", "ServerProcess", "StandaloneTelnyx", "subprocess"}


def mark_what_is_needed(item: pytest.Item) -> None:
    """Give `item` the markers of what its folder, its module, its fixtures and its parameters need."""
    path = Path(item.path)
    found = {FOLDERS[folder] for folder in path.parts if folder in FOLDERS}
    found |= {MODULES[path.name]} if path.name in MODULES else set()
    found |= {FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURES}
    function = getattr(item, "function", None)
    if function is not None and STARTERS & set(getattr(getattr(function, "__code__", None), "co_names", ())):
        found.add("process")
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        found |= {value for value in callspec.params.values() if isinstance(value, str) and value in PARAMETERS}
    for name in found:
        item.add_marker(name)
