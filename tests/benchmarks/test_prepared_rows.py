"""The rows that the benchmark stores are like those that the service stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import httpx
import pytest

from letstalk.core.clock import utc_now
from letstalk.core.ids import new_id
from letstalk.telephony.phone_numbers import parse_phone, region_of
from tools.benchmarks.installations import Installation, installed, phones
from tools.benchmarks.pasts import COUNTRIES, country_of, phones_of_countries
from tools.benchmarks.rows import Prepared
from tools.benchmarks.servers import serving_installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as one:
        yield one


def count(installation: Installation, table: str, where: str = "1 = 1") -> int:
    with installation.rows.engine.connect() as connection:
        statement = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608  # written in this file
        return int(connection.exec_driver_sql(statement).scalar_one())


def verify(client: httpx.Client, one: Prepared, code: str) -> httpx.Response:
    return client.post("/calls/verify", json={"phone": one.phone, "code": code})


def test_phones_can_be_called_and_differ() -> None:
    for prefix in ("70", "75", "77", "78"):
        some = list(islice(phones(prefix), 300))
        assert len(set(some)) == 300
        assert [parse_phone(phone).e164 for phone in some] == some


def test_a_prepared_code_is_right_once_and_another_is_wrong(installation: Installation) -> None:
    first, second = installation.rows.store_pending(phones("77"), 2)
    headers = {"Authorization": f"Bearer {installation.token}"}
    with (
        serving_installation(installation) as (port, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client,
    ):
        assert verify(client, first, first.code).json()["verification_id"] == first.verification_id
        assert verify(client, first, first.code).json()["code"] == "code_used"
        assert verify(client, second, first.code).json()["code"] == "invalid_code"
        assert verify(client, second, second.code).status_code == 200


def test_everything_pending_can_be_ended(installation: Installation) -> None:
    installation.rows.store_waiting(phones("78"), 3)
    installation.rows.store_pending(phones("77"), 2)
    assert count(installation, "verifications", "status = 'pending'") == 5
    installation.rows.end_everything()
    assert count(installation, "verifications", "status = 'pending' OR speech_sealed IS NOT NULL") == 0
    assert count(installation, "calls", "ended_at IS NULL") == 0


def test_what_waits_can_be_canceled_while_a_server_runs(installation: Installation) -> None:
    installation.rows.store_waiting(phones("78"), 300)
    with serving_installation(installation):
        installation.rows.cancel_waiting()
        assert count(installation, "verifications", "status = 'pending'") == 0
        assert count(installation, "calls", "status = 'queued'") == 0
    assert count(installation, "calls", "status = 'canceled' AND ended_at IS NOT NULL") > 0


def test_a_history_has_ended_and_has_all_its_rows(installation: Installation) -> None:
    installation.rows.store_history(phones_of_countries(), verifications=200, tokens=7)
    assert count(installation, "verifications", "status <> 'pending'") == 200
    assert count(installation, "verifications", "status = 'approved'") > 100
    assert count(installation, "calls", "ended_at IS NOT NULL AND NOT holds_channel") == 200
    assert count(installation, "calls", "status = 'no_answer'") > 0
    assert count(installation, "call_events") == 800
    assert count(installation, "tokens") == 8


def test_a_long_history_is_copied_from_a_short_one(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.benchmarks.rows.LEAST_COPIED", 800)
    indexes = "SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_master WHERE type = 'index' ORDER BY name)"
    with installation.rows.engine.connect() as connection:
        before = connection.exec_driver_sql(indexes).scalar_one()
    installation.rows.store_history(phones("77"), verifications=800, tokens=7)
    assert count(installation, "verifications", "status <> 'pending'") == 800
    assert count(installation, "verifications JOIN calls ON subject_id = verification_id") == 800
    assert count(installation, "calls JOIN call_events ON call_events.call_id = calls.call_id") == 3200
    for table in ("verifications", "calls"):
        made_at = "(unixepoch(created_at) * 1000 + substr(created_at, 21, 3))"
        digits = f"printf('%012x', {made_at})"
        its_time = f"substr({digits}, 1, 8) || '-' || substr({digits}, 9)"
        assert count(installation, table, f"substr({table.removesuffix('s')}_id, 1, 13) = {its_time}") == 800
        assert count(installation, table, "created_at < datetime('now', '-41 day')") == 400  # of the days from 2 to 80
    with installation.rows.engine.connect() as connection:
        assert connection.exec_driver_sql(indexes).scalar_one() == before


def test_the_phones_of_countries_can_be_called_and_are_of_these_countries() -> None:
    some = list(islice(phones_of_countries(), 120))
    assert len(set(some)) == 120
    assert [region_of(phone) for phone in some] == [country_of(phone) for phone in some]
    assert {country_of(phone) for phone in some} == {country for country, _ in COUNTRIES}


def test_ids_are_of_the_kind_that_the_service_makes(installation: Installation) -> None:
    """Random ids would be spread over the whole index, and would cost more than those of a real installation."""
    installation.rows.store_history(phones("77"), verifications=5, tokens=0)
    installation.rows.store_waiting(phones("78"), 5)
    yesterday = new_id(utc_now() - timedelta(days=1))[:11]  # to 65 s
    for table in ("verifications", "calls"):
        key = f"{table.removesuffix('s')}_id"
        assert count(installation, table, f"substr({key}, 15, 1) = '7'") == 10
        assert count(installation, table, f"created_at < datetime('now', '-1 day') AND {key} > '{yesterday}~'") == 0
