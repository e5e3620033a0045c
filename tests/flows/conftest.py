from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.installations import Installation, installed


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all the tests that share it in peace: each calls phones that no other test calls."""
    with installed(tmp_path_factory.mktemp("service")) as installation:
        yield installation


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Installation]:
    """An installation that a test may spoil."""
    with installed(tmp_path) as installation:
        yield installation
