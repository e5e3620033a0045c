"""What a test needs beside this process, as markers that no test has to name.

`make check` leaves out those that have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

import pytest

FOLDERS = {"browser": "browser", "flows": "flow"}
FIXTURES = {
    "postgresql_folder": "postgresql",
    "redis_port": "redis",
    "certified_provider": "node",
    "webhook_modules": "node",
    "workplace": "node",
    "twilio_modules": "node",
    "installation": "process",
    "pytester": "process",
}
# Fixtures that are chosen by a parameter, such as `db`, are not among a test's own.
PARAMETERS = {"postgresql"}
MODULES = {
    "test_authentication_guide.py": "node",
    "test_limits_and_redis.py": "redis",
    "test_readme.py": "node",
    "test_behind_nginx.py": "nginx",
    "test_nginx_limits.py": "nginx",
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
    if any(STARTERS & _names(code) for code in _codes(item)):
        found.add("process")
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        found |= {value for value in callspec.params.values() if isinstance(value, str) and value in PARAMETERS}
    for name in found:
        item.add_marker(name)


def _codes(item: pytest.Item) -> Iterator[CodeType]:
    """The code of the test, and of each fixture that it uses."""
    fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    functions = [getattr(item, "function", None), *(definitions[-1].func for definitions in fixtures.values())]
    for function in functions:
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code


@cache
def _names(code: CodeType) -> frozenset[str]:
    """The names in it, and in the functions and comprehensions within."""
    within = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return frozenset(code.co_names).union(*within)
