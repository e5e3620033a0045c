"""What runs periodically."""

from __future__ import annotations

import time
from itertools import pairwise

from letstalk.worker.pool import Sweeper
from tests.worker.parts import Held, eventually


def test_each_sweep_runs_at_the_start_and_again_after_its_pause() -> None:
    ran: list[tuple[str, float]] = []
    sweeper = Sweeper()
    sweeper.every(60, "slow", lambda: ran.append(("slow", time.monotonic())))
    sweeper.every(0.1, "fast", lambda: ran.append(("fast", time.monotonic())))
    sweeper.start()
    eventually(lambda: len(ran) >= 4)
    sweeper.begin_stop()
    sweeper.join(5)
    assert [name for name, _ in ran[:4]] == ["slow", "fast", "fast", "fast"]
    fast = [at for name, at in ran if name == "fast"]
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(fast))


def test_a_sweep_that_fails_ends_neither_itself_nor_the_others() -> None:
    failing, other = [], Held()
    sweeper = Sweeper()

    def fail() -> None:
        failing.append(1)
        raise RuntimeError("a failure on purpose")

    sweeper.every(0.01, "fast", fail)
    sweeper.every(0.01, "slow", lambda: other("ran"))
    sweeper.start()
    eventually(lambda: len(failing) > 2 and len(other.keys) > 2)
    sweeper.begin_stop()
    sweeper.join(5)


def test_nothing_starts_after_the_stop() -> None:
    running, after = Held(is_open=False), Held()
    sweeper = Sweeper()
    sweeper.every(0.01, "fast", lambda: running("runs"))
    sweeper.every(0.01, "slow", lambda: after("ran"))
    sweeper.start()
    assert running.begun.wait(5)
    sweeper.begin_stop()
    running.may_go_on.set()
    sweeper.join(5)
    assert (running.keys, after.keys) == (["runs"], [])
