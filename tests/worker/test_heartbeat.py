"""The row by which others see that a worker is alive."""

from __future__ import annotations

from letstalk.db.database import Database
from letstalk.worker.heartbeat import Heartbeat, last_seen
from tests.support.world import StandingClock


def test_each_beat_says_that_this_worker_is_alive_and_silent_ones_are_forgotten(db: Database) -> None:
    clock = StandingClock()
    heartbeat = Heartbeat(db, "worker", clock)
    for _ in range(2):
        heartbeat.beat()
        with db.read() as connection:
            assert last_seen(connection) == clock()
        clock.move(5)
    heartbeat.forget_silent()
    with db.read() as connection:
        assert last_seen(connection) is not None
    clock.move(601)
    heartbeat.forget_silent()
    with db.read() as connection:
        assert last_seen(connection) is None
