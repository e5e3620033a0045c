"""Contests: contestants take short turns on the server's core, each with the core for itself.

A machine that others share is fast in one second and slow in the next. Short turns make it so for all contestants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tools.benchmarks import machines
from tools.benchmarks.figures import Spread, divide, percentile
from tools.benchmarks.loads import run_load
from tools.benchmarks.plans import Plan
from tools.benchmarks.servers import Contestant, OpenContestant, bare_flask, continued, new_folder, paused

REFERENCE = "bare Flask"
LOAD = "load"  # this process
MOST_TIMES_REFERENCE = 1.0  # twice what the fastest contestant reaches, because the machine's speed changes

# Contestants that take turns with each other and with bare Flask.
Contest = Mapping[str, OpenContestant]


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant in one round.

    `share` is its requests per second divided by those of bare Flask in the same contest. `cpu_share` is the same per
    second of processor time, which other work on the machine disturbs less. `cores_used` is the server's processor
    time per second: much less than 1 means that the measurement was disturbed or that the server waits. `used_beside`
    is the same for the programs that it needs, and for the load under LOAD.
    """

    per_second: float
    share: float
    cpu_share: float
    cores_used: float
    p50_ms: float
    p99_ms: float
    used_beside: dict[str, float]


class Turns:
    """What was measured of a contestant in all its turns so far."""

    def __init__(self, contestant: Contestant) -> None:
        self._contestant = contestant
        self._programs = {"server": contestant.server, **contestant.beside}
        self._used_seconds = dict.fromkeys((*self._programs, LOAD), 0.0)
        self._lasted_seconds = 0.0
        self._measured_seconds = 0.0
        self._latencies_seconds: list[float] = []

    def take(self, settle_seconds: float, seconds: float) -> None:
        """Let the server run, and measure it for `seconds` after it has settled."""
        contestant = self._contestant
        with continued(contestant):
            contestant.before_turn()
            before = self._read_clocks()
            began = time.perf_counter()
            sample = run_load([contestant.port], contestant.make_exchanges(), settle_seconds, seconds)
            self._lasted_seconds += time.perf_counter() - began
            for name, used_seconds in self._read_clocks().items():
                self._used_seconds[name] += used_seconds - before[name]
        self._measured_seconds += sample.seconds
        self._latencies_seconds += sample.latencies_seconds

    @property
    def per_second(self) -> float:
        return divide(len(self._latencies_seconds), self._measured_seconds)

    @property
    def cores_used(self) -> float:
        return divide(self._used_seconds["server"], self._lasted_seconds)

    def compared_with(self, reference: Turns) -> Result:
        per_cpu_second = divide(self.per_second, self.cores_used)
        beside = (name for name in self._used_seconds if name != "server")
        return Result(
            per_second=self.per_second,
            share=divide(self.per_second, reference.per_second),
            cpu_share=divide(per_cpu_second, divide(reference.per_second, reference.cores_used)),
            cores_used=self.cores_used,
            p50_ms=percentile(self._latencies_seconds, 50) * 1000,
            p99_ms=percentile(self._latencies_seconds, 99) * 1000,
            used_beside={name: divide(self._used_seconds[name], self._lasted_seconds) for name in beside},
        )

    def _read_clocks(self) -> dict[str, float]:
        clocks = {name: machines.cpu_seconds(program.pid) for name, program in self._programs.items()}
        return {**clocks, LOAD: time.process_time()}


@dataclass
class Results:
    """Every result of each contestant, with bare Flask's under REFERENCE."""

    by_name: dict[str, list[Result]] = field(default_factory=dict)

    def add(self, name: str, result: Result) -> None:
        self.by_name.setdefault(name, []).append(result)

    def spread(self, name: str, of: Callable[[Result], float] = lambda result: result.share) -> Spread:
        return Spread.of([of(result) for result in self.by_name[name]])

    def ratio_between(
        self, name: str, other: str, of: Callable[[Result], float] = lambda result: result.share
    ) -> Spread:
        """The result of `name` divided by that of `other`, round by round."""
        pairs = zip(self.by_name[name], self.by_name[other], strict=True)
        return Spread.of([divide(of(one), of(base)) for one, base in pairs])


def run_contests(contests: Sequence[Contest], plan: Plan, say: Callable[[str], None]) -> Results:
    """Run every contest `plan.rounds` times, each contestant in a new folder each time."""
    results = Results()
    with new_folder() as top, bare_flask(top) as reference:
        exchanges = reference.make_exchanges()
        fastest = run_load([reference.port], exchanges, plan.warm_up_seconds, plan.reference_seconds).per_second
        for number in range(plan.rounds):
            for contest in contests:
                most = int(MOST_TIMES_REFERENCE * max(fastest, 1000) * plan.request_seconds)
                with ExitStack() as stack:
                    contestants = {
                        name: stack.enter_context(open_one(stack.enter_context(new_folder()), most))
                        for name, open_one in contest.items()
                    }
                    measured = take_turns({REFERENCE: reference, **contestants}, plan)
                fastest = max(fastest, measured[REFERENCE].per_second)
                for name, turns in measured.items():
                    result = turns.compared_with(measured[REFERENCE])
                    results.add(name, result)
                    say(f"round {number + 1}  {name:28} {show(result)}")
    return results


def take_turns(contestants: Mapping[str, Contestant], plan: Plan) -> dict[str, Turns]:
    """Measure bare Flask and the others in short turns. The servers whose turn it is not are stopped (SIGSTOP)."""
    measured = {name: Turns(contestant) for name, contestant in contestants.items()}
    others = [name for name in contestants if name != REFERENCE]
    count = min(plan.turns, *(contestants[name].most_turns for name in others))
    reference_seconds = plan.reference_seconds / (count + 1)
    with ExitStack() as stack:
        for contestant in contestants.values():
            stack.enter_context(paused(contestant))
        measured[REFERENCE].take(plan.settle_seconds, reference_seconds)
        for number in range(count):
            # In alternating order, so that none is always the first after bare Flask.
            for name in others if number % 2 == 0 else reversed(others):
                first_seconds = 0.0 if number else max(plan.warm_up_seconds, contestants[name].warm_up_seconds)
                measured[name].take(max(first_seconds, plan.settle_seconds), plan.contestant_seconds / count)
            measured[REFERENCE].take(plan.settle_seconds, reference_seconds)
    return measured


def show(result: Result) -> str:
    beside = "".join(f", {name} {used:.0%}" for name, used in result.used_beside.items())
    return (
        f"{result.share:5.2f} (by cpu {result.cpu_share:.2f})  {result.per_second:6.0f}/s  p50 {result.p50_ms:6.2f} ms"
        f"  p99 {result.p99_ms:6.2f} ms  cores {result.cores_used:.0%}{beside}"
    )
