"""How even the answers are: the slowest hundredth of code checks beside the median, at half of the most it can take."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import installed, shared, verifying
from benchmarks.figures import divide, percentile
from benchmarks.installations import Installation, phones
from benchmarks.loads import Sample, request, run_closed, run_open
from benchmarks.plans import Plan
from benchmarks.sections import Goal, Section
from benchmarks.servers import bare_flask, serving_ours

MOST_TIMES_THE_MEDIAN = 4.0
KEEPS_UP = 0.98  # a server that answers less than this share of what is asked is not at half its load
DISPATCHED_PER_SECOND = 80  # more than one channel places at the simulator's speed here, so that it never rests
SEARCHED_PER_SECOND = 6_000  # more than any machine here answers


@dataclass(frozen=True, slots=True)
class Evenness:
    """What a server answered at half of the most that it had answered just before."""

    most_per_second: float
    asked_per_second: float
    sample: Sample

    def latency_ms(self, percent: float) -> float:
        return percentile(self.sample.latencies_seconds, percent) * 1000

    @property
    def has_kept_up(self) -> bool:
        return self.sample.per_second > KEEPS_UP * self.asked_per_second

    def row(self, name: str) -> tuple[str, ...]:
        latencies = [f"{self.latency_ms(percent):.2f}" for percent in (50, 95, 99)]
        times = f"{divide(self.latency_ms(99), self.latency_ms(50)):.1f}"
        rates = (f"{self.most_per_second:.0f}", f"{self.asked_per_second:.0f}")
        return name, *rates, *latencies, f"{self.latency_ms(100):.1f}", times


def measure_tail(plan: Plan) -> Section:
    """Finds the most that one server answers, then asks for half of that at a fixed rate, calls going on beside."""
    with tempfile.TemporaryDirectory(prefix="letstalk-bench-") as folder:
        bare = _measure_bare_flask(plan, Path(folder))
    with tempfile.TemporaryDirectory(prefix="letstalk-bench-") as folder, installed(Path(folder)) as installation:
        ours = _measure_ours(plan, installation)
    return Section(
        "Evenness",
        "`POST /calls/verify` at a fixed rate, half of the most that one server answered just before; a request's time "
        "counts from when it was due, so that a server that stops shows in all that it kept waiting. Beside it bare "
        "Flask, at half of its own most.",
        ("", "most a second", "rate asked for", "p50 ms", "p95 ms", "p99 ms", "slowest ms", "p99 ÷ p50"),
        [ours.row("verify"), bare.row("hello")],
        [
            Goal(
                "p99 of verify under 4 times its median at half the maximum load",
                f"{divide(ours.latency_ms(99), ours.latency_ms(50)):.1f} times"
                + ("" if ours.has_kept_up else f", but answered only {ours.sample.per_second:.0f} a second"),
                ours.has_kept_up and ours.latency_ms(99) < MOST_TIMES_THE_MEDIAN * ours.latency_ms(50),
            )
        ],
    )


def _measure_ours(plan: Plan, installation: Installation) -> Evenness:
    numbers = phones("77")
    searching_seconds = plan.pace_seconds + plan.warm_up_seconds
    prepared = installation.await_codes(numbers, int(SEARCHED_PER_SECOND * searching_seconds))
    lasting_seconds = searching_seconds + plan.tail_seconds + plan.warm_up_seconds
    installation.queue_calls(phones("78"), int(DISPATCHED_PER_SECOND * (lasting_seconds + 5)))
    with serving_ours(installation) as (ports, _):
        talks = shared(verifying(installation, prepared), 200)
        most = run_closed(ports, talks, plan.warm_up_seconds, plan.pace_seconds).per_second
        rate = max(most / 2, 1.0)
        prepared = installation.await_codes(numbers, int(rate * (plan.tail_seconds + plan.warm_up_seconds)) + 100)
        asked = verifying(installation, prepared)
        return Evenness(most, rate, run_open(ports[0], asked, 200, rate, plan.warm_up_seconds, plan.tail_seconds))


def _measure_bare_flask(plan: Plan, folder: Path) -> Evenness:
    with bare_flask(folder) as hello:
        most = run_closed(hello.ports, hello.talks(), plan.warm_up_seconds, plan.hello_seconds).per_second
        rate = max(most / 2, 1.0)
        asked = itertools.repeat(request("GET", "/"))
        return Evenness(most, rate, run_open(hello.ports[0], asked, 200, rate, plan.warm_up_seconds, plan.tail_seconds))
