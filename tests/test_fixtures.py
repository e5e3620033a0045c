"""The servers that other tests stand on."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psycopg
import pytest
import redis
from pytest_socket import SocketConnectBlockedError

from letstalk.config.settings import load_settings
from letstalk.db.database import Database
from tests.support.services import LEFT_OUT, needed

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_an_empty_database(postgresql_url: str, turn: int) -> None:
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("CREATE TABLE seen (turn integer)")
        connection.execute("INSERT INTO seen VALUES (%s)", (turn,))
        assert connection.execute("SELECT turn FROM seen").fetchall() == [(turn,)]


def test_the_settings_and_the_database_take_the_address_of_the_fixture(postgresql_url: str, tmp_path: Path) -> None:
    settings = load_settings({"FLASK_ENV": "development", "DATABASE_URL": postgresql_url}, None, root=tmp_path)
    database = Database(settings.database_url.get_secret_value())
    with database.write() as connection:
        database.lock(connection, "anything")
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_an_empty_redis(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []
        client.set("turn", turn)


def test_no_socket_reaches_beyond_this_machine() -> None:
    blocked = pytest.raises(SocketConnectBlockedError)
    with socket.socket() as outward, pytest.warns(UserWarning, match="192.0.2.1"), blocked:
        outward.connect(("192.0.2.1", 80))


def test_a_missing_program_skips_a_test_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match=LEFT_OUT + "PostgreSQL"):
        needed("PostgreSQL", None)


def test_a_missing_program_fails_a_test_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="PostgreSQL is not on this machine"):
        needed("PostgreSQL", None)
    assert needed("PostgreSQL", Path("/anywhere")) == Path("/anywhere")


def test_one_line_says_what_was_left_out(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    pytester.makeconftest("from tests.conftest import pytest_terminal_summary as pytest_terminal_summary")
    pytester.makepyfile(
        """
        import pytest
        from tests.support.services import needed

        @pytest.mark.parametrize("turn", [1, 2])
        def test_that_needs_redis(turn):
            needed("Redis", None)

        def test_that_needs_nothing():
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["Left out, not on this machine: Redis (2 tests). REQUIRE_ALL=1 makes that a failure."])
