"""How soon a call is dialed and a person is spoken to, with Telnyx's SDK in use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection
from itertools import islice
from typing import Any

from tests.support.fake_telnyx.phones import DETECTION_SECONDS, RING_SECONDS, SPEECH_SECONDS
from tests.support.fake_telnyx.servers import FakeTelnyx
from tests.support.fake_telnyx.servers import Response as TelnyxResponse
from tools.benchmarks.figures import Goal, Section, percentile
from tools.benchmarks.installations import Installation, installed, phones
from tools.benchmarks.loads import Response, expect
from tools.benchmarks.machines import peak_memory_mib
from tools.benchmarks.plans import Plan
from tools.benchmarks.rows import LIFETIME_SECONDS
from tools.benchmarks.servers import new_folder, serving_installation

SPEED = 20.0
CHANNELS = 10
CALLS_PER_SECOND = 8.0  # of half a second each, so that some six channels are free at any time
TIMEOUT_SECONDS = 60.0
FIRST_CALLS = 6  # not measured: the SDK is loaded and connects
MOST_DIAL_MS = 15.0
MOST_SPEECH_MS = 15.0
MOST_MEMORY_MIB = 180.0

# From the dial to the hang-up at speed 1. The call listens for a key for the last four seconds.
CALL_SECONDS = RING_SECONDS + DETECTION_SECONDS + SPEECH_SECONDS + 4.0
PERMITS_SPEECH = "call.machine.premium.detection.ended"


class TimedTelnyx(FakeTelnyx):
    """A stand-in for Telnyx that notes when commands reach it and when its webhooks leave, in seconds since the epoch.

    `dialed_at` is by phone, `speech_permitted_at` and `speech_asked_at` are by Telnyx's call id.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.speech_permitted_at: dict[str, float] = {}
        self.speech_asked_at: dict[str, float] = {}
        self.dialed_at: dict[str, float] = {}
        self._post = self.deliveries.post
        # The stand-in has no option for this, so the method of this one instance is replaced.
        self.deliveries.post = self._note_and_post  # type: ignore[method-assign]

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which a server uses this stand-in."""
        return {
            "TELEPHONY_PROVIDER": "telnyx",
            "TELNYX_API_KEY": self.api_key,
            "TELNYX_CONNECTION_ID": "1684641123236054244",
            "TELNYX_FROM_NUMBER": "+12025550123",
            "TELNYX_PUBLIC_KEY": self.public_key,
            "TELNYX_BASE_URL": self.base_url,
        }

    def respond(self, method: str, path: str, api_key: str | None, body: object) -> TelnyxResponse | None:
        moment = time.time()
        match path.split("/")[2:]:
            case ["calls"] if isinstance(body, dict):
                self.dialed_at.setdefault(body["to"], moment)
            case ["calls", call_id, "actions", "gather_using_speak"]:
                self.speech_asked_at.setdefault(call_id, moment)
        return super().respond(method, path, api_key, body)

    def _note_and_post(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        data = json.loads(body)["data"]
        if data["event_type"] == PERMITS_SPEECH:
            self.speech_permitted_at.setdefault(data["payload"]["call_control_id"], time.time())
        return self._post(url, body, headers)


def measure_call_delays(plan: Plan) -> Section:
    with (
        new_folder() as folder,
        TimedTelnyx(speed=SPEED) as telnyx,
        installed(folder, {**telnyx.environment, "MAX_CONCURRENT_CALLS": str(CHANNELS)}) as installation,
        serving_installation(installation) as (port, program),
    ):
        numbers = phones("77")
        _call(installation, telnyx, port, list(islice(numbers, FIRST_CALLS)))
        measured = list(islice(numbers, plan.heard_calls))
        requested_at = _call(installation, telnyx, port, measured)
        memory_mib = peak_memory_mib(program.pid)
    called = {call.dial["to"]: call for call in telnyx.calls}
    dial_ms = [(telnyx.dialed_at[phone] - requested_at[phone]) * 1000 for phone in measured]
    ids = [called[phone].call_control_id for phone in measured]
    speech_ms = [(telnyx.speech_asked_at[one] - telnyx.speech_permitted_at[one]) * 1000 for one in ids]
    section = Section(
        "Delays of calls",
        f"{CALLS_PER_SECOND:g} calls a second to a stand-in for Telnyx over HTTP, which runs calls {SPEED:g} times "
        f"faster than real ones, with {CHANNELS} channels. From the moment when `POST /calls/otp` leaves the client to "
        "the moment when the dial request reaches Telnyx; and from the moment when the webhook that reports a person "
        "leaves Telnyx to the moment when the speak command reaches it.",
        ("", "calls", "p50 ms", "p95 ms", "longest ms"),
    )
    for name, taken_ms, most_ms in (
        ("request to dial", dial_ms, MOST_DIAL_MS),
        ("permission to speech", speech_ms, MOST_SPEECH_MS),
    ):
        p50, p95 = percentile(taken_ms, 50), percentile(taken_ms, 95)
        section.rows.append((name, str(len(taken_ms)), f"{p50:.1f}", f"{p95:.1f}", f"{max(taken_ms):.1f}"))
        section.goals.append(Goal(f"{name}, p95", f"{p95:.1f} ms", f"< {most_ms:g} ms", p95 < most_ms))
    is_met = memory_mib < MOST_MEMORY_MIB
    required = f"< {MOST_MEMORY_MIB:g} MiB"
    section.goals.append(Goal("peak memory, Telnyx's SDK in use", f"{memory_mib:.0f} MiB", required, is_met))
    return section


def _call(installation: Installation, telnyx: TimedTelnyx, port: int, numbers: list[str]) -> dict[str, float]:
    """When each call was requested. Returns when all calls have ended."""
    before = len(telnyx.calls)
    requested_at = request_calls(installation, port, numbers, 1 / CALLS_PER_SECOND)
    wait_until_ended(telnyx, before + len(numbers), TIMEOUT_SECONDS)
    return requested_at


def request_calls(
    installation: Installation, port: int, numbers: Iterable[str], interval_seconds: float
) -> dict[str, float]:
    """Send one request for each phone, and return when. Sleeps in between, for the stand-in's threads run here too."""
    headers = {"Authorization": f"Bearer {installation.token}", "Content-Type": "application/json"}
    requested_at: dict[str, float] = {}
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.connect()
        for phone in numbers:
            body = json.dumps({"phone": phone, "expires_in": LIFETIME_SECONDS})
            requested_at[phone] = time.time()
            connection.request("POST", "/calls/otp", body, headers)
            response = connection.getresponse()
            expect(202, Response(response.status, response.read()))
            time.sleep(max(0.0, requested_at[phone] + interval_seconds - time.time()))
    return requested_at


def wait_until_ended(telnyx: TimedTelnyx, calls: int, seconds: float) -> None:
    """Returns when that many calls were placed and none is live. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while len(telnyx.calls) < calls or any(call.is_live for call in telnyx.calls):
        if time.monotonic() > deadline:
            live = sum(call.is_live for call in telnyx.calls)
            raise TimeoutError(f"{len(telnyx.calls)} of {calls} calls were placed, {live} have not ended")
        time.sleep(0.05)
