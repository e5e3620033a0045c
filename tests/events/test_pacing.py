"""Webhooks leave a busy process to requests."""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.events.pacing import WINDOW_SECONDS, Pace


@dataclass
class Machine:
    """The clocks of a process, in seconds."""

    now: float = 0.0
    used_by_all: float = 0.0
    used_by_deliverer: float = 0.0

    def pace(self) -> Pace:
        return Pace(lambda: self.now, lambda: self.used_by_all, lambda: self.used_by_deliverer)

    def go_on(self, seconds: float, *, requests: float, deliverer: float) -> None:
        """Let time go by, in which both use these shares of a core."""
        self.now += seconds
        self.used_by_all += seconds * (requests + deliverer)
        self.used_by_deliverer += seconds * deliverer


def test_a_busy_process_is_left_to_requests_until_they_have_had_their_part() -> None:
    machine = Machine()
    pace = machine.pace()
    machine.go_on(0.1, requests=0.5, deliverer=0.5)
    assert pace.must_rest()
    machine.go_on(0.3, requests=1.0, deliverer=0.0)
    assert pace.must_rest()
    machine.go_on(0.6, requests=1.0, deliverer=0.0)
    assert not pace.must_rest()


def test_where_the_process_has_time_left_nothing_rests() -> None:
    machine = Machine()
    pace = machine.pace()
    machine.go_on(0.5, requests=0.2, deliverer=0.5)
    assert not pace.must_rest()


def test_a_rest_ends_when_requests_stop() -> None:
    machine = Machine()
    pace = machine.pace()
    machine.go_on(0.5, requests=0.5, deliverer=0.5)
    assert pace.must_rest()
    machine.go_on(0.1, requests=0.0, deliverer=0.0)
    assert not pace.must_rest()


def test_what_was_long_ago_does_not_count() -> None:
    machine = Machine()
    pace = machine.pace()
    machine.go_on(10 * WINDOW_SECONDS, requests=0.0, deliverer=0.1)
    assert not pace.must_rest()
    machine.go_on(0.1, requests=0.5, deliverer=0.5)
    assert pace.must_rest()


def test_what_other_threads_do_for_it_counts() -> None:
    machine = Machine()
    pace = machine.pace()

    def work(text: str) -> str:
        machine.go_on(0.2, requests=0.5, deliverer=0.5)
        return text

    assert pace.run(work, "done") == "done"
    machine.used_by_deliverer = 0.0  # the clock of the thread that sends
    assert pace.must_rest()
