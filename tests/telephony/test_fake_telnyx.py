"""The fake must be as strict as Telnyx, or the tests that use it prove nothing."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from letstalk.core.clock import utc_now
from letstalk.telephony.telnyx.webhooks import WebhookSignatures
from tests.support.fake_telnyx import FakeTelnyx, StandaloneTelnyx
from tests.telephony.lines import wait_until

DIAL: dict[str, Any] = {
    "connection_id": "1",
    "from": "+12025550123",
    "to": "+256700000000",
    "client_state": "c3RhdGU=",
    "command_id": "a-command",
}


def post(telnyx: FakeTelnyx, path: str, body: object, api_key: str | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key or telnyx.api_key}"}
    request = urllib.request.Request(telnyx.base_url + path, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def strict() -> Any:
    with FakeTelnyx(speed=50) as telnyx:
        yield telnyx


@pytest.mark.parametrize(
    "change",
    [
        {"to": "0700 000000"},
        {"to": 256700000000},
        {"timeout_secs": 4},
        {"timeout_secs": "30"},
        {"time_limit_secs": 20_000},
        {"client_state": "not base64!"},
        {"answering_machine_detection": "super"},
        {"webhook_url_method": "PUT"},
        {"webhook_url": "http://example.org/"},
        {"from_display_name": "Let's Talk"},
        {"webhook_retries_policies": {"call.hangup": {"retries_ms": [60_001]}}},
        {"webhook_retries_policies": {"call.hangup": {"retries_ms": [1] * 6}}},
        {"webhook_retries_policies": {"call.hangup": {"retry_ms": [1]}}},
        {"no_such_parameter": 1},
    ],
)
def test_a_parameter_that_telnyx_would_not_take_is_a_422(strict: FakeTelnyx, change: dict[str, object]) -> None:
    status, _ = post(strict, "/calls", {**DIAL, **change})

    assert status == 422
    assert len(strict.violations) == 1
    assert strict.calls == []


def test_a_dial_without_its_number_is_a_422(strict: FakeTelnyx) -> None:
    assert post(strict, "/calls", {name: value for name, value in DIAL.items() if name != "to"})[0] == 422
    assert post(strict, "/calls", ["no object"])[0] == 422


def test_a_wrong_key_is_a_401(strict: FakeTelnyx) -> None:
    assert post(strict, "/calls", DIAL, api_key="wrong")[0] == 401
    assert strict.calls == []


def test_a_full_account_is_a_403_d1(strict: FakeTelnyx) -> None:
    strict.configure(channels=1)
    assert post(strict, "/calls", DIAL)[0] == 200
    status, answer = post(strict, "/calls", {**DIAL, "command_id": "another"})

    assert (status, answer["errors"][0]["code"]) == (403, "D1")
    assert strict.state()["refused_over_channels"] == 1
    assert strict.state()["max_live"] == 1


def test_a_repeated_dial_gives_the_same_call_even_where_all_channels_are_taken(strict: FakeTelnyx) -> None:
    strict.configure(channels=1)

    assert post(strict, "/calls", DIAL) == post(strict, "/calls", DIAL)
    assert len(strict.calls) == 1


def test_events_are_sent_again_until_they_are_answered_with_the_same_id_and_a_signature() -> None:
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if len(received) > 2 else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    with FakeTelnyx(speed=0.01, answer_seconds=30) as telnyx:
        policy = {"call.initiated": {"retries_ms": [20, 20, 20, 20]}}
        url = f"http://127.0.0.1:{server.server_port}/hook"
        post(telnyx, "/calls", {**DIAL, "webhook_url": url, "webhook_retries_policies": policy})

        assert wait_until(lambda: len(received) == 3 and not telnyx.state()["unanswered"])
        assert [entry["status"] for entry in telnyx.state()["webhooks"]] == [500, 500, 200]
        assert len({json.loads(body)["data"]["id"] for _, body in received}) == 1
        for headers, body in received:
            lower = {name.lower(): value for name, value in headers.items()}
            WebhookSignatures(telnyx.public_key).ensure_signed(lower, body, now=utc_now())
    server.shutdown()
    server.server_close()
    thread.join()


def test_on_its_own_it_can_be_ruled_from_another_process() -> None:
    with StandaloneTelnyx(speed=50, phones={"0000": "busy"}, channels=3) as telnyx:
        telnyx.fail_next("dial", "500", count=1)
        telnyx.configure(channels=1, repeat=2)
        assert post(telnyx, "/calls", DIAL)[0] == 500  # type: ignore[arg-type]  # it has the same two attributes
        assert post(telnyx, "/calls", DIAL)[0] == 200  # type: ignore[arg-type]
        state = telnyx.wait_until(lambda state: len(state["calls"]) == 1 and state["live"] == 0)

        assert state["calls"][0]["hangup_cause"] == "user_busy"
        with pytest.raises(urllib.error.HTTPError):
            telnyx.configure(no_such_thing=1)
