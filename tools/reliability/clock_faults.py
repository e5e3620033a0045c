"""A clock that jumps by an hour, forward and back, while the service runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.flows.installations import Installation, installed
from tools.reliability.callees import LEAST_LIMIT_SECONDS, Callees
from tools.reliability.verdicts import Promise

CHANNELS = 4


def _set_clock(folder: Path, seconds: int) -> None:
    """From now on, the service's clock is that much ahead of the real one."""
    new = folder / "clock.new"
    new.write_text(str(seconds))
    new.replace(folder / "clock")


def _held(service: Installation) -> int:
    return int(service.query("SELECT count(*) FROM calls WHERE holds_channel")[0][0])


def _wait_for_free_channels(service: Installation, promise: Promise, seconds: float) -> float:
    started = time.monotonic()
    while _held(service):
        if time.monotonic() - started > seconds:
            promise.breaches.append(f"{_held(service)} channels are held after {seconds:.0f} s")
            break
        time.sleep(0.2)
    return time.monotonic() - started


def jumps(folder: Path, promise: Promise) -> None:
    with installed(folder, telnyx={"speed": 4}, MAX_CONCURRENT_CALLS=str(CHANNELS)) as service:
        service.server.stop()
        _set_clock(folder, 0)
        service.server.command = [
            sys.executable,
            "-m",
            "tools.reliability.adjusted_clock_server",
            str(folder / "clock"),
        ]
        service.server.start()
        service.telnyx.configure(least_limit_seconds=LEAST_LIMIT_SECONDS)
        http = service.owner().http
        callees = Callees(service.telnyx, promise, CHANNELS)
        calm = callees.ask([http], 2)
        callees.listen_and_type(calm)

        # While some calls are live and others wait for a channel.
        caught = callees.ask([http], 8)
        service.telnyx.wait_until(lambda state: state["live"] > 0)
        _set_clock(folder, 3600)
        for person in caught:
            answer = person.verify("000000")
            if answer.status_code == 200 or answer.json()["code"] not in ("code_expired", "verification_failed"):
                promise.breaches.append(
                    f"an hour later the response to a code was {answer.status_code} {answer.text[:100]}"
                )
        forward_seconds = _wait_for_free_channels(service, promise, 90)

        _set_clock(folder, 0)
        back = time.monotonic()
        later = callees.ask([http], 4)
        callees.listen_and_type(later)
        back_seconds = time.monotonic() - back

        # Back while calls are live: leases and questions to Telnyx are an hour ahead.
        waiting = callees.ask([http], 8)
        service.telnyx.wait_until(lambda state: state["live"] > 0)
        _set_clock(folder, -3600)
        backward_seconds = _wait_for_free_channels(service, promise, 120)
        _set_clock(folder, 0)
        callees.wait_until_ended(90)
        heard = sum(bool(service.payloads(person.phone)) for person in waiting)
        promise.measured = (
            f"forward: {len(caught)} codes expired at once, channels free after {forward_seconds:.0f} s; set right: "
            f"the next 4 codes heard and sent within {back_seconds:.0f} s; an hour back: channels free after "
            f"{backward_seconds:.0f} s, {heard} of {len(waiting)} codes heard; no call placed twice"
        )


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "clock-jumps": (
        "The clock jumps by an hour: codes expire early rather than late, no call is placed twice, channels are freed",
        jumps,
    )
}
