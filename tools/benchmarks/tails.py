"""How even the answers are: the slowest hundredth of code checks beside the median, at half of the most it can take."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tools.benchmarks.contestants import installed, shared, verifying
from tools.benchmarks.figures import divide, percentile
from tools.benchmarks.installations import phones
from tools.benchmarks.loads import Sample, Talk, request, run_closed, run_open
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import bare_flask, new_folder, serving_ours

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
    def p99_in_medians(self) -> float:
        return divide(self.latency_ms(99), self.latency_ms(50))

    @property
    def has_kept_up(self) -> bool:
        return self.sample.per_second > KEEPS_UP * self.asked_per_second

    def row(self, name: str) -> tuple[str, ...]:
        rates = (f"{self.most_per_second:.0f}", f"{self.asked_per_second:.0f}")
        latencies = (f"{self.latency_ms(percent):.2f}" for percent in (50, 95, 99))
        return name, *rates, *latencies, f"{self.latency_ms(100):.1f}", f"{self.p99_in_medians:.1f}"


def measure_tail(plan: Plan) -> Section:
    """Finds the most that one server answers, then asks for half of that at a fixed rate, calls going on beside."""
    bare, ours = _measure_bare_flask(plan), _measure_ours(plan)
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
                f"{ours.p99_in_medians:.1f} times"
                + ("" if ours.has_kept_up else f", but answered only {ours.sample.per_second:.0f} a second"),
                ours.has_kept_up and ours.p99_in_medians < MOST_TIMES_THE_MEDIAN,
            )
        ],
    )


def _measure_ours(plan: Plan) -> Evenness:
    with new_folder() as folder, installed(folder) as installation:
        numbers = phones("77")
        searching_seconds = plan.pace_seconds + plan.warm_up_seconds
        asking_seconds = plan.tail_seconds + plan.warm_up_seconds
        prepared = installation.await_codes(numbers, int(SEARCHED_PER_SECOND * searching_seconds))
        installation.queue_calls(phones("78"), int(DISPATCHED_PER_SECOND * (searching_seconds + asking_seconds + 5)))

        def checks_at(rate: float) -> Iterator[bytes]:
            return verifying(installation, installation.await_codes(numbers, int(rate * asking_seconds) + 100))

        with serving_ours(installation) as (ports, _):
            talks = shared(verifying(installation, prepared), 200)
            return _measure(ports, talks, plan.pace_seconds, checks_at, plan)


def _measure_bare_flask(plan: Plan) -> Evenness:
    with new_folder() as folder, bare_flask(folder) as hello:
        greetings = itertools.repeat(request("GET", "/"))
        return _measure(hello.ports, hello.talks(), plan.hello_seconds, lambda _: greetings, plan)


def _measure(
    ports: Sequence[int],
    talks: Sequence[Talk],
    searching_seconds: float,
    requests_at: Callable[[float], Iterator[bytes]],
    plan: Plan,
) -> Evenness:
    """`talks` find the most; `requests_at` gets half of that, a second, and gives what is asked then."""
    most = run_closed(ports, talks, plan.warm_up_seconds, searching_seconds).per_second
    rate = max(most / 2, 1.0)
    asked = requests_at(rate)
    return Evenness(most, rate, run_open(ports[0], asked, 200, rate, plan.warm_up_seconds, plan.tail_seconds))
