"""Contests: each contestant runs alone on the server's core, and bare Flask runs right before and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmarks import machines
from benchmarks.figures import Spread, divide, percentile
from benchmarks.loads import run_closed
from benchmarks.plans import Plan
from benchmarks.servers import Contender, Opening, bare_flask, new_folder

HELLO = "hello"
LOAD = "load"  # this process


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant in one round.

    `ratio` is its share of what bare Flask did around it; `cpu_ratio` the same by processor time, which other work on
    the machine disturbs less. `cores_used` is the processor time that its servers had a second: much under one for each
    is a disturbed measurement, or a server that waits. `used_beside` is the same for the programs beside it, and for
    the load itself under LOAD.
    """

    per_second: float
    ratio: float
    cpu_ratio: float
    cores_used: float
    p50_ms: float
    p99_ms: float
    peak_mib: float
    used_beside: dict[str, float]

    @property
    def per_cpu_second(self) -> float:
        return divide(self.per_second, self.cores_used)


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
        before = _measure(hello, plan, plan.hello_seconds)
        for number in range(plan.rounds):
            for name, opening in openings.items():
                most = int(max(before.per_second, 1000) * (plan.pace_seconds + plan.warm_up_seconds))
                with new_folder() as folder, opening(folder, most) as contender:
                    measured = _measure(contender, plan, plan.pace_seconds)
                after = _measure(hello, plan, plan.hello_seconds)
                result = _compared(measured, before, after)
                results.add(name, result)
                results.add(HELLO, after)
                beside = f"{HELLO} {after.per_second:.0f}/s, cores {after.cores_used:.0%}"
                say(f"round {number + 1}  {name:24} {show(result)}  {beside}")
                before = after
    return results


def show(result: Result) -> str:
    beside = "".join(f", {name} {used:.0%}" for name, used in result.used_beside.items())
    return (
        f"{result.ratio:5.2f} (by cpu {result.cpu_ratio:.2f})  {result.per_second:6.0f}/s  p50 {result.p50_ms:6.2f} ms"
        f"  p99 {result.p99_ms:6.2f} ms  cores {result.cores_used:.0%}{beside}  {result.peak_mib:4.0f} MiB"
    )


def _measure(contender: Contender, plan: Plan, seconds: float) -> Result:
    programs = {f"server {number}": program for number, program in enumerate(contender.servers)} | contender.beside
    before = {name: machines.cpu_seconds(program.pid) for name, program in programs.items()}
    own_before = time.process_time()
    warm_up_seconds = max(plan.warm_up_seconds, contender.warm_up_seconds)
    sample = run_closed(contender.ports, contender.talks(), warm_up_seconds, seconds)
    lasted = sample.seconds + warm_up_seconds
    own_used = (time.process_time() - own_before) / lasted
    used = {name: (machines.cpu_seconds(program.pid) - before[name]) / lasted for name, program in programs.items()}
    return Result(
        per_second=sample.per_second,
        ratio=1.0,
        cpu_ratio=1.0,
        cores_used=sum(share for name, share in used.items() if name not in contender.beside),
        p50_ms=percentile(sample.latencies_seconds, 50) * 1000,
        p99_ms=percentile(sample.latencies_seconds, 99) * 1000,
        peak_mib=sum(machines.peak_memory_mib(program.pid) for program in contender.servers),
        used_beside={name: used[name] for name in contender.beside} | {LOAD: own_used},
    )


def _compared(measured: Result, before: Result, after: Result) -> Result:
    hello_per_second = (before.per_second + after.per_second) / 2
    hello_per_cpu_second = (before.per_cpu_second + after.per_cpu_second) / 2
    return replace(
        measured,
        ratio=divide(measured.per_second, hello_per_second),
        cpu_ratio=divide(measured.per_cpu_second, hello_per_cpu_second),
    )
