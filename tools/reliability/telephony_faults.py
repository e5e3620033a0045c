"""What Telnyx may do wrong, each fault by itself: to its commands' answers, and to its webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.flows.installations import Installation, installed
from tools.reliability.people import LEAST_LIMIT_SECONDS, Crowd
from tools.reliability.verdicts import Promise

CHANNELS = 4
CALLS = 12
COMMANDS = ("dial", "gather_using_speak", "hangup")


@contextmanager
def _set_up(folder: Path, promise: Promise, **telnyx: Any) -> Iterator[tuple[Installation, Crowd]]:
    with installed(folder, telnyx={"speed": 20, **telnyx}, MAX_CONCURRENT_CALLS=str(CHANNELS)) as service:
        yield service, Crowd(service.telnyx, promise, CHANNELS)


def _all_are_heard(service: Installation, crowd: Crowd) -> None:
    clients = [service.owner(f"owner-{number}").http for number in range(3)]
    people = crowd.ask(clients, CALLS)
    crowd.listen_and_type(people)
    crowd.come_to_rest()
    crowd.promise.measured = crowd.waits()


def answers(kind: str, count: int, seconds: float, folder: Path, promise: Promise) -> None:
    """The first `count` of each command are answered with the fault `kind`."""
    with _set_up(folder, promise) as (service, crowd):
        for command in COMMANDS:
            service.telnyx.fail_next(command, kind, count=count, seconds=seconds)
        _all_are_heard(service, crowd)


def webhooks(habits: dict[str, Any], folder: Path, promise: Promise) -> None:
    with _set_up(folder, promise, **habits) as (service, crowd):
        _all_are_heard(service, crowd)
        log = service.telnyx.state()["webhooks"]
        promise.measured += f"; {len(log)} deliveries of {len({entry['event_id'] for entry in log})} events"


def one_event_is_lost(folder: Path, promise: Promise) -> None:
    """Of each kind of event, the first two never come."""
    kinds = ("call.initiated", "call.answered", "call.gather.ended", "call.hangup")
    with _set_up(folder, promise) as (service, crowd):
        for kind in kinds:
            service.telnyx.drop_next(kind, 2)
        started = time.monotonic()
        _all_are_heard(service, crowd)
        promise.measured += f"; all over and every channel free after {time.monotonic() - started:.0f} s"


def no_event_ever_comes(folder: Path, promise: Promise) -> None:
    """Nobody can be reached at PUBLIC_URL."""
    with _set_up(folder, promise) as (service, crowd):
        service.telnyx.configure(least_limit_seconds=LEAST_LIMIT_SECONDS)
        service.server.stop()
        service.server.environment["PUBLIC_URL"] = "http://127.0.0.1:1"
        service.server.start()
        started = time.monotonic()
        people = crowd.ask([service.owner().http], CHANNELS)
        crowd.come_to_rest(90)
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
            f"may ask again"
        )


FAULTS: dict[str, tuple[str, Callable[[Path, Promise], None]]] = {
    "telnyx-slow": (
        "Telnyx answers 10 s late: the same command id again after 5 s, one call, one code",
        partial(answers, "slow", 3, 10.0),
    ),
    "telnyx-429": ("Telnyx answers 429: back into the queue, as long as the code lives", partial(answers, "429", 6, 0)),
    "telnyx-500": ("Telnyx answers 500: the same", partial(answers, "500", 6, 0)),
    "telnyx-500-done": (
        "Telnyx answers 500 to what it did all the same: one call, one code, and the channel limit holds",
        partial(answers, "500_done", 4, 0),
    ),
    "telnyx-garbage": ("Telnyx answers garbage to what it did: one call, one code", partial(answers, "garbage", 3, 0)),
    "telnyx-closes": ("Telnyx closes connections: tried again", partial(answers, "refused", 6, 0)),
    "telnyx-answer-lost": (
        "Telnyx accepts and the answer is lost: one call, one code",
        partial(answers, "lost", 4, 0),
    ),
    "webhooks-late": (
        "Webhooks up to 4 s late and out of order: every code is heard",
        partial(webhooks, {"shuffle_seconds": 4.0}),
    ),
    "webhooks-repeated": (
        "Webhooks that come three times over: applied once",
        partial(webhooks, {"repeat": 3, "shuffle_seconds": 0.5}),
    ),
    "webhooks-some-lost": (
        "Some webhooks never come: every code is heard, every channel comes back",
        one_event_is_lost,
    ),
    "webhooks-none": (
        "No webhook ever comes: nothing is said, the calls end `unknown`, every channel comes back",
        no_event_ever_comes,
    ),
}
