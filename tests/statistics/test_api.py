"""`/api/stats` has the figures of the caller's own owner, and says what is wrong with a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from letstalk.core.clock import iso_utc
from letstalk.statistics.models import DAY, HOUR, start_of_day, start_of_hour
from tests.statistics.stored import NOW, Stored, approved, store, unanswered, waiting
from tests.support.apps import Api, issue_token, make_app, services_of
from tests.support.world import StandingClock


@dataclass
class Installation:
    app: Flask
    clock: StandingClock
    acme: Api
    globex: Api

    def store(self, *everything: Stored) -> None:
        store(self.app.extensions["letstalk_db"], *everything)

    def count_all(self) -> None:
        while services_of(self.app).rollups.roll_up():
            pass


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    clock = StandingClock(NOW)
    app = make_app(tmp_path, clock)
    tokens = {name: issue_token(app, "calls:read", "tokens:read", owner_id=name) for name in ("acme", "globex")}
    yield Installation(app, clock, *(Api(app.test_client(), token) for token in tokens.values()))
    app.extensions["letstalk_db"].close()


def test_this_moment_and_today(installation: Installation) -> None:
    now = installation.clock()
    installation.store(
        approved(now - timedelta(seconds=30)),
        unanswered(now - HOUR),
        waiting(now - timedelta(seconds=9)),
        approved(now - DAY),
        unanswered(now, owner_id="globex"),
        waiting(now - timedelta(seconds=100), owner_id="globex"),
        approved(now, is_test=True, call_status=None),
    )
    found = installation.acme.get("/api/stats/realtime").get_json()
    assert found["at"] == iso_utc(now)
    assert found["calls"] == {"live": 0, "waiting": 1, "longest_wait_seconds": 9, "channels": 10}
    today = found["today"]
    steps = [today[step] for step in ("sent", "rung", "answered", "heard", "approved")]
    assert (steps, today["pending"], today["tests"]) == ([3, 2, 1, 1, 1], 1, 1)
    assert today["request_to_ring_ms"]["median"] == pytest.approx(2000, rel=0.1)
    assert today["request_to_approval_ms"]["p95"] == pytest.approx(20_000, rel=0.1)


def test_figures_by_each_thing_and_nothing_of_another_owner(installation: Installation) -> None:
    now = installation.clock()
    for at in (now, now - DAY, now - 2 * DAY):
        installation.store(
            approved(at, token_id="one", country="DE"),
            unanswered(at, token_id="two", country=None),
            *(approved(at, owner_id="globex", token_id="three", country="FR") for _ in range(5)),
        )
    installation.count_all()

    def rows(by: str) -> dict[str, tuple[int, int]]:
        found = installation.acme.get("/api/stats", by=by, **{"from": iso_utc(now - 2 * DAY)}).get_json()
        assert found["total"]["sent"] == sum(reason["verifications"] for reason in found["reasons"]) == 6
        return {row["key"]: (row["sent"], row["approved"]) for row in found["rows"]}

    assert rows("country") == {"DE": (3, 3), "": (3, 0)}
    assert rows("token") == {"one": (3, 3), "two": (3, 0)}
    days = [start_of_day(now) - number * DAY for number in (2, 1, 0)]
    assert rows("day") == {iso_utc(day): (2, 1) for day in days}
    hours = rows("hour")
    assert len(hours) == 49
    assert {key for key, counts in hours.items() if counts == (2, 1)} == {
        iso_utc(start_of_hour(now) - number * DAY) for number in range(3)
    }
    assert rows("reason") == {}
    found = installation.acme.get("/api/stats", by="reason").get_json()
    assert [(one["reason"], one["label"]) for one in found["reasons"]] == [
        ("approved", "Approved"),
        ("no_answer", "No answer"),
    ]


def test_a_time_is_widened_to_what_is_counted(installation: Installation) -> None:
    now = installation.clock()

    def widened(**query: str) -> tuple[str, str]:
        found = installation.acme.get("/api/stats", **query).get_json()
        return found["from"], found["to"]

    today = iso_utc(start_of_day(now))
    assert widened() == (iso_utc(start_of_day(now) - 7 * DAY), iso_utc(start_of_day(now) + DAY))
    times = {"from": "2026-11-20T09:10:00+01:00", "to": "2026-11-20T09:59:59.5Z"}
    assert widened(by="hour", **times) == ("2026-11-20T08:00:00.000Z", "2026-11-20T10:00:00.000Z")
    assert widened(by="country", **{"from": "2026-11-20"}) == (today, iso_utc(start_of_hour(now) + HOUR))
    old = {"from": "2026-09-01T10:00:00Z", "to": "2026-09-02T10:00:00Z"}
    assert widened(by="country", **old) == ("2026-09-01T00:00:00.000Z", "2026-09-03T00:00:00.000Z")


@pytest.mark.parametrize(
    ("query", "field", "part"),
    [
        ({"from": "yesterday"}, "from", "ISO 8601"),
        ({"from": ""}, "from", "ISO 8601"),
        ({"from": "2026-11-20T10:00:00"}, "from", "time zone"),
        ({"to": "2026-13-01"}, "to", "ISO 8601"),
        ({"to": "9999-12-31"}, "to", "2200"),
        ({"from": "🕛"}, "from", "ISO 8601"),
        ({"from": "2026-11-20", "to": "2026-11-19"}, "from", "before"),
        ({"from": "2026-11-20", "to": "2026-11-20"}, "from", "before"),
        ({"from": "2025-10-01", "to": "2026-11-20"}, "from", "400 days"),
        ({"from": "2026-09-01", "to": "2026-09-02", "by": "hour"}, "from", "31 days"),
        ({"by": "phone"}, "by", "hour"),
        ({"days": "7"}, "days", "not"),
    ],
)
def test_a_wrong_time_is_a_clear_400(installation: Installation, query: dict[str, str], field: str, part: str) -> None:
    refused = installation.acme.get("/api/stats", **query)
    assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")
    (detail,) = refused.get_json()["details"]
    assert detail["field"] == field
    assert part in detail["message"]


def test_the_usage_of_a_token_by_day(installation: Installation) -> None:
    token = installation.acme.get("/api/tokens/current").get_json()
    path = f"/api/tokens/{token['token_id']}/usage"
    found = installation.acme.get(path, days=3).get_json()
    assert [one["requests"] for one in found["days"]] == [0, 0, 2]
    assert found["days"][-1]["day"] == installation.clock().date().isoformat()
    assert installation.acme.get(path).get_json()["requests_total"] == 3
    assert installation.globex.get(path).status_code == 404
    for days in ("0", "367", "x"):
        assert installation.acme.get(path, days=days).status_code == 400
