"""Neither the Overview, nor a statistic, nor a rollup reads a table from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from letstalk.statistics.models import DAY, HOUR
from tests.db.test_query_plans import Trace, refused
from tests.statistics.stored import NOW, approved, store, unanswered, waiting
from tests.support.apps import OWNER, Api, issue_token, make_app, services_of
from tests.support.pages import a_visitor, the_owner
from tests.support.world import StandingClock

SMALL_TABLES = ("workers",)  # a row for each process


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """What is asked of the database by every page and statistic, with every filter, and by the worker."""
    clock = StandingClock(NOW)
    app = make_app(tmp_path, clock)
    services = services_of(app)
    api = Api(app.test_client(), issue_token(app, "calls:read", "tokens:read", expires_in_seconds=86_400))
    token = services.tokens.list_tokens(OWNER).tokens[0]
    store(
        app.extensions["letstalk_db"], *(approved(NOW - number * HOUR, token_id=token.token_id) for number in range(3))
    )
    store(app.extensions["letstalk_db"], unanswered(NOW - 2 * DAY), waiting(NOW))
    people = [the_owner(app), a_visitor(app, "vera", "viewer", owner_ids=("acme", "globex"))]
    found = Trace()
    found.listen(app)
    while services.rollups.roll_up():
        pass
    services.rollups.forget_old()
    for person in people:
        for period in ("hour", "day", "week", "month"):
            for filters in ("", "&owner=acme", f"&owner=acme&token={token.token_id}"):
                assert person.get(f"/dashboard?period={period}{filters}").status_code == 200
        assert person.get("/dashboard/live?owner=acme").status_code == 200
    for by in ("hour", "day", "country", "token", "reason"):
        assert api.get("/api/stats", by=by).status_code == 200
    assert api.get("/api/stats/realtime").status_code == 200
    assert api.get(f"/api/tokens/{token.token_id}/usage").status_code == 200
    return found


def test_no_statistic_reads_a_whole_table(trace: Trace, tmp_path: Path) -> None:
    asked = {statement for statement in trace.requests if not any(f"FROM {name}" in statement for name in SMALL_TABLES)}
    assert sum(" verifications" in statement for statement in asked) > 5
    assert sum("FROM statistics" in statement for statement in asked) > 10
    assert refused(tmp_path, asked) == {}
