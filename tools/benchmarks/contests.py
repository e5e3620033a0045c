"""Contests: each contestant has the server's core for itself, in short turns between those of bare Flask."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tools.benchmarks import machines
from tools.benchmarks.figures import Spread, divide, percentile
from tools.benchmarks.loads import run_closed
from tools.benchmarks.plans import Plan
from tools.benchmarks.servers import Contender, Opening, bare_flask, going_on, new_folder, paused

HELLO = "hello"
LOAD = "load"  # this process
MOST_TIMES_HELLO = 1.3  # more than any contestant of ours is asked


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant in one round.

    `ratio` is its share of what bare Flask did between its turns; `cpu_ratio` the same by processor time, which other
    work on the machine disturbs less. `cores_used` is the processor time that its servers had a second: much under one
    for each is a disturbed measurement, or a server that waits. `used_beside` is the same for the programs beside it,
    and for the load itself under LOAD.
    """

    per_second: float
    ratio: float
    cpu_ratio: float
    cores_used: float
    p50_ms: float
    p99_ms: float
    peak_mib: float
    used_beside: dict[str, float]


class Turns:
    """What was measured of a contestant in all its turns so far."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._programs = {f"server {number}": program for number, program in enumerate(contender.servers)}
        self._programs |= contender.beside
        self._used_seconds = dict.fromkeys((*self._programs, LOAD), 0.0)
        self._lasted_seconds = 0.0
        self._answering_seconds = 0.0
        self._latencies_seconds: list[float] = []
        self._peak_mib = 0.0

    def take(self, settle_seconds: float, seconds: float) -> None:
        """Let it run for so long, and be measured once it has settled."""
        before = self._read_clocks()
        with going_on(self._contender):
            own_before, began = time.process_time(), time.perf_counter()
            sample = run_closed(self._contender.ports, self._contender.talks(), settle_seconds, seconds)
            self._lasted_seconds += time.perf_counter() - began
            self._used_seconds[LOAD] += time.process_time() - own_before
        for name, used_seconds in self._read_clocks().items():
            self._used_seconds[name] += used_seconds - before[name]
        self._peak_mib = sum(machines.peak_memory_mib(program.pid) for program in self._contender.servers)
        self._answering_seconds += sample.seconds
        self._latencies_seconds += sample.latencies_seconds

    @property
    def per_second(self) -> float:
        return divide(len(self._latencies_seconds), self._answering_seconds)

    @property
    def cores_used(self) -> float:
        return sum(share for name, share in self._used().items() if name not in self._beside())

    def compared_with(self, hello: Turns) -> Result:
        per_cpu_second = divide(self.per_second, self.cores_used)
        return Result(
            per_second=self.per_second,
            ratio=divide(self.per_second, hello.per_second),
            cpu_ratio=divide(per_cpu_second, divide(hello.per_second, hello.cores_used)),
            cores_used=self.cores_used,
            p50_ms=percentile(self._latencies_seconds, 50) * 1000,
            p99_ms=percentile(self._latencies_seconds, 99) * 1000,
            peak_mib=self._peak_mib,
            used_beside={name: share for name, share in self._used().items() if name in self._beside()},
        )

    def _beside(self) -> set[str]:
        return {*self._contender.beside, LOAD}

    def _used(self) -> dict[str, float]:
        return {name: divide(used, self._lasted_seconds) for name, used in self._used_seconds.items()}

    def _read_clocks(self) -> dict[str, float]:
        return {name: machines.cpu_seconds(program.pid) for name, program in self._programs.items()}


@dataclass
class Results:
    """Every result of each contestant, bare Flask's under HELLO."""

    by_name: dict[str, list[Result]] = field(default_factory=dict)

    def add(self, name: str, result: Result) -> None:
        self.by_name.setdefault(name, []).append(result)

    def spread(self, name: str, of: Callable[[Result], float] = lambda result: result.ratio) -> Spread:
        return Spread.of([of(result) for result in self.by_name[name]])

    def ratio_between(
        self, name: str, other: str, of: Callable[[Result], float] = lambda result: result.ratio
    ) -> Spread:
        """How much of `other`'s share `name` reached, round by round."""
        pairs = zip(self.by_name[name], self.by_name[other], strict=True)
        return Spread.of([divide(of(one), of(base)) for one, base in pairs])


def run_contests(openings: Mapping[str, Opening], plan: Plan, say: Callable[[str], None]) -> Results:
    """`plan.rounds` times each contestant in turn, in a new folder each time."""
    results = Results()
    with new_folder() as top, bare_flask(top) as hello:
        per_second = run_closed(hello.ports, hello.talks(), plan.warm_up_seconds, plan.hello_seconds).per_second
        for number in range(plan.rounds):
            for name, opening in openings.items():
                most = int(MOST_TIMES_HELLO * max(per_second, 1000) * plan.asking_seconds)
                with new_folder() as folder, opening(folder, most) as contender:
                    ours, theirs = take_turns(contender, hello, plan)
                result = ours.compared_with(theirs)
                results.add(name, result)
                results.add(HELLO, theirs.compared_with(theirs))
                per_second = theirs.per_second
                beside = f"{HELLO} {per_second:.0f}/s, cores {theirs.cores_used:.0%}"
                say(f"round {number + 1}  {name:24} {show(result)}  {beside}")
    return results


def take_turns(contender: Contender, hello: Contender, plan: Plan) -> tuple[Turns, Turns]:
    """Measure both, in short turns on the same core. Whoever has not its turn is stopped, and goes on where it was.

    A machine that others share is fast in one second and slow in the next: it is so for both.
    """
    ours, theirs = Turns(contender), Turns(hello)
    count = min(plan.turns, contender.most_turns)
    pace_seconds = min(plan.pace_seconds, contender.most_seconds)
    with paused(contender), paused(hello):
        theirs.take(plan.settle_seconds, plan.hello_seconds / (count + 1))
        for number in range(count):
            first_seconds = 0.0 if number else max(plan.warm_up_seconds, contender.warm_up_seconds)
            ours.take(max(first_seconds, plan.settle_seconds), pace_seconds / count)
            theirs.take(plan.settle_seconds, plan.hello_seconds / (count + 1))
    return ours, theirs


def show(result: Result) -> str:
    beside = "".join(f", {name} {used:.0%}" for name, used in result.used_beside.items())
    return (
        f"{result.ratio:5.2f} (by cpu {result.cpu_ratio:.2f})  {result.per_second:6.0f}/s  p50 {result.p50_ms:6.2f} ms"
        f"  p99 {result.p99_ms:6.2f} ms  cores {result.cores_used:.0%}{beside}  {result.peak_mib:4.0f} MiB"
    )
