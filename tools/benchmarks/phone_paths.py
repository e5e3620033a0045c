"""The way to the phone, with Telnyx's SDK in use: from the request to the dial, and the silence before the speech."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection
from itertools import islice

from letstalk.verifications.models import MAX_TTL_SECONDS
from tools.benchmarks.contestants import installed
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import Installation, phones
from tools.benchmarks.loads import Answer, expect
from tools.benchmarks.machines import peak_memory_mib
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import new_folder, serving_ours
from tools.benchmarks.timed_telnyx import TimedTelnyx

SPEED = 20.0
CHANNELS = 10
CALLS_PER_SECOND = 8.0  # of half a second each: some six channels are free at any time
PATIENCE_SECONDS = 40.0  # for the SDK to load and the calls to end, on a machine that has other things to do
FIRST_CALLS = 6  # while the SDK loads and connects
DIAL_GOAL_MS = 50.0
SPEECH_GOAL_MS = 30.0
MEMORY_GOAL_MIB = 180.0


def measure_phone_paths(plan: Plan) -> Section:
    with (
        new_folder() as folder,
        TimedTelnyx(speed=SPEED) as telnyx,
        installed(folder, **telnyx.environment, MAX_CONCURRENT_CALLS=str(CHANNELS)) as installation,
        serving_ours(installation) as (ports, programs),
    ):
        numbers = phones("77")
        _call(installation, telnyx, ports[0], list(islice(numbers, FIRST_CALLS)))
        measured = list(islice(numbers, plan.heard_calls))
        asked_at = _call(installation, telnyx, ports[0], measured)
        memory_mib = peak_memory_mib(programs[0].pid)
    called = {call.dial["to"]: call for call in telnyx.calls}
    dial_ms = [(telnyx.dialed_at[phone] - asked_at[phone]) * 1000 for phone in measured]
    ids = [called[phone].call_control_id for phone in measured]
    speech_ms = [(telnyx.speech_asked_at[one] - telnyx.speech_permitted_at[one]) * 1000 for one in ids]
    goals: list[Goal] = []
    rows: list[tuple[str, ...]] = []
    for name, taken, goal_ms in (
        ("request to dial", dial_ms, DIAL_GOAL_MS),
        ("permission to speech", speech_ms, SPEECH_GOAL_MS),
    ):
        p50, p95 = percentile(taken, 50), percentile(taken, 95)
        rows.append((name, str(len(taken)), f"{p50:.1f}", f"{p95:.1f}", f"{max(taken):.1f}"))
        goals.append(Goal(f"{name} under {goal_ms:g} ms at p95", f"{p95:.1f} ms", p95 < goal_ms))
    goals.append(
        Goal(
            f"peak memory under {MEMORY_GOAL_MIB:g} MB with Telnyx's SDK in use",
            f"{memory_mib:.0f} MiB",
            memory_mib < MEMORY_GOAL_MIB,
        )
    )
    return Section(
        "The way to the phone",
        f"{CALLS_PER_SECOND:g} calls a second to a Telnyx that is played over HTTP at {SPEED:g} times the speed of "
        f"life, {CHANNELS} channels. From when `POST /calls/otp` leaves the client to when the dial request reaches "
        "Telnyx; and from when the webhook that says that a person answered leaves Telnyx to when the speak command "
        "reaches it.",
        ("", "calls", "p50 ms", "p95 ms", "longest ms"),
        rows,
        goals,
    )


def _call(installation: Installation, telnyx: TimedTelnyx, port: int, numbers: list[str]) -> dict[str, float]:
    """When each was asked for. Returns once all calls are over."""
    before = len(telnyx.calls)
    asked_at = ask_for_calls(installation, port, numbers, 1 / CALLS_PER_SECOND)
    wait_until_over(telnyx, before + len(numbers), PATIENCE_SECONDS)
    return asked_at


def ask_for_calls(
    installation: Installation, port: int, numbers: Iterable[str], apart_seconds: float
) -> dict[str, float]:
    """Send for each, so far apart, and say when. Sleeps in between: the Telnyx that is played has its threads here."""
    headers = {"Authorization": f"Bearer {installation.token}", "Content-Type": "application/json"}
    asked_at: dict[str, float] = {}
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.connect()
        for phone in numbers:
            body = json.dumps({"phone": phone, "expires_in": MAX_TTL_SECONDS})
            asked_at[phone] = time.time()
            connection.request("POST", "/calls/otp", body, headers)
            answer = connection.getresponse()
            expect(202, Answer(answer.status, answer.read()))
            time.sleep(max(0.0, asked_at[phone] + apart_seconds - time.time()))
    return asked_at


def wait_until_over(telnyx: TimedTelnyx, calls: int, seconds: float) -> None:
    """Returns once so many calls were placed and none is live. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while len(telnyx.calls) < calls or any(call.is_live for call in telnyx.calls):
        if time.monotonic() > deadline:
            live = sum(call.is_live for call in telnyx.calls)
            raise TimeoutError(f"{len(telnyx.calls)} of {calls} calls were placed, {live} are not over")
        time.sleep(0.05)
