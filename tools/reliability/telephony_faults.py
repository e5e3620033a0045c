"""Faults of Telnyx: in its responses to commands, and in its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.flows.installations import Installation, installed
from tools.reliability.callees import LEAST_LIMIT_SECONDS, Callees
from tools.reliability.verdicts import Promise

CHANNELS = 4
CALLS = 12
COMMANDS = ("dial", "gather_using_speak", "hangup")


@contextmanager
def _set_up(folder: Path, promise: Promise, **telnyx: Any) -> Iterator[tuple[Installation, Callees]]:
    with installed(folder, telnyx={"speed": 20, **telnyx}, MAX_CONCURRENT_CALLS=str(CHANNELS)) as service:
        yield service, Callees(service.telnyx, promise, CHANNELS)


def _all_are_heard(service: Installation, callees: Callees) -> None:
    clients = [service.owner(f"owner-{number}").http for number in range(3)]
    people = callees.ask(clients, CALLS)
    callees.listen_and_type(people)
    callees.wait_until_ended()
    callees.promise.measured = callees.waits()


def faulty_responses(kind: str, count: int, seconds: float, folder: Path, promise: Promise) -> None:
    """The first `count` commands of each kind get a response with the fault `kind`."""
    with _set_up(folder, promise) as (service, callees):
        for command in COMMANDS:
            service.telnyx.fail_next(command, kind, count=count, seconds=seconds)
        _all_are_heard(service, callees)


def webhooks(habits: dict[str, Any], folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise, **habits) as (service, callees):
        _all_are_heard(service, callees)
        log = service.telnyx.state()["webhooks"]
        promise.measured += f"; {len(log)} deliveries of {len({entry['event_id'] for entry in log})} events"


def one_event_is_lost(folder: Path, promise: Promise) -> None:
    """The first two events of each kind never come."""
    kinds = ("call.initiated", "call.answered", "call.gather.ended", "call.hangup")
    with _set_up(folder, promise) as (service, callees):
        for kind in kinds:
            service.telnyx.drop_next(kind, 2)
        started = time.monotonic()
        _all_are_heard(service, callees)
        promise.measured += f"; all ended and every channel free after {time.monotonic() - started:.0f} s"


def no_event_ever_comes(folder: Path, promise: Promise) -> None:
    """No webhook arrives, because nothing listens at PUBLIC_URL."""
    with _set_up(folder, promise) as (service, callees):
        service.telnyx.configure(least_limit_seconds=LEAST_LIMIT_SECONDS)
        service.server.stop()
        service.server.environment["PUBLIC_URL"] = "http://127.0.0.1:1"
        service.server.start()
        started = time.monotonic()
        people = callees.ask([service.owner().http], CHANNELS)
        callees.wait_until_ended(90)
        ends = {person.look()["calls"][-1]["status"] for person in people}
        states = {person.look()["status"] for person in people}
        if ends != {"unknown"} or states != {"pending"}:
            promise.breaches.append(f"the calls ended {ends}, the verifications are {states}")
        if any(service.telnyx.state()["calls"][n]["heard"] for n in range(len(people))):
            promise.breaches.append("something was said although nobody was known to listen")
        held = service.query("SELECT count(*) FROM calls WHERE holds_channel")[0][0]
        if held:
            promise.breaches.append(f"{held} channels are held")
        promise.measured = (
            f"{len(people)} calls ended `unknown`, channels free after {time.monotonic() - started:.0f} s; each person "
            f"may request another code"
        )


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "telnyx-slow": (
        "Telnyx responds 10 s late: the same command id again after 5 s, one call, one code",
        partial(faulty_responses, "slow", 3, 10.0),
    ),
    "telnyx-429": (
        "Telnyx responds 429: back into the queue while the code is valid",
        partial(faulty_responses, "429", 6, 0),
    ),
    "telnyx-500": ("Telnyx responds 500: the same", partial(faulty_responses, "500", 6, 0)),
    "telnyx-500-done": (
        "Telnyx responds 500 but placed the call: one call, one code, the channel limit holds",
        partial(faulty_responses, "500_done", 4, 0),
    ),
    "telnyx-garbage": (
        "Telnyx sends an unreadable response but placed the call: one call, one code",
        partial(faulty_responses, "garbage", 3, 0),
    ),
    "telnyx-closes": ("Telnyx closes connections: tried again", partial(faulty_responses, "refused", 6, 0)),
    "telnyx-answer-lost": (
        "Telnyx accepts and the response is lost: one call, one code",
        partial(faulty_responses, "lost", 4, 0),
    ),
    "webhooks-late": (
        "Webhooks up to 4 s late and out of order: every code is heard",
        partial(webhooks, {"shuffle_seconds": 4.0}),
    ),
    "webhooks-repeated": (
        "Webhooks that come three times: applied once",
        partial(webhooks, {"repeat": 3, "shuffle_seconds": 0.5}),
    ),
    "webhooks-some-lost": ("Some webhooks never come: every code is heard, every channel is freed", one_event_is_lost),
    "webhooks-none": (
        "No webhook comes: nothing is said, the calls end `unknown`, every channel is freed",
        no_event_ever_comes,
    ),
}
