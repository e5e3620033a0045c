"""Which tests judge the clock, and where: only `make reliability` does, on a machine that does nothing else.

A test whose point is a duration is marked `timing`: it is left out everywhere else. A test of behaviour that also
bounds a duration uses the fixture `within`: it runs everywhere, and the bound is asserted under `--time` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

Within = Callable[[float], AbstractContextManager[None]]

OPTION = "--time"
FIXTURE = "within"


def leave_to_each_its_own(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under `--time` deselect what judges no clock, and without it what does nothing else."""
    if config.getoption(OPTION):
        chosen = [item for item in items if _is_timing(item) or FIXTURE in getattr(item, "fixturenames", ())]
    else:
        chosen = [item for item in items if not _is_timing(item)]
    if len(chosen) < len(items):
        kept = {*chosen}
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = chosen


def _is_timing(item: pytest.Item) -> bool:
    return item.get_closest_marker("timing") is not None
