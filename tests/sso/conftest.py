from __future__ import annotations

import pytest

from tests.support.token_setup import Clocks


@pytest.fixture
def clocks() -> Clocks:
    """Seconds that go forward when a test says so; what a token says of the time is told by the real clock."""
    return Clocks()
