"""PostgreSQL fails over while connections to the old primary stay alive: it is a standby now, and refuses writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from letstalk.db.database import Database
from tests.support.apps import PHONE, Api, issue_token, make_app


@pytest.fixture
def app(tmp_path: Path, postgresql_url: str) -> Iterator[Flask]:
    made = make_app(tmp_path, DATABASE_URL=postgresql_url)
    yield made
    made.extensions["letstalk_db"].close()


def demote(db: Database) -> None:
    """Make every connection that the pool holds one to a standby."""
    with db.engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()


def make_read_only(url: str, *, is_on: bool) -> None:
    """Let every new connection to the database find a standby, or not."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {"on" if is_on else "off"}')


def test_a_refused_write_is_not_ready_and_its_connection_is_thrown_away(app: Flask) -> None:
    api = Api(app.test_client(), issue_token(app))
    demote(app.extensions["letstalk_db"])
    refused = api.post("/calls/otp", {"phone": PHONE})
    assert (refused.status_code, refused.get_json()["code"]) == (503, "not_ready")
    assert int(refused.headers["Retry-After"]) >= 1
    assert api.post("/calls/otp", {"phone": PHONE}).status_code == 202


def test_while_no_server_takes_writes_nothing_is_a_failure_of_ours(app: Flask, postgresql_url: str) -> None:
    api = Api(app.test_client(), issue_token(app))
    demote(app.extensions["letstalk_db"])
    make_read_only(postgresql_url, is_on=True)
    for _ in range(3):
        answers = [
            api.post("/calls/otp", {"phone": PHONE}),
            api.post("/calls/verify", {"phone": PHONE, "code": "1234"}),
        ]
        assert [answer.get_json()["code"] for answer in answers] == ["not_ready", "not_ready"]
    make_read_only(postgresql_url, is_on=False)
    api.post("/calls/otp", {"phone": PHONE})
    assert api.post("/calls/otp", {"phone": PHONE}).status_code in (202, 429)


def test_the_address_of_the_database_can_ask_for_a_server_that_takes_writes(postgresql_url: str) -> None:
    db = Database(f"{postgresql_url}&target_session_attrs=read-write")
    make_read_only(postgresql_url, is_on=True)
    with pytest.raises(OperationalError), db.read():
        pass
    make_read_only(postgresql_url, is_on=False)
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    db.close()
