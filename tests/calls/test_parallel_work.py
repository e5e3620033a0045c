"""Requests of several owners and several workers at once: nothing fails but by the rules, and no rule is broken."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from letstalk.db.database import Database
from tests.support.world import BUSY, MACHINE, PRESSES_1, World, at_once, phone_number

OWNERS = ("acme", "globex", "initech")
PHONES = (phone_number(1), phone_number(2), BUSY, MACHINE, PRESSES_1)
BY_THE_RULES = {
    "ok",
    "resend_too_soon",
    "replay_too_soon",
    "replays_exhausted",
    "queue_full",
    "no_pending_verification",
    "invalid_code",
    "too_many_failures",
    "not_pending",
    "code_expired",
    "code_used",
    "attempts_exceeded",
    "verification_canceled",
    "verification_superseded",
    "verification_failed",
}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_comes_at_once_no_rule_is_broken(db: Database, seed: int) -> None:
    world = World(db, channels=3)
    choices = random.Random(seed)  # noqa: S311  # the same tangle each time
    sent: list[tuple[str, str]] = []

    def send(owner: str, phone: str) -> None:
        sent.append((owner, world.send(phone, owner=owner, ttl_seconds=600).verification_id))

    def something() -> Callable[[], object]:
        if not sent or choices.random() < 0.3:
            owner, phone = choices.choice(OWNERS), choices.choice(PHONES)
            return lambda: send(owner, phone)
        owner, verification_id = choices.choice(sent[-6:])
        return choices.choice(
            [
                lambda: world.check(verification_id, "000000", owner=owner),
                lambda: world.replay(verification_id, owner=owner),
                lambda: world.cancel(verification_id, owner=owner),
                lambda: world.check_phone(phone_number(1), "000000", owner=owner),
                world.sweeps.sweep,
                world.sweep_slowly,
            ]
        )

    for _ in range(8):
        outcomes = at_once([something() for _ in range(8)] + [world.work] * 3)
        assert set(outcomes) <= BY_THE_RULES
        assert world.live_calls() <= 3
        world.clock.move(choices.choice([0.5, 2, 7, 31]))
    world.pass_time(700)

    assert world.live_calls() == 0
    calls = [call for owner, verification_id in sent for call in world.calls_of(verification_id)]
    assert calls
    assert all(call.is_over for call in calls)
    assert len({dial.call_id for dial in world.provider.dials}) == len(world.provider.dials)
    assert world.heard(MACHINE) == []
