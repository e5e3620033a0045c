"""All checks of an installation, with a fake Telnyx, a mail server and services that hang."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from letstalk.core.clock import utc_now
from letstalk.operations.checks import CheckResult, ok
from letstalk.operations.slow_checks import SlowChecks
from tests.support.apps import Api, issue_token, make_app, services_of
from tests.support.fake_telnyx import FakeTelnyx
from tests.support.mail_servers import mail_server
from tests.support.pages import the_owner

PATIENT_SECONDS = 20.0


@pytest.fixture
def telnyx() -> Iterator[FakeTelnyx]:
    with FakeTelnyx() as telnyx:
        yield telnyx


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def calling_through(telnyx: FakeTelnyx, folder: Path, **settings: str) -> Flask:
    own = {
        "TELEPHONY_PROVIDER": "telnyx",
        "TELNYX_API_KEY": telnyx.api_key,
        "TELNYX_CONNECTION_ID": telnyx.connection_id,
        "TELNYX_FROM_NUMBER": "+12025550123",
        "TELNYX_PUBLIC_KEY": telnyx.public_key,
        "TELNYX_BASE_URL": telnyx.base_url,
        "PUBLIC_URL": telnyx.base_url.removesuffix("/v2"),
    }
    return make_app(folder, utc_now, **{**own, **settings})


def findings(app: Flask) -> dict[str, tuple[str, str]]:
    """(state, sentence) by check, once all have answered."""
    found = services_of(app).inspections.inspect(max_age_seconds=0, wait_seconds=PATIENT_SECONDS)
    assert found.is_complete
    return {result.name: (result.state.value, result.sentence) for result in found.results}


def test_a_good_account_is_said_to_be_one_and_nothing_is_changed(telnyx: FakeTelnyx, tmp_path: Path) -> None:
    found = findings(calling_through(telnyx, tmp_path))
    assert found["credentials"] == ("ok", "Telnyx accepts the API key.")
    assert found["connection"] == ("ok", "The call control application exists and is switched on.")
    assert found["provider_clock"][0] == "ok"
    assert found["calls"] == ("ok", "Telnyx: real phones, real money.")
    # The fake is no Let's Talk, which is what PUBLIC_URL must reach.
    state, sentence = found["public_url"]
    assert state == "failing"
    assert "Another service answers" in sentence
    assert [command for command, _ in telnyx.requests] == ["application"]
    assert telnyx.calls == []


def test_a_wrong_key_and_a_wrong_connection_are_told_apart(telnyx: FakeTelnyx, tmp_path: Path) -> None:
    for name in ("key", "connection"):
        (tmp_path / name).mkdir()
    found = findings(calling_through(telnyx, tmp_path / "key", TELNYX_API_KEY="KEY-of-somebody-else"))
    assert found["credentials"][0] == found["connection"][0] == "failing"
    assert "TELNYX_API_KEY" in found["credentials"][1]
    assert "KEY-of" not in str(found)
    found = findings(calling_through(telnyx, tmp_path / "connection", TELNYX_CONNECTION_ID="1"))
    assert (found["credentials"][0], found["connection"][0]) == ("ok", "failing")
    assert "TELNYX_CONNECTION_ID" in found["connection"][1]


@pytest.mark.parametrize(
    ("application", "said"),
    [({"active": False}, "switched off"), ({"active": True, "outbound": {}}, "no outbound voice profile")],
)
def test_a_connection_that_cannot_call_is_not_well(
    telnyx: FakeTelnyx, tmp_path: Path, application: dict[str, object], said: str
) -> None:
    telnyx.application = application
    state, sentence = findings(calling_through(telnyx, tmp_path))["connection"]
    assert state == "failing"
    assert said in sentence


@pytest.mark.parametrize("kind", ["500", "lost", "garbage"])
def test_a_provider_in_trouble_is_a_finding_and_never_a_5xx(kind: str, telnyx: FakeTelnyx, tmp_path: Path) -> None:
    telnyx.fail_next("application", kind, count=9)
    app = calling_through(telnyx, tmp_path)
    assert findings(app)["credentials"][0] == "failing"
    answer = Api(app.test_client(), issue_token(app, "admin")).get("/api/sip/status")
    assert answer.status_code == 200
    assert answer.get_json()["credentials"]["state"] == "failing"
    assert the_owner(app).get("/dashboard/health").status_code == 200


def test_a_provider_that_hangs_holds_up_neither_the_page_nor_the_api(tmp_path: Path, telnyx: FakeTelnyx) -> None:
    with silent_server() as address:
        app = calling_through(telnyx, tmp_path, TELNYX_BASE_URL=f"{address}/v2", PUBLIC_URL=address)
        page = the_owner(app).get("/dashboard/health")
        assert page.status_code == 200
        assert page.headers["Refresh"] == "2; url=/dashboard/health"
        assert "checking" in page.text
        body = Api(app.test_client(), issue_token(app, "admin")).get("/api/sip/status").get_json()
        assert body["credentials"]["state"] == body["connection"]["state"] == "pending"
        assert body["channels"] == 10


def test_the_trunk_is_for_admins_only(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    assert Api(app.test_client(), issue_token(app, "read", "write")).get("/api/sip/status").status_code == 403
    body = Api(app.test_client(), issue_token(app, "admin")).get("/api/sip/status").get_json()
    assert body["credentials"] == {"state": "off", "finding": "The simulator needs no account.", "remedy": None}
    assert (body["provider"], body["simulated"], body["channels"]) == ("simulator", True, 10)
    assert (body["live_calls"], body["waiting_calls"]) == (0, 0)


def test_mail_is_signed_in_to_and_none_is_sent(tmp_path: Path) -> None:
    with mail_server() as server:
        app = make_app(
            tmp_path,
            SMTP_HOST="127.0.0.1",
            SMTP_PORT=str(server.port),
            SMTP_SECURITY="none",
            MAIL_FROM="calls@example.com",
        )
        assert findings(app)["mail"] == ("ok", f"127.0.0.1:{server.port} accepts the connection.")
        assert server.taken == []
    state, sentence = findings(app)["mail"]
    assert state == "failing"
    assert "SMTP_HOST" in sentence


def test_checks_that_run_are_not_started_again_and_a_broken_one_is_a_finding() -> None:
    go_on, runs = threading.Event(), []

    def wait() -> tuple[CheckResult, ...]:
        runs.append("wait")
        go_on.wait(30)
        return (ok("mail", "It answered."),)

    def fail() -> tuple[CheckResult, ...]:
        raise RuntimeError("what no check should do")

    checks = SlowChecks({("mail",): wait, ("clock",): fail}, utc_now)
    first = checks.look(max_age_seconds=0, wait_seconds=0.01)
    assert not first.is_complete
    assert {result.name: result.state.value for result in first.results}["mail"] == "pending"
    assert not checks.look(max_age_seconds=0, wait_seconds=0.01).is_complete
    go_on.set()
    last = checks.look(max_age_seconds=60, wait_seconds=30)
    assert last.is_complete
    assert {result.name: result.state.value for result in last.results} == {"mail": "ok", "clock": "failing"}
    assert runs == ["wait"]
