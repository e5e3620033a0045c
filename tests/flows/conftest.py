"""Each journey on both kinds of database: on SQLite, which is what one process has by default, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.installations import Installation, eventually, installed
from tests.support.postgresql_databases import own_database

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """DATABASE_URL of a database that the test has to itself: of none yet on SQLite, where `installed` copies one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/letstalk.db"
    url: str = request.getfixturevalue("migrated_postgresql_url")
    return url


@pytest.fixture(scope="package")
def sqlite_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("service")) as installation:
        yield installation


@pytest.fixture(scope="package")
def postgresql_service(
    tmp_path_factory: pytest.TempPathFactory, postgresql_folder: Path, postgresql_template: str
) -> Iterator[Installation]:
    with (
        own_database(postgresql_folder, postgresql_template) as url,
        installed(tmp_path_factory.mktemp("service"), database_url=url) as installation,
    ):
        yield installation


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest) -> Installation:
    """One installation for all the tests that share it in peace: each calls phones that no other test calls."""
    installation: Installation = request.getfixturevalue(f"{request.param}_service")
    return installation


@pytest.fixture
def quiet_service(service: Installation) -> Installation:
    """The installation for all, once nothing is left over of the tests before: what breaks next breaks for this one."""
    open_calls = "SELECT count(*) FROM calls WHERE ended_at IS NULL OR holds_channel"
    eventually(lambda: service.query(open_calls) == [(0,)], "calls of other tests go on")
    eventually(lambda: service.telnyx.state()["unanswered"] == {}, "Telnyx has more to tell of other tests' calls")
    return service


@pytest.fixture
def own_service(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    """An installation that a test may spoil."""
    with installed(tmp_path, database_url=database_url) as installation:
        yield installation
