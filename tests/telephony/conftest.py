from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_telnyx import FakeTelnyx
from tests.telephony.lines import Line, simulator_line, telnyx_line


@pytest.fixture
def telnyx() -> Iterator[FakeTelnyx]:
    """A fake Telnyx. The test fails if a command was invalid."""
    with FakeTelnyx(speed=50, answer_seconds=1.0) as telnyx:
        yield telnyx
        assert telnyx.violations == []


@pytest.fixture
def telnyx_only_line(telnyx: FakeTelnyx) -> Iterator[Line]:
    with telnyx_line(telnyx) as line:
        yield line


@pytest.fixture(params=["simulator", "telnyx"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """Every provider in turn."""
    if request.param == "telnyx":
        with telnyx_line(request.getfixturevalue("telnyx")) as line:
            yield line
    else:
        with simulator_line() as line:
            yield line
