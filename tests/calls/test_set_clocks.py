"""A machine's clock that is set, by an hour, in the middle of calls: what was noted ahead must not hold for an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest

from letstalk.calls import queue as queue
from letstalk.calls.models import CallStatus
from letstalk.db.database import Database
from letstalk.telephony.provider import ProviderBusy
from letstalk.verifications.models import VerificationStatus
from tests.support.world import World, fails

HOUR = timedelta(hours=1)


class Crash(BaseException):
    """The process dies."""


@pytest.fixture
def world(db: Database) -> World:
    return World(db, sweep_seconds=2)


def test_a_lease_from_before_the_clock_was_set_back_holds_nobody(world: World) -> None:
    def die(_carry: object) -> None:
        raise Crash

    world.provider.trouble("dial", die)
    accepted = world.send()
    with pytest.raises(Crash):
        world.work()
    world.crash()
    world.clock.now -= HOUR
    world._next_sweep -= HOUR
    world.pass_time(3)
    assert len({dial.command_id for dial in world.provider.dials}) == 1
    assert world.call(accepted.call_id).provider_call_id is not None


def test_a_pause_from_before_the_clock_was_set_back_is_over(world: World) -> None:
    world.provider.trouble("dial", fails(ProviderBusy("All channels are in use.")))
    accepted = world.send()
    world.work()
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    world.clock.now -= HOUR
    world._next_sweep -= HOUR
    world.pass_time(3)
    assert world.call(accepted.call_id).status is not CallStatus.QUEUED


def test_a_provider_that_asks_for_an_hour_gets_two_minutes(world: World) -> None:
    world.provider.trouble("dial", fails(ProviderBusy("Not now.", retry_after_seconds=3600)))
    accepted = world.send(ttl_seconds=600)
    world.pass_time(119)
    assert world.call(accepted.call_id).status is CallStatus.QUEUED
    world.pass_time(30)
    assert len(world.heard()) == 1


def test_a_call_that_a_set_clock_made_an_hour_long_makes_nobody_wait(world: World) -> None:
    accepted = world.send(ttl_seconds=600)
    world.pass_time(5)
    world.clock.now += HOUR
    world.pass_time(30)
    assert world.call(accepted.call_id).is_over
    assert world.call(accepted.call_id).duration_seconds is None
    with world.db.read() as connection:
        assert queue.mean_duration_seconds(connection) is None


def test_a_code_is_dead_when_the_clock_has_jumped_ahead(world: World) -> None:
    accepted = world.send(ttl_seconds=600)
    world.clock.now += HOUR
    assert world.verification(accepted.verification_id).status is VerificationStatus.EXPIRED
    world.pass_time(10)
    assert world.provider.dials == []
    assert world.heard() == []


def test_two_sweepers_ask_about_a_silent_call_once(world: World) -> None:
    asked = []

    def alive(_carry: object) -> bool:
        asked.append(world.clock())
        return True

    world.provider.trouble("is_alive", *[alive] * 4)
    world.is_lost = lambda _event: True
    accepted = world.send(ttl_seconds=600)
    world.pass_time(1)
    world.change_call(accepted.call_id, ask_provider_at=world.clock())
    world.sweeps.sweep()
    world.sweeps.sweep()
    assert len(asked) == 1
