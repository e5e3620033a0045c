"""A clock that jumps by an hour, forward and back, under a running service."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.flows.installations import Installation, installed
from tools.reliability.people import LEAST_LIMIT_SECONDS, Crowd
from tools.reliability.verdicts import Promise

CHANNELS = 4


def _turn(folder: Path, seconds: int) -> None:
    """Let the service's clock show that much more than the real one, from now on."""
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
        _turn(folder, 0)
        service.server.command = [sys.executable, "-m", "tools.reliability.turned_clock", str(folder / "clock")]
        service.server.start()
        service.telnyx.configure(least_limit_seconds=LEAST_LIMIT_SECONDS)
        http = service.owner().http
        crowd = Crowd(service.telnyx, promise, CHANNELS)
        calm = crowd.ask([http], 2)
        crowd.listen_and_type(calm)

        # In the middle of calls: some are live, some wait for a channel.
        caught = crowd.ask([http], 8)
        service.telnyx.wait_until(lambda state: state["live"] > 0)
        _turn(folder, 3600)
        for person in caught:
            answer = person.verify("000000")
            if answer.status_code == 200 or answer.json()["code"] not in ("code_expired", "verification_failed"):
                promise.breaches.append(f"an hour later a code was answered {answer.status_code} {answer.text[:100]}")
        forward_seconds = _wait_for_free_channels(service, promise, 90)

        _turn(folder, 0)
        back = time.monotonic()
        later = crowd.ask([http], 4)
        crowd.listen_and_type(later)
        back_seconds = time.monotonic() - back

        # And back in the middle of calls: leases and questions lie an hour ahead.
        waiting = crowd.ask([http], 8)
        service.telnyx.wait_until(lambda state: state["live"] > 0)
        _turn(folder, -3600)
        backward_seconds = _wait_for_free_channels(service, promise, 120)
        _turn(folder, 0)
        crowd.come_to_rest(90)
        heard = sum(bool(service.payloads(person.phone)) for person in waiting)
        promise.measured = (
            f"forward: {len(caught)} codes dead at once, channels free after {forward_seconds:.0f} s; set right: the "
            f"next 4 codes heard and typed within {back_seconds:.0f} s; an hour back: channels free after "
            f"{backward_seconds:.0f} s, {heard} of {len(waiting)} codes heard; no call placed twice"
        )


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "clock-jumps": (
        "The clock jumps by an hour: codes die early rather than late, no call is placed twice, channels come back",
        jumps,
    ),
}
