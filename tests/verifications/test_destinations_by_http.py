"""What a caller, and what the owner of an installation, sees of a limit of calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from letstalk.core.clock import utc_now
from tests.support.apps import PASSWORD, issue_token, make_app
from tests.tokens.test_pages import csrf_token


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_a_caller_learns_when_to_ask_again_and_the_dashboard_which_limit_it_is(tmp_path: Path, fast_path: str) -> None:
    app = make_app(tmp_path, RATE_LIMIT_BLOCK="1 per hour", FAST_PATH=fast_path)
    headers = {"Authorization": f"Bearer {issue_token(app, 'otp:send')}"}
    client = app.test_client()
    for number, status in ((0, 202), (1, 429)):
        response = client.post("/calls/otp", json={"phone": f"+25670012345{number}"}, headers=headers)
        assert response.status_code == status
    body = response.get_json()
    assert body["code"] == "destination_limit"
    assert response.headers["Retry-After"] == str(body["retry_after"])
    assert 1 <= body["retry_after"] <= 3600
    assert not any(word in body["error"] for word in ("hour", "block", "+256"))
    form = {"password": PASSWORD, "csrf_token": csrf_token(client, "/sign-in")}
    assert client.post("/sign-in", data=form).status_code == 302
    page = client.get("/api/tokens/dashboard").text
    assert re.search(r"acme: calls to \+25670012…, until \d+ \w+ \d{4}, \d\d:00 UTC \(1 per hour\)", page)


def test_a_satellite_is_not_called_unless_the_settings_say_so(tmp_path: Path) -> None:
    for name, settings, status in (
        ("default", {}, 403),
        ("allowed", {"ALLOWED_COUNTRIES": "UG,001"}, 202),
        ("opened", {"NUMBER_TYPES": "mobile,non_geographic"}, 202),
        ("blocked", {"NUMBER_TYPES": "mobile,non_geographic", "BLOCKED_COUNTRIES": "001"}, 403),
    ):
        folder = tmp_path / name
        folder.mkdir()
        app = make_app(folder, utc_now, **settings)
        headers = {"Authorization": f"Bearer {issue_token(app, 'otp:send')}"}
        response = app.test_client().post("/calls/otp", json={"phone": "+870773111632"}, headers=headers)
        assert response.status_code == status, (name, response.text)
